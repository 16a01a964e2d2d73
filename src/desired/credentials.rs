//! The sources of an account's credentials. They name places and hold no secret.

use std::fmt;
use std::path::PathBuf;

/// The source of an account's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialSource {
    /// The first one present of: environment, tccli's profile, the SDK's file, TKE OIDC, the CVM role.
    #[default]
    Ambient,
    /// `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY` and, for temporary keys, a token variable.
    Environment,
    /// A profile of tccli; by default the one that `TCCLI_PROFILE` names, else `default`.
    Profile(Option<String>),
    /// The SDK's credentials file.
    File {
        /// By default `TENCENTCLOUD_CREDENTIALS_FILE`, else the places where the SDKs look.
        path: Option<PathBuf>,
        /// The section of the file to read; `None` means `default`.
        section: Option<String>,
    },
    /// The role of the CVM instance that this runs on. `None` means the role that is attached to the instance.
    CvmRole(Option<String>),
    /// The service account of the TKE pod that this runs in.
    TkeOidc,
    /// A role that is assumed with the credentials of another source.
    AssumeRole(Box<AssumeRole>),
}

/// A role, and the source of the credentials that assume it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssumeRole {
    pub role: Role,
    /// The credentials that assume the role.
    pub source: CredentialSource,
}

/// A role and the parameters for assuming it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// The ARN of the role in CAM, `qcs::cam::uin/…:roleName/…`.
    pub arn: String,
    /// Shown in the account's audit trail.
    pub session_name: Option<String>,
    /// The lifetime of the credentials in seconds.
    pub duration_seconds: Option<u32>,
    /// The external id, which the role's trust policy may require.
    pub external_id: Option<String>,
}

impl CredentialSource {
    /// The words for `from`, without one for [`CredentialSource::Ambient`]: a document means it by leaving `from` out.
    pub const WORDS: [&str; 6] = [
        "environment",
        "profile",
        "file",
        "cvm-role",
        "tke-oidc",
        "assume-role",
    ];
    /// The greatest number of roles that are assumed one on top of the other.
    pub const ROLES_MAX: usize = 3;
}

/// Names the source without all of its settings: a role shows as its ARN, without the parameters for assuming it.
impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient => f.write_str("ambient"),
            Self::Environment => f.write_str("environment"),
            Self::Profile(None) => f.write_str("profile"),
            Self::Profile(Some(name)) => write!(f, "profile {name}"),
            Self::File { path, section } => {
                f.write_str("file")?;
                if let Some(path) = path {
                    write!(f, " {}", path.display())?;
                }
                section.iter().try_for_each(|name| write!(f, " [{name}]"))
            }
            Self::CvmRole(None) => f.write_str("cvm-role"),
            Self::CvmRole(Some(name)) => write!(f, "cvm-role {name}"),
            Self::TkeOidc => f.write_str("tke-oidc"),
            Self::AssumeRole(assume) => write!(f, "assume-role {}", assume.role.arn),
        }
    }
}

impl Role {
    /// Bounds of a role's lifetime in seconds. The API's own limit is 12 hours; below five minutes, renewals would
    /// never stop.
    pub const SECONDS: std::ops::RangeInclusive<u32> = 300..=43_200;
    /// The grammar of ARNs as a regular expression, for the schema.
    pub const ARN_PATTERN: &str = "^qcs::cam::uin/[0-9]{1,20}:[!-~]{1,400}$";
    /// The grammar of session names, for the schema.
    pub const SESSION_PATTERN: &str = "^[-A-Za-z0-9_=,.@]{2,128}$";
    /// The grammar of external ids, for the schema.
    pub const EXTERNAL_ID_PATTERN: &str = "^[-A-Za-z0-9_=,.@:/]{2,128}$";
    /// The grammar of role names, for the schema.
    pub const NAME_PATTERN: &str = "^[-A-Za-z0-9_=,.@+]{1,128}$";

    /// Whether `text` is a role's ARN in the form that STS accepts.
    pub fn is_arn(text: &str) -> bool {
        let Some((uin, role)) = text
            .strip_prefix("qcs::cam::uin/")
            .and_then(|rest| rest.split_once(':'))
        else {
            return false;
        };
        let is_uin = (1..=20).contains(&uin.len()) && uin.bytes().all(|b| b.is_ascii_digit());
        is_uin && (1..=400).contains(&role.len()) && role.bytes().all(|b| b.is_ascii_graphic())
    }

    /// Whether `text` is a valid session name.
    pub fn is_session_name(text: &str) -> bool {
        is_word(text, 2, "-_=,.@")
    }

    /// Whether `text` is a valid external id.
    pub fn is_external_id(text: &str) -> bool {
        is_word(text, 2, "-_=,.@:/")
    }

    /// Whether `text` is a valid role name. The name becomes part of a URL as it is.
    pub fn is_name(text: &str) -> bool {
        is_word(text, 1, "-_=,.@+")
    }
}

/// Whether `text` consists of letters, digits and `marks`, from `least` to 128 of them.
fn is_word(text: &str, least: usize, marks: &str) -> bool {
    (least..=128).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_roles_keeps_what_could_lead_elsewhere_out() {
        assert!(Role::is_arn("qcs::cam::uin/100000000001:roleName/keeper"));
        assert!(Role::is_arn("qcs::cam::uin/1:role/4611686018427397919"));
        for bad in [
            "",
            "keeper",
            "qcs::cam::uin/:roleName/a",
            "qcs::cam::uin/x:roleName/a",
            "qcs::cam::uin/1:",
            "qcs::cam::uin/1:roleName/a b",
        ] {
            assert!(!Role::is_arn(bad), "{bad}");
        }
        assert!(Role::is_name("a") && !Role::is_name("a/b") && !Role::is_name("a?b"));
        assert!(Role::is_session_name("a.b") && !Role::is_session_name("a"));
        assert!(Role::is_external_id("a:b/c") && !Role::is_external_id("a b"));
    }
}

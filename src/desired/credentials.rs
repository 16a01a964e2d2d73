//! Where an account's credentials come from. Names places, and holds no secret.

use std::fmt;
use std::path::PathBuf;

/// Where an account's credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialSource {
    /// The first that is there of environment, tccli's profile, the SDK's file, TKE OIDC and the CVM role.
    #[default]
    Ambient,
    /// `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY` and, for temporary keys, a token.
    Environment,
    /// A profile of tccli; by default the one that `TCCLI_PROFILE` names, else `default`.
    Profile(Option<String>),
    /// The SDK's credentials file.
    File {
        /// By default `TENCENTCLOUD_CREDENTIALS_FILE`, else the places that the SDKs look at.
        path: Option<PathBuf>,
        /// The section of the file to read; `None` means `default`.
        section: Option<String>,
    },
    /// The role of the CVM instance that this runs on; by default the one it has.
    CvmRole(Option<String>),
    /// The service account of the TKE pod that this runs in.
    TkeOidc,
    /// A role that is assumed with the credentials of another source.
    AssumeRole(Box<AssumeRole>),
}

/// A role, and who assumes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssumeRole {
    pub role: Role,
    /// Whose credentials assume it.
    pub source: CredentialSource,
}

/// A role, and how it is assumed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// The role's name in CAM, `qcs::cam::uin/…:roleName/…`.
    pub arn: String,
    /// Shown in the account's audit trail.
    pub session_name: Option<String>,
    /// For how long the credentials live.
    pub duration_seconds: Option<u32>,
    /// What the role's trust policy may ask for.
    pub external_id: Option<String>,
}

impl CredentialSource {
    /// The words for `from`, but for that of [`CredentialSource::Ambient`], which is to leave it out.
    pub const WORDS: [&str; 6] = [
        "environment",
        "profile",
        "file",
        "cvm-role",
        "tke-oidc",
        "assume-role",
    ];
    /// Roles that are assumed one on top of the other.
    pub const ROLES_MAX: usize = 3;
}

/// Names the source, and not all of its settings: roles are told apart by what they are, not by how they are assumed.
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
    /// Bounds of a role's life in seconds. The API's own limit is 12 hours; below five minutes there would be nothing
    /// but renewals.
    pub const SECONDS: std::ops::RangeInclusive<u32> = 300..=43_200;
    /// As a regular expression, for the schema.
    pub const ARN_PATTERN: &str = "^qcs::cam::uin/[0-9]{1,20}:[!-~]{1,400}$";
    /// Likewise, of session names.
    pub const SESSION_PATTERN: &str = "^[-A-Za-z0-9_=,.@]{2,128}$";
    /// Likewise, of external ids.
    pub const EXTERNAL_ID_PATTERN: &str = "^[-A-Za-z0-9_=,.@:/]{2,128}$";
    /// Likewise, of the names of roles.
    pub const NAME_PATTERN: &str = "^[-A-Za-z0-9_=,.@+]{1,128}$";

    /// Whether `text` is the name of a role as STS knows it.
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

    /// Whether `text` can name a session.
    pub fn is_session_name(text: &str) -> bool {
        is_word(text, 2, "-_=,.@")
    }

    /// Whether `text` can be an external id.
    pub fn is_external_id(text: &str) -> bool {
        is_word(text, 2, "-_=,.@:/")
    }

    /// Whether `text` can name a role. It goes into an address as it is.
    pub fn is_name(text: &str) -> bool {
        is_word(text, 1, "-_=,.@+")
    }
}

/// Letters, digits and `marks`, at least `least` and at most 128.
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

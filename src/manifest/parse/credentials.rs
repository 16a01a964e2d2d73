//! `spec.credentials` of an `Account`: the source of a key, never the key itself.

use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::desired::{AssumeRole, CredentialSource, Role};
use crate::manifest::suggest::did_you_mean;

/// The fields of all sources together.
const FIELDS: [&str; 10] = [
    "from",
    "profile",
    "path",
    "section",
    "role",
    "roleArn",
    "sessionName",
    "durationSeconds",
    "externalId",
    "source",
];
/// The name of a profile, which becomes part of a path.
pub(super) const PROFILE_PATTERN: &str = "^[A-Za-z0-9_][-A-Za-z0-9_.@]{0,127}$";
/// The name of a section, without the white space that the SDKs trim.
pub(super) const SECTION_PATTERN: &str = r"^[^\[\]\s]+( +[^\[\]\s]+)*$";

/// Reads the source of credentials.
pub(super) fn read(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<CredentialSource> {
    nested(reader, node, "`credentials`", CredentialSource::ROLES_MAX)
}

/// The fields of a source besides `from`.
pub(super) fn fields_of(from: &str) -> &'static [&'static str] {
    match from {
        "profile" => &["profile"],
        "file" => &["path", "section"],
        "cvm-role" => &["role"],
        "assume-role" => &[
            "roleArn",
            "sessionName",
            "durationSeconds",
            "externalId",
            "source",
        ],
        _ => &[],
    }
}

/// Reads a source. At most `roles` more roles may be assumed on top of each other.
fn nested(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    what: &str,
    roles: usize,
) -> Option<CredentialSource> {
    let fields = reader.fields(node, what, &FIELDS)?;
    let node = reader.required(&fields, "from", what)?;
    let from = reader.text(node, "`from`")?;
    if !CredentialSource::WORDS.contains(&from) {
        let list = || format!("sources: {}", CredentialSource::WORDS.join(", "));
        let help = did_you_mean(from, CredentialSource::WORDS).unwrap_or_else(list);
        reader
            .error(node, format!("unknown source of credentials `{from}`"))
            .help(help);
        return None;
    }
    let own = fields_of(from);
    let mut good = true;
    for name in FIELDS.iter().filter(|name| **name != "from") {
        if let Some(stray) = fields.get(name)
            && !own.contains(name)
        {
            good = false;
            let help = match own {
                [] => "it has no fields of its own".to_owned(),
                own => format!("its fields: {}", own.join(", ")),
            };
            reader
                .error(
                    stray,
                    format!("`{name}` cannot be used with `from: {from}`"),
                )
                .help(help);
        }
    }
    let source = match from {
        "environment" => CredentialSource::Environment,
        "tke-oidc" => CredentialSource::TkeOidc,
        "profile" => CredentialSource::Profile(optional(reader, &fields, "profile", profile)?),
        "file" => CredentialSource::File {
            path: optional(reader, &fields, "path", path)?.map(Into::into),
            section: optional(reader, &fields, "section", section)?,
        },
        "cvm-role" => CredentialSource::CvmRole(optional(reader, &fields, "role", role_name)?),
        _ => assume_role(reader, &fields, node, what, roles)?,
    };
    good.then_some(source)
}

fn assume_role(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_, '_>,
    from: &Node<'_>,
    what: &str,
    roles: usize,
) -> Option<CredentialSource> {
    let Some(left) = roles.checked_sub(1) else {
        reader
            .error(
                from,
                format!(
                    "roles are assumed one on top of the other more than {} times",
                    CredentialSource::ROLES_MAX
                ),
            )
            .help("let the last role trust one of the first ones");
        return None;
    };
    // All fields are read before any is required, so that all errors are reported at once.
    let arn = reader
        .required(fields, "roleArn", what)
        .and_then(|node| arn(reader, node));
    let session_name = optional(reader, fields, "sessionName", session_name);
    let external_id = optional(reader, fields, "externalId", external_id);
    let duration_seconds = match fields.get("durationSeconds") {
        Some(node) => seconds(reader, node).map(Some),
        None => Some(None),
    };
    let source = reader
        .required(fields, "source", what)
        .and_then(|node| nested(reader, node, "`source`", left));
    Some(CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: Role {
            arn: arn?,
            session_name: session_name?,
            duration_seconds: duration_seconds?,
            external_id: external_id?,
        },
        source: source?,
    })))
}

/// An optional field. The outer `None` means that it is present but wrong.
fn optional<'n, 'a>(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'n, 'a>,
    name: &str,
    read: impl Fn(&mut Reader<'_, '_>, &'n Node<'a>) -> Option<String>,
) -> Option<Option<String>> {
    match fields.get(name) {
        Some(node) => read(reader, node).map(Some),
        None => Some(None),
    }
}

/// A text that `is_good` accepts, or an error with `help`.
fn checked(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    name: &str,
    is_good: impl Fn(&str) -> bool,
    help: &str,
) -> Option<String> {
    let text = reader.text(node, &format!("`{name}`"))?;
    if is_good(text) {
        return Some(text.to_owned());
    }
    reader
        .error(node, format!("`{text}` is not a valid `{name}`"))
        .help(help);
    None
}

fn profile(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let is_good = |text: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.len() <= 128
            && text.starts_with(word)
            && text.chars().all(|c| word(c) || "-.@".contains(c))
    };
    let help = "the name of a profile of tccli, such as `default`";
    checked(reader, node, "profile", is_good, help)
}

fn path(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let help = "the path of a file, such as `~/.tencentcloud/credentials`";
    checked(reader, node, "path", |text| !text.is_empty(), help)
}

fn section(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let is_good = |text: &str| {
        !text.is_empty()
            && text.trim() == text
            && !text.contains(|c: char| matches!(c, '[' | ']') || (c.is_whitespace() && c != ' '))
    };
    let help = "the name of a section without its brackets, such as `default`";
    checked(reader, node, "section", is_good, help)
}

fn role_name(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let help = "the name of the role that is bound to the CVM instance";
    checked(reader, node, "role", Role::is_name, help)
}

fn arn(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let help = "a role as CAM shows it, such as `qcs::cam::uin/100000000001:roleName/keeper`";
    checked(reader, node, "roleArn", Role::is_arn, help)
}

fn session_name(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let help = "2 to 128 letters, digits and `-_=,.@`";
    checked(reader, node, "sessionName", Role::is_session_name, help)
}

fn external_id(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    let help = "2 to 128 letters, digits and `-_=,.@:/`";
    checked(reader, node, "externalId", Role::is_external_id, help)
}

fn seconds(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<u32> {
    let number = match &node.value {
        Value::Scalar { text, plain: true } => text.parse().ok(),
        _ => None,
    };
    let number = number.filter(|seconds| Role::SECONDS.contains(seconds));
    if number.is_none() {
        let (least, most) = Role::SECONDS.into_inner();
        let message = format!("`durationSeconds` must be a whole number from {least} to {most}");
        reader
            .error(node, message)
            .help("how long the role's credentials live; they are replaced before they end");
    }
    number
}

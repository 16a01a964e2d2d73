//! The SDK's credentials file: sections of `secret_id = …`, `secret_key = …` and, for temporary keys, `token = …`.
//! Pure. Errors give the place, and never the content.

use zeroize::Zeroizing;

use super::parsed::{FileFault, KeyUse, ParsedFile};
use super::value::{KeyParts, NamedValue};

/// Parses one section. Other sections may hold anything.
pub(super) fn parse(text: &str, section: &str) -> Result<ParsedFile, FileFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = KeyParts {
        id: named("secret_id"),
        key: named("secret_key"),
        token: named("token"),
    };
    let (mut inside, mut found) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = bare.strip_prefix('[') {
            let Some(name) = rest.strip_suffix(']') else {
                return Err(broken(number, "begins with `[` and does not end with `]`"));
            };
            inside = name.trim() == section;
            if inside && found {
                return Err(broken(number, "gives the section a second time"));
            }
            found |= inside;
            continue;
        }
        if !inside {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            // Some readers take such a line as a continuation of the one before.
            return Err(broken(number, "is indented"));
        }
        let Some((name, value)) = bare.split_once(['=', ':']) else {
            return Err(broken(number, "is not `name = value`"));
        };
        let part = match name.trim().to_ascii_lowercase().as_str() {
            "secret_id" => &mut parts.id,
            "secret_key" => &mut parts.key,
            "token" => &mut parts.token,
            _ => continue,
        };
        let value = Zeroizing::new(value.trim().to_owned());
        if part.value.replace(value).is_some() {
            return Err(broken(number, "gives a value that was given before"));
        }
    }
    if !found {
        return Err(FileFault::Absent(format!("has no section [{section}]")));
    }
    match parts.into_credentials() {
        Ok(Some(credentials)) => Ok(ParsedFile {
            credentials: Some(credentials),
            key_use: KeyUse::AsIs,
        }),
        Ok(None) => Err(FileFault::Absent(format!(
            "has neither secret_id nor secret_key in [{section}]"
        ))),
        Err(problem) => Err(FileFault::Broken(format!("[{section}]: {problem}"))),
    }
}

fn named(name: &'static str) -> NamedValue<'static> {
    NamedValue { name, value: None }
}

fn broken(line: u32, what: &str) -> FileFault {
    FileFault::Broken(format!("line {line} {what}"))
}

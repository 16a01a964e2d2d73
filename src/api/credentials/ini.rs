//! The SDK's credentials file: sections of `secret_id = …`, `secret_key = …` and, for temporary keys, `token = …`.
//! Pure. Says where something is wrong, and never what stands there.

use zeroize::Zeroizing;

use super::parsed::{Fault, KeyUse, Parsed};
use super::value::{Part, Parts};

/// What stands in a section. Other sections may hold anything.
pub(super) fn parse(text: &str, section: &str) -> Result<Parsed, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = Parts {
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
            // Some readers take it for the rest of the line before.
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
        return Err(Fault::Absent(format!("has no section [{section}]")));
    }
    match parts.whole() {
        Ok(Some(credentials)) => Ok(Parsed {
            credentials: Some(credentials),
            way: KeyUse::AsIs,
        }),
        Ok(None) => Err(Fault::Absent(format!(
            "has neither secret_id nor secret_key in [{section}]"
        ))),
        Err(flaw) => Err(Fault::Broken(format!("[{section}]: {flaw}"))),
    }
}

fn named(name: &'static str) -> Part<'static> {
    Part { name, value: None }
}

fn broken(line: u32, what: &str) -> Fault {
    Fault::Broken(format!("line {line} {what}"))
}

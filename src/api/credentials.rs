use std::ffi::OsString;

use super::sign::{Credentials, Secret};

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
/// tccli's name, then Terraform's.
const TOKENS: [&str; 2] = ["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"];

/// Why there are no credentials. Never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No source has any.
    #[error(
        "no credentials found; tried, in order: environment ({SECRET_ID} and {SECRET_KEY} are not set). \
         Set both variables, or try without an account: add `--sim`"
    )]
    Missing,
    /// One of the pair is set.
    #[error(
        "credentials are half set: {set} is set, but {unset} is not (source tried: environment)"
    )]
    HalfSet {
        /// The variable that is set.
        set: &'static str,
        /// The one that is missing.
        unset: &'static str,
    },
    /// Set to nothing.
    #[error("{0} is set but empty; unset it or give it a value")]
    Empty(&'static str),
    /// A paste that took more than the key.
    #[error("{variable} holds {what} at byte {at}; a key has none")]
    Malformed {
        /// The variable.
        variable: &'static str,
        /// Such as `white space`.
        what: &'static str,
        /// Position in the value, from 0.
        at: usize,
    },
}

impl Credentials {
    /// Reads the SDK's variables through `lookup`. One trailing newline is forgiven, as a file read
    /// into a variable leaves it; any other white space is refused, as the SDK does.
    pub fn from_environment(
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, CredentialError> {
        let id = variable(lookup, SECRET_ID)?;
        let key = variable(lookup, SECRET_KEY)?;
        let mut token = None;
        for name in TOKENS {
            if token.is_none() {
                token = variable(lookup, name)?;
            }
        }
        match (id, key) {
            (Some(secret_id), Some(key)) => Ok(Self {
                secret_id,
                secret_key: Secret::new(key),
                token: token.map(Secret::new),
            }),
            (Some(_), None) => Err(CredentialError::HalfSet {
                set: SECRET_ID,
                unset: SECRET_KEY,
            }),
            (None, Some(_)) => Err(CredentialError::HalfSet {
                set: SECRET_KEY,
                unset: SECRET_ID,
            }),
            (None, None) => Err(CredentialError::Missing),
        }
    }
}

fn variable(
    lookup: &dyn Fn(&str) -> Option<OsString>,
    variable: &'static str,
) -> Result<Option<String>, CredentialError> {
    let Some(value) = lookup(variable) else {
        return Ok(None);
    };
    let Ok(value) = value.into_string() else {
        return Err(CredentialError::Malformed {
            variable,
            what: "bytes that are not text",
            at: 0,
        });
    };
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(CredentialError::Empty(variable));
    }
    let bad = value.char_indices().find(|(_, c)| !c.is_ascii_graphic());
    if let Some((at, c)) = bad {
        let what = if c.is_whitespace() {
            "white space"
        } else {
            "a character that is not printable ASCII"
        };
        return Err(CredentialError::Malformed { variable, what, at });
    }
    Ok(Some(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Credentials, CredentialError> {
        Credentials::from_environment(&|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| OsString::from(v))
        })
    }

    fn error(pairs: &[(&str, &str)]) -> CredentialError {
        from(pairs).err().expect("should be refused")
    }

    #[test]
    fn both_token_names_work() {
        for name in TOKENS {
            let credentials = from(&[(SECRET_ID, "AKID"), (SECRET_KEY, "key\n"), (name, "token")]);
            let credentials = credentials.expect("complete");
            assert_eq!(credentials.secret_key.expose(), "key");
            assert_eq!(credentials.token.expect("given").expose(), "token");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(error(&[]), CredentialError::Missing);
        assert!(error(&[]).to_string().contains("environment"));
        assert_eq!(
            error(&[(SECRET_ID, "AKID")]),
            CredentialError::HalfSet {
                set: SECRET_ID,
                unset: SECRET_KEY
            }
        );
        assert_eq!(
            error(&[(SECRET_ID, ""), (SECRET_KEY, "k")]),
            CredentialError::Empty(SECRET_ID)
        );
    }

    #[test]
    fn c11_white_space_inside_a_key_is_refused_by_position_and_not_echoed() {
        let error = error(&[(SECRET_ID, "AKID"), (SECRET_KEY, "hunter2 x")]);
        assert_eq!(
            error,
            CredentialError::Malformed {
                variable: SECRET_KEY,
                what: "white space",
                at: 7
            }
        );
        assert!(!error.to_string().contains("hunter2"));
    }
}

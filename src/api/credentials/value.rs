//! Checks one id, key or token in the form that it has in a variable or a file. It never quotes the value.

use zeroize::Zeroizing;

use crate::api::protocol::sign::Credentials;
use crate::model::Secret;

/// The error in a value: a clause that follows its name.
pub(super) type InvalidValue = String;

/// Returns the valid value. One newline at the end is removed, as a file read into a variable has it. Any other white
/// space is refused, as in the SDK, because somebody pasted more than the key.
pub(super) fn validate(value: &str) -> Result<&str, InvalidValue> {
    let value = value.strip_suffix('\n').unwrap_or(value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err("is set but empty; unset it or give it a value".into());
    }
    let Some((at, found)) = value.char_indices().find(|(_, c)| !c.is_ascii_graphic()) else {
        return match value.find(['"', '\'']) {
            Some(at) => Err(format!(
                "holds a quotation mark at byte {at}; a key has none"
            )),
            None => Ok(value),
        };
    };
    let what = match found {
        '\u{feff}' => "a byte order mark",
        c if c.is_whitespace() => "white space",
        _ => "a character that is not printable ASCII",
    };
    Err(format!("holds {what} at byte {at}; a key has none"))
}

/// The texts of a source that form a key pair, each with the name that a person knows.
#[derive(Default)]
pub(super) struct KeyParts<'n> {
    pub(super) id: NamedValue<'n>,
    pub(super) key: NamedValue<'n>,
    pub(super) token: NamedValue<'n>,
}

/// A text of a source, not checked yet.
#[derive(Default)]
pub(super) struct NamedValue<'n> {
    pub(super) name: &'n str,
    pub(super) value: Option<Zeroizing<String>>,
}

impl KeyParts<'_> {
    /// The credentials; `None` if nothing is set. Fails if only a part is set.
    pub(super) fn into_credentials(self) -> Result<Option<Credentials>, String> {
        let id = self.id.validate()?;
        let key = self.key.validate()?;
        let half = |set: &str, unset: &str| {
            format!("credentials are half set: {set} is set, but {unset} is not")
        };
        match (id, key) {
            (Some(id), Some(key)) => {
                let secret = |text: &str| Secret::new(text.to_string());
                let token = self.token.validate()?.map(secret);
                Ok(Some(Credentials::new(id.to_string(), secret(key), token)))
            }
            (Some(_), None) => Err(half(self.id.name, self.key.name)),
            (None, Some(_)) => Err(half(self.key.name, self.id.name)),
            // A token without a key counts as nothing.
            (None, None) => Ok(None),
        }
    }
}

impl NamedValue<'_> {
    fn validate(&self) -> Result<Option<&str>, String> {
        let Some(value) = &self.value else {
            return Ok(None);
        };
        validate(value)
            .map(Some)
            .map_err(|problem| format!("{} {problem}", self.name))
    }
}

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The Host header.
    pub host: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Arrival {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An error code, and words for it.
pub(super) type Refusal = (String, String);

pub(super) fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    (code.into(), message.into())
}

/// Reads a body as the type the action takes, with the API's codes for what does not fit.
pub(super) fn parameters<T: DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    serde_json::from_value(body.clone()).map_err(|error| {
        let words = error.to_string();
        let code = if words.contains("unknown field") {
            "UnknownParameter"
        } else if words.contains("missing field") {
            "MissingParameter"
        } else {
            "InvalidParameter"
        };
        refuse(code, words)
    })
}

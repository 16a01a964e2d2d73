//! An incoming call, the parsing of its body, and the error that refuses it. Every action needs these.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A call of the API as it arrived, before any check.
#[derive(Clone, Debug)]
pub struct IncomingCall {
    /// The `Host` header, which is part of the signature.
    pub host: String,
    /// Headers with names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl IncomingCall {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The API's answer to a call that it refuses: an error code, and a text for people.
#[derive(Debug)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
}

pub(super) fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    Refusal {
        code: code.into(),
        message: message.into(),
    }
}

/// Parses the body as the parameters of the action. A mismatch is refused with the API's codes.
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

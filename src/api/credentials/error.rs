//! Why there are no credentials, and the meaning for a call. The reader of an error must not learn any part of a
//! secret.

use crate::api::error::{CallError, Class, NO_CREDENTIALS, Refusal};
use crate::words::with_request_id;

/// Why there are no credentials. Never quotes a value, nor any other content of a file or reply that may hold one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No source that was tried has any.
    #[error(
        "no credentials found; tried, in order: {0}. \
         Set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or try without an account: add `--sim`"
    )]
    Absent(String),
    /// They exist, but cannot be used as they are.
    #[error("{0}")]
    Broken(String),
    /// The issuer was not reached, or its answer could not be understood.
    #[error("{0}")]
    Unreachable(String),
    /// The issuer refused to provide them.
    #[error("{what}: {refusal}")]
    Refused {
        /// The credentials that were requested.
        what: String,
        refusal: Box<Refusal>,
    },
}

impl CredentialError {
    /// Whether only a change on this machine can fix it, so that continuing is pointless.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::Broken(_))
    }

    /// The error and, separately, the remedy if they can be separated.
    pub fn message_and_remedy(&self) -> (String, Option<String>) {
        match self {
            Self::Absent(tried) => (
                format!("no credentials found; tried, in order: {tried}"),
                Some(
                    "set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or try without an account: add `--sim`"
                        .into(),
                ),
            ),
            Self::Broken(what) | Self::Unreachable(what) => (what.clone(), None),
            Self::Refused { what, refusal } => {
                let message = format!("{what}: {}", refusal.summary());
                let id = refusal.request_id.as_deref();
                (with_request_id(&message, id), refusal.remedy())
            }
        }
    }

    /// The meaning of a failed exchange; `what` names its purpose.
    pub(super) fn of(what: &str, error: CallError) -> Self {
        match error {
            CallError::NotSent(detail) | CallError::Unclear(detail) => {
                Self::Unreachable(format!("{what}: {detail}"))
            }
            CallError::Refused(refusal) | CallError::AccountBroken(refusal) => Self::Refused {
                what: what.to_owned(),
                refusal: refusal.into(),
            },
        }
    }
}

/// Without credentials, no call may be made.
impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        match error {
            // The code precedes this text, and the remedy follows it.
            CredentialError::Refused { what, refusal } => Self {
                message: match refusal.message.as_str() {
                    "" => what,
                    message => format!("{what}: {message}"),
                },
                class: Class::AccountBlocked,
                ..*refusal
            },
            error => Self {
                code: NO_CREDENTIALS.into(),
                message: error.to_string(),
                request_id: None,
                class: Class::AccountBlocked,
                asked: None,
                relay: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Asked;

    #[test]
    fn t9_a_refusal_without_words_ends_in_no_colon() {
        let refusal = |message: &str| Refusal {
            code: "InvalidParameter.WebIdentityTokenError".into(),
            message: message.into(),
            request_id: None,
            class: Class::OurFault,
            asked: Some(Asked::AssumePodsRole),
            relay: None,
        };
        for (message, shown) in [("", "as the pod"), ("no", "as the pod: no")] {
            let error = CredentialError::Refused {
                what: "as the pod".into(),
                refusal: refusal(message).into(),
            };
            assert_eq!(Refusal::from(error).message, shown);
        }
    }
}

//! Hides typed values in errors of the command line. A value may be a secret by mistake, and errors go to journals and
//! CI logs, so only ordinary words are quoted. All errors of clap pass through here.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::words::is_plain;

const HIDDEN: &str = "not shown because it may be a secret";

/// The error without values that may be secrets.
pub(super) fn hide(mut error: Error) -> Error {
    // Among flags, only unknown ones are quoted as they were typed.
    let kinds = match error.kind() {
        ErrorKind::UnknownArgument => &[ContextKind::InvalidValue, ContextKind::InvalidArg][..],
        _ => &[ContextKind::InvalidValue, ContextKind::InvalidSubcommand],
    };
    for &kind in kinds {
        let shown = match error.get(kind) {
            Some(ContextValue::String(text)) if !is_plain(text) => {
                ContextValue::String(HIDDEN.to_owned())
            }
            Some(ContextValue::Strings(texts)) if !texts.iter().all(|text| is_plain(text)) => {
                ContextValue::Strings(vec![HIDDEN.to_owned()])
            }
            _ => continue,
        };
        error.insert(kind, shown);
        // The suggestion may quote the same text again.
        error.remove(ContextKind::Suggested);
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

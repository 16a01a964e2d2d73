//! Words of other tools that people type by habit. Each is an error here that names the right command.

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const RECONCILE: &str = "`sharekeeper reconcile` brings images into their desired state; `sharekeeper run` keeps them there";
const UNSHARE: &str = "to end a share, declare the image `state: unshared`, or remove it from the manifests and use \
                       `sharekeeper reconcile --prune owned`";
const PLAN: &str = "`sharekeeper plan` shows what would be done, and does nothing";
const GET: &str =
    "`sharekeeper status` shows what the state knows, `sharekeeper images` what the account has";

const COMMANDS: [(&str, &str); 9] = [
    ("apply", RECONCILE),
    ("sync", RECONCILE),
    ("diff", PLAN),
    ("get", GET),
    ("list", GET),
    (
        "describe",
        "`sharekeeper explain IMAGE` says why an image is shared, or not",
    ),
    ("delete", UNSHARE),
    ("destroy", UNSHARE),
    ("unshare", UNSHARE),
];

const FLAGS: [(&str, &str); 3] = [
    ("--dry-run", PLAN),
    ("--diff", PLAN),
    (
        "--sim-reset",
        "`sharekeeper plan --sim --sim-reset` starts the simulator with a new world; this command changes nothing",
    ),
];

/// The error, with a hint to the right command if the word is known from other tools.
pub(super) fn add(mut error: Error) -> Error {
    let (kind, also, words) = match error.kind() {
        ErrorKind::InvalidSubcommand => (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
            &COMMANDS[..],
        ),
        ErrorKind::UnknownArgument => (
            ContextKind::InvalidArg,
            ContextKind::SuggestedArg,
            &FLAGS[..],
        ),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else {
        return error;
    };
    let typed = typed.split('=').next().unwrap_or_default();
    let Some((_, hint)) = words.iter().find(|(word, _)| *word == typed) else {
        return error;
    };
    // clap's suggestion is only similar in its letters.
    error.remove(also);
    let hint = vec![StyledStr::from(*hint)];
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(hint));
    error
}

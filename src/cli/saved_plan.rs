//! Saved plans as files: reading one within bounds, holding it against the command line, and saying which command carries
//! it out. What a saved plan means is `plan`'s matter.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::args::{Common, PlanArguments, ReconcileArguments};
use super::context::CommandContext;
use super::output::{self, Failure};
use crate::model::Selector;
use crate::plan::{PlanKey, SavedPlan};
use crate::words::{safe, shell};

/// Largest plan that is saved or read: some 250,000 actions, more than fit into any run.
const PLAN_BYTES_MAX: u64 = 64 << 20;
/// Largest key that is read. One of 32 random bytes is enough.
const KEY_BYTES_MAX: u64 = 4096;
/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The saved plan that is to be carried out, if one is. It never widens what the command line allows: `context` is narrowed
/// to what both allow, and where the plan was made with more than that, it is refused before anything is called.
pub(super) fn admit(
    arguments: &ReconcileArguments,
    context: &mut CommandContext,
) -> Result<Option<SavedPlan>, Failure> {
    let Some(file) = &arguments.plan else {
        return Ok(None);
    };
    let failure =
        |what: &dyn Display| Failure::new(format_args!("the saved plan {}: {what}", shown(file)));
    let saved = read(file).map_err(|error| failure(&error))?;
    let saved = SavedPlan::parse(&saved).map_err(|error| failure(&error))?;
    match &arguments.plan_key_file {
        Some(key_file) => saved
            .verify(&key(key_file)?)
            .map_err(|error| failure(&error))?,
        None if saved.is_signed() => output::warn(format_args!(
            "the saved plan {} has a MAC, which is not checked without `--plan-key-file`",
            shown(file)
        )),
        None => {}
    }
    agree(&saved, context)?;
    context.policy = saved
        .policy_within(&context.policy)
        .map_err(|error| Failure::usage(failure(&error)))?;
    context.selector = saved.selector.clone();
    Ok(Some(saved))
}

/// A saved plan has a selection of its own. Flags that select something else are not ignored silently: whoever gave them
/// believes that they limit what is about to happen.
fn agree(saved: &SavedPlan, context: &CommandContext) -> Result<(), Failure> {
    if context.selector.is_all() || context.selector == saved.selector {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "the saved plan was made for {}, and the flags pick {}; leave them out, or make a plan with them",
        safe(&saved.selector.to_string()),
        context.selector
    )))
}

fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(file)?
        .take(PLAN_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PLAN_BYTES_MAX {
        return Err(too_large(PLAN_BYTES_MAX));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))
}

/// Refuses to save what could not be read back.
pub(super) fn fits(text: &str) -> io::Result<()> {
    match text.len() as u64 > PLAN_BYTES_MAX {
        true => Err(io::Error::other(format!(
            "it would be larger than {PLAN_BYTES_MAX} bytes; plan for a part, such as `--region`, at a time"
        ))),
        false => Ok(()),
    }
}

/// The key in a file, without the newline that an editor or `openssl rand` leaves at its end.
pub(super) fn key(file: &Path) -> Result<PlanKey, Failure> {
    let failure = |what: &dyn Display| {
        Failure::new(format_args!("the plan key file {}: {what}", shown(file)))
    };
    // In memory that does not move as it fills, so that no copy stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX as usize + 1));
    let found = open(file).map_err(|error| failure(&error))?;
    let about = found.metadata().map_err(|error| failure(&error))?;
    found
        .take(KEY_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failure(&error))?;
    if bytes.len() as u64 > KEY_BYTES_MAX {
        return Err(failure(&too_large(KEY_BYTES_MAX)));
    }
    if about.is_file() && about.mode() & OTHERS != 0 {
        output::warn(format_args!(
            "others than its owner may use {} (mode {:04o}), which holds the key of saved plans; close it with `chmod 600 {}`",
            shown(file),
            about.mode() & 0o7777,
            word(file)
        ));
    }
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    PlanKey::new(key).map_err(|error| failure(&error))
}

/// Opens a file, or a stream that the shell hands over (`/dev/stdin`, `<(…)`). To open any other pipe or device would be
/// to wait for somebody to write to it.
fn open(file: &Path) -> io::Result<File> {
    let handed_over = file == Path::new("/dev/stdin")
        || ["/dev/fd", "/proc/self/fd"]
            .iter()
            .any(|folder| file.parent() == Some(Path::new(folder)));
    if !handed_over && !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    File::open(file)
}

fn too_large(bytes: u64) -> io::Error {
    io::Error::other(format!("it is larger than {bytes} bytes"))
}

/// The command that carries out the plan in `file`: the flags that it was made with are given again, because the plan
/// itself allows nothing. Of those that say where to work, the environment holds what was not typed.
pub(super) fn command(
    file: &Path,
    arguments: &PlanArguments,
    common: &Common,
    context: &CommandContext,
) -> String {
    let is_typed = |flag: &str| common.typed.contains(flag);
    let mut words = vec!["sharekeeper reconcile".to_owned()];
    words.extend(arguments.paths.paths.iter().map(|path| word(path)));
    words.extend(["--plan".into(), word(file)]);
    words.extend(context.policy.flags().iter().map(ToString::to_string));
    words.extend(narrowing(&context.selector));
    if let Some(directory) = common.state_dir.as_ref().filter(|_| is_typed("state_dir")) {
        words.push(format!("--state-dir {}", word(directory)));
    }
    let endpoint = arguments.target.endpoint.as_ref();
    if let Some(endpoint) = endpoint.filter(|_| is_typed("endpoint")) {
        words.push(format!("--endpoint {}", shell(&endpoint.to_string())));
    }
    if let Some(key) = &arguments.plan_key_file {
        words.push(format!("--plan-key-file {}", word(key)));
    }
    if arguments.target.sim && is_typed("sim") {
        words.push("--sim".into());
    }
    words.join(" ")
}

/// The flags that narrow to what `selector` picks.
fn narrowing(selector: &Selector) -> Vec<String> {
    let accounts = selector.accounts.iter().map(|it| format!("--account {it}"));
    let regions = selector.regions.iter().map(|it| format!("--region {it}"));
    let images = selector.images.iter().map(|it| format!("--image {it}"));
    let labels = selector
        .labels
        .iter()
        .map(|(name, value)| format!("-l {}", shell(&format!("{name}={value}"))));
    accounts
        .chain(regions)
        .chain(images)
        .chain(labels)
        .collect()
}

fn shown(file: &Path) -> String {
    safe(&file.display().to_string())
}

/// A path as one word of a command line, which is not taken for a flag.
fn word(path: &Path) -> String {
    let shown = shown(path);
    match shown.starts_with('-') {
        true => shell(&format!("./{shown}")).into_owned(),
        false => shell(&shown).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_s22_a_path_is_one_word_and_no_flag() {
        for (path, expected) in [
            ("plan.json", "plan.json"),
            ("-x", "./-x"),
            ("-x y", "'./-x y'"),
            ("a\u{1b}[2J", "'a\u{fffd}[2J'"),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }

    #[test]
    fn b1_s21_what_could_not_be_read_back_is_not_saved() {
        let text = "x".repeat(PLAN_BYTES_MAX as usize + 1);
        assert!(fits(&text[1..]).is_ok());
        assert!(fits(&text).is_err());
    }
}

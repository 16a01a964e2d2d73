//! Saved plans as files: reading one within limits, comparing it with the command line, and naming the command that
//! executes it. The meaning of a saved plan belongs to `plan`.

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

/// The largest plan that is saved or read: some 250,000 actions, more than fit into any run.
const PLAN_BYTES_MAX: u64 = 64 << 20;
/// The largest key that is read. 32 random bytes are enough.
const KEY_BYTES_MAX: u64 = 4096;
/// The permission bits of everybody except the owner.
const OTHERS: u32 = 0o077;

/// The saved plan to execute, if there is one. It never allows more than the command line: `context` is narrowed to
/// what both allow, and a plan that was made with more is refused before any call.
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
            "the saved plan {} is signed, and the signature is not checked without `--plan-key-file`",
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

/// Compares the plan's own selection with the flags. Flags with another selection are not ignored silently, because the
/// person believes that they limit the run.
fn agree(saved: &SavedPlan, context: &CommandContext) -> Result<(), Failure> {
    if context.selector.is_all() || context.selector == saved.selector {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "the saved plan was made for {}, but the flags select {}; omit them, or make a plan with them",
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

/// Refuses to save a plan that could not be read back.
pub(super) fn fits(text: &str) -> io::Result<()> {
    match text.len() as u64 > PLAN_BYTES_MAX {
        true => Err(io::Error::other(format!(
            "it would be larger than {PLAN_BYTES_MAX} bytes; plan for one part at a time, for example with `--region`"
        ))),
        false => Ok(()),
    }
}

/// The key in a file, without the final newline that an editor or `openssl rand` adds.
pub(super) fn key(file: &Path) -> Result<PlanKey, Failure> {
    let failure = |what: &dyn Display| {
        Failure::new(format_args!("the plan key file {}: {what}", shown(file)))
    };
    // A buffer that is not moved while it fills, so that no copy is left in memory.
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
            "users other than the owner may access {} (mode {:04o}), which holds the key of saved plans; deny this with `chmod 600 {}`",
            shown(file),
            about.mode() & 0o7777,
            word(file)
        ));
    }
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    PlanKey::new(key).map_err(|error| failure(&error))
}

/// Opens a file, or a stream that the shell provides (`/dev/stdin`, `<(…)`). Opening any other pipe or device would
/// mean waiting for somebody to write to it.
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

/// The command that executes the plan in `file`. It repeats the flags that the plan was made with, because the plan
/// itself allows nothing. Flags for places that came from the environment are not repeated.
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

/// The flags that narrow to the selection of `selector`.
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

/// A path as one word of a command line that is not mistaken for a flag.
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

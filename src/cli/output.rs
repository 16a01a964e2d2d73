use std::io::{self, Write};

use serde::Serialize;

use super::args::{Color, Output};
use crate::api::ClientContext;
use crate::engine::StopReason;
use crate::host::Host;
use crate::report::{ErrorDocument, ExitStatus};

/// Why a command ends without a result of its own.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the process.
    pub exit: ExitStatus,
    /// For a person; may have several lines.
    pub message: String,
}

impl Failure {
    /// Exit status 1.
    pub(super) fn new(message: impl std::fmt::Display) -> Self {
        Self {
            exit: ExitStatus::Error,
            message: message.to_string(),
        }
    }

    /// Exit status 64: the command line asks for what cannot be.
    pub(super) fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            exit: ExitStatus::Usage,
            ..Self::new(message)
        }
    }

    /// Ended before anything was decided.
    pub(super) fn stopped(reason: StopReason) -> Self {
        let (exit, why) = match reason {
            StopReason::Interrupted => (ExitStatus::Interrupted, "interrupted"),
            StopReason::Terminated => (ExitStatus::Terminated, "terminated"),
            StopReason::HungUp => (ExitStatus::HungUp, "its terminal was closed"),
            StopReason::TimedOut => (ExitStatus::Error, "out of time"),
            StopReason::Superseded => (ExitStatus::Error, "superseded by newer manifests"),
        };
        Self {
            exit,
            message: format!("{why} before anything was decided; nothing was done"),
        }
    }

    /// The error and what caused it, on one line.
    pub(super) fn from_error(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let what = cause.to_string();
            // Some errors end with their cause already.
            if !message.ends_with(&what) {
                message.push_str(": ");
                message.push_str(&what);
            }
            source = cause.source();
        }
        Self::new(message)
    }
}

impl From<io::Error> for Failure {
    /// Reading is done with care elsewhere; what fails bare is writing the result.
    fn from(error: io::Error) -> Self {
        Self::new(format_args!("cannot write the result: {error}"))
    }
}

/// Lets anstream know when to keep colour codes, on both streams.
pub(super) fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::AlwaysAnsi,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Prints a result: the document as JSON, or its text.
pub(super) fn print(output: Output, document: &impl Serialize, text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match output {
        Output::Text => stdout.write_all(text.as_bytes())?,
        Output::Json => {
            serde_json::to_writer(&mut stdout, document)?;
            stdout.write_all(b"\n")?;
        }
    }
    stdout.flush()
}

/// Prints what is neither text nor JSON but a file of its own: a schema, a script, a manual page.
pub(super) fn print_raw(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// A line for a person, on stderr. There is nowhere to report that stderr is closed.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Reports a failure on stderr, and as a document where one was asked for.
pub(super) fn fail(output: Output, failure: &Failure) -> io::Result<()> {
    error(&failure.message);
    match output {
        Output::Text => Ok(()),
        Output::Json => print(
            output,
            &ErrorDocument::new(failure.exit, &failure.message),
            "",
        ),
    }
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const WARNING: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();

/// A warning for a person, on stderr.
pub(super) fn warn(text: impl std::fmt::Display) {
    note(format_args!("{WARNING}warning{WARNING:#}: {text}"));
}

/// Warns of access points whose clocks are far off, on stderr; the warnings, for the document.
pub(super) fn clock_warnings<H: Host>(context: &ClientContext<H>) -> Vec<String> {
    let news = context.clocks.take_reports(context.now()).into_iter();
    let warnings: Vec<_> = news
        .filter(|news| !news.is_right)
        .map(|news| news.text)
        .collect();
    warnings.iter().for_each(warn);
    warnings
}

/// An error for a person, on stderr.
pub(super) fn error(text: impl std::fmt::Display) {
    note(format_args!("{ERROR}error{ERROR:#}: {text}"));
}

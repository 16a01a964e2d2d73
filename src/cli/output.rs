//! The output of a command: on which stream and in which form; and why a command fails. Results go to stdout,
//! everything else to stderr.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::args::{ColorWhen, OutputFormat};
use super::stderr;
use crate::api::ClientContext;
use crate::engine::StopReason;
use crate::host::Host;
use crate::report::{ErrorDocument, ExitStatus};
use crate::words::without_secrets;

/// Why a command ends without its normal result.
#[derive(Debug)]
pub(super) enum Failure {
    /// A message that must still be printed.
    Message {
        exit: ExitStatus,
        /// One line or more for a person.
        message: String,
    },
    /// Everything was already printed, in the requested form.
    Reported(ExitStatus),
}

impl Failure {
    /// With exit status 1.
    pub(super) fn new(message: impl Display) -> Self {
        Self::with_exit(ExitStatus::Error, message)
    }

    pub(super) fn with_exit(exit: ExitStatus, message: impl Display) -> Self {
        Self::Message {
            exit,
            message: message.to_string(),
        }
    }

    /// A failure with exit status 64: the command line asks for something impossible.
    pub(super) fn usage(message: impl Display) -> Self {
        Self::with_exit(ExitStatus::Usage, message)
    }

    /// A command that was stopped before it decided anything.
    pub(super) fn stopped(reason: StopReason) -> Self {
        let (exit, why) = match reason {
            StopReason::Interrupted => (ExitStatus::Interrupted, "interrupted"),
            StopReason::Terminated => (ExitStatus::Terminated, "terminated"),
            StopReason::HungUp => (ExitStatus::HungUp, "its terminal was closed"),
            StopReason::TimedOut => (ExitStatus::Error, "out of time"),
            StopReason::Superseded => (ExitStatus::Error, "superseded by newer manifests"),
        };
        let message = format_args!("{why} before anything was decided; nothing was done");
        Self::with_exit(exit, message)
    }

    /// The error and its causes, joined to one line.
    pub(super) fn from_error(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let what = cause.to_string();
            // The text of some errors already ends with their cause.
            if !message.ends_with(&what) {
                message.push_str(": ");
                message.push_str(&what);
            }
            source = cause.source();
        }
        Self::new(message)
    }

    pub(super) fn exit(&self) -> ExitStatus {
        match self {
            Self::Message { exit, .. } | Self::Reported(exit) => *exit,
        }
    }
}

impl Display for Failure {
    /// Displays nothing if everything was already printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { message, .. } => f.write_str(message),
            Self::Reported(_) => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    /// All other errors are converted where they occur. Only a failed write of the result is left. A reader that has
    /// closed its end, such as `head`, has what it needs, so this is not an error.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Reported(ExitStatus::ClosedPipe);
        }
        Self::new(format_args!("cannot write the result: {error}"))
    }
}

/// Tells anstream whether to keep colour codes, for both streams.
pub(super) fn choose_color(color: ColorWhen) {
    let choice = match color {
        ColorWhen::Auto => anstream::ColorChoice::Auto,
        ColorWhen::Always => anstream::ColorChoice::AlwaysAnsi,
        ColorWhen::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Set while a result is being written, which may wait for its reader.
static IS_PRINTING: AtomicBool = AtomicBool::new(false);

/// Whether a result is being written at this moment.
pub(super) fn is_printing() -> bool {
    IS_PRINTING.load(Ordering::SeqCst)
}

fn print_whole(print: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    IS_PRINTING.store(true, Ordering::SeqCst);
    let printed = print();
    IS_PRINTING.store(false, Ordering::SeqCst);
    printed
}

/// Prints a result: `document` as JSON, or `text`.
pub(super) fn print(format: OutputFormat, document: &impl Serialize, text: &str) -> io::Result<()> {
    print_whole(|| {
        let mut stdout = anstream::stdout().lock();
        match format {
            OutputFormat::Text => stdout.write_all(text.as_bytes())?,
            OutputFormat::Json => {
                serde_json::to_writer(&mut stdout, document)?;
                stdout.write_all(b"\n")?;
            }
        }
        stdout.flush()
    })
}

/// Prints a text without a document: help.
pub(super) fn print_text(text: &str) -> io::Result<()> {
    print_whole(|| {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    })
}

/// Prints a file with its own format: a schema, a completion script, a manual page.
pub(super) fn print_raw(bytes: &[u8]) -> io::Result<()> {
    print_whole(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    })
}

/// Prints a line for a person on stderr. Possible secrets are removed, because it may quote typed text.
pub(super) fn note(text: impl Display) {
    stderr::print(without_secrets(&text.to_string()));
}

/// Reports a failure, unless that was already done: on stderr, and as a document if JSON was requested.
pub(super) fn fail(format: OutputFormat, failure: &Failure) -> io::Result<()> {
    let Failure::Message { exit, message } = failure else {
        return Ok(());
    };
    error(message);
    match format {
        OutputFormat::Text => Ok(()),
        OutputFormat::Json => {
            let message = without_secrets(message);
            print(format, &ErrorDocument::new(*exit, &message), "")
        }
    }
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const WARNING: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();

/// Prints a warning for a person on stderr.
pub(super) fn warn(text: impl Display) {
    note(format_args!("{WARNING}warning{WARNING:#}: {text}"));
}

/// Warns on stderr about access points whose clocks are far off. Returns the warnings, for the document.
pub(super) fn clock_warnings<H: Host>(context: &ClientContext<H>) -> Vec<String> {
    let news = context.clocks.take_reports(context.now()).into_iter();
    let warnings: Vec<_> = news
        .filter(|news| !news.is_right)
        .map(|news| news.text)
        .collect();
    warnings.iter().for_each(warn);
    warnings
}

/// Prints an error for a person on stderr.
pub(super) fn error(text: impl Display) {
    note(format_args!("{ERROR}error{ERROR:#}: {text}"));
}

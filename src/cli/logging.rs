//! The log on stderr: its level, its form, and the rule that it shows only sharekeeper's own events.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::args::{Common, LogFormat, LogLevel};
use super::progress::Stderr;

/// Sends the log to stderr. Only sharekeeper's own events are logged, so that a library that logs requests or headers
/// at trace level cannot print a secret.
pub(super) fn start(common: &Common, default: LogLevel, stderr: &Stderr) {
    let level = match common.log_level.unwrap_or(default) {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = tracing_subscriber::filter::Targets::new().with_target("sharekeeper", level);
    let writer = Writer(stderr.clone());
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    use tracing_subscriber::{Layer, fmt};
    let ansi = matches!(
        anstream::AutoStream::choice(&std::io::stderr()),
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi
    );
    let layer = match common.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(writer)
            .with_ansi(ansi)
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(writer)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs the place of a panic, but not its message, which may quote a secret.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map_or_else(Default::default, ToString::to_string);
    tracing::error!(place, "a fault in sharekeeper; please report it");
}

struct Writer(Stderr);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Stderr {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::Parser;

    use super::*;
    use crate::cli::args::Arguments;

    /// Tells the child process, which runs this test again, how to log.
    const FORMAT: &str = "SHAREKEEPER_TEST_LOG";
    const CANARY: &str = "c4n4ryB1rdS1ngs";

    fn panic_twice(format: &str) {
        let flags = ["sharekeeper", "validate", "--log-format", format];
        let common = Arguments::try_parse_from(flags).expect("flags").common;
        start(&common, LogLevel::Trace, &Stderr::default());
        let plain = std::panic::catch_unwind(|| panic!("{format} {CANARY}"));
        let failed = String::from_utf8([CANARY.as_bytes(), b"\xff"].concat());
        let of_an_error = std::panic::catch_unwind(|| failed.expect(CANARY));
        assert!(plain.is_err() && of_an_error.is_err());
    }

    #[test]
    fn s12_a_panic_is_told_of_by_its_place_and_never_by_its_words() {
        if let Ok(format) = std::env::var(FORMAT) {
            return panic_twice(&format);
        }
        for format in ["text", "json"] {
            let name =
                "cli::logging::tests::s12_a_panic_is_told_of_by_its_place_and_never_by_its_words";
            let output = Command::new(std::env::current_exe().expect("this binary"))
                .args(["--exact", name, "--nocapture"])
                .env(FORMAT, format)
                .env("RUST_BACKTRACE", "full")
                .output()
                .expect("a child");
            let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
            assert!(output.status.success(), "{said}");
            assert_eq!(said.matches("logging.rs:").count(), 2, "{format}: {said}");
            for run in CANARY.as_bytes().windows(8) {
                let run = std::str::from_utf8(run).expect("ASCII");
                assert!(!said.contains(run), "{format}: {said}");
            }
        }
    }
}

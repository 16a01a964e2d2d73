use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::args::{Common, LogFormat, LogLevel};
use super::progress::Stderr;

/// Sends the log to stderr. Only sharekeeper's own events: a library that logs requests or headers at
/// trace level never gets to print them.
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
    std::panic::set_hook(Box::new(|panic| {
        // Not its words: they may quote anything, a secret among it.
        let place = panic
            .location()
            .map_or_else(Default::default, ToString::to_string);
        tracing::error!(place, "a fault in sharekeeper; please report it");
    }));
}

struct Writer(Stderr);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Stderr {
        self.0.clone()
    }
}

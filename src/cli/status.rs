//! `status`: shows the running daemon's view from the state directory, and the content of the state. It makes no calls.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::args::{Common, OutputFormat, StatusArguments};
use super::output::{self, Failure};
use super::{screen, state};
use crate::host::{Clock, ProcessIdentity, SystemClock, is_reader_gone};
use crate::model::Selector;
use crate::report::{DaemonView, ExitStatus, StatusDocument};
use crate::store::{Holder, Reader};
use crate::words::rfc3339;

/// The time between two refreshes of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(
    arguments: &StatusArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    if arguments.watch && common.output == OutputFormat::Json {
        return Err(Failure::usage(
            "`--watch` shows text: `-o json` prints exactly one document; repeat `status -o json` for another one",
        ));
    }
    let directory = state::directory(common, arguments.state.sim)?;
    if arguments.watch {
        return watch(&directory).await;
    }
    let document = look(&directory).await?;
    output::print(common.output, &document, &document.text())?;
    Ok(ExitStatus::Done)
}

async fn look(directory: &Path) -> Result<StatusDocument, Failure> {
    let reader = state::read(directory)?;
    let summary = reader.summary().map_err(Failure::new)?;
    let parked = state::parked_images(&reader, &Selector::default()).await?;
    let daemon = daemon_view(&reader, summary.holder.as_ref());
    let directory = crate::words::safe(&directory.to_string_lossy());
    Ok(StatusDocument::new(
        &directory,
        summary,
        parked,
        daemon,
        state::now(),
    ))
}

fn daemon_view(reader: &Reader, holder: Option<&Holder>) -> DaemonView {
    match reader.daemon_summary() {
        Ok(None) => DaemonView::None,
        Ok(Some(text)) => {
            let presence = |process: &ProcessIdentity| process.presence().ok();
            DaemonView::of(&text, holder, presence, state::now())
        }
        Err(error) => DaemonView::unreadable(&error.to_string()),
    }
}

/// Shows the status until a signal ends the process, or nobody reads any longer. A terminal is refreshed each time; any
/// other output gets the changed status appended.
async fn watch(directory: &Path) -> Result<ExitStatus, Failure> {
    let clock = SystemClock::start();
    let is_screen = screen::is_there();
    let mut shown = None;
    loop {
        let document = look(directory).await?;
        if is_screen {
            screen::draw(&format!("{}\n{}", rfc3339(clock.now()), document.text()))?;
        } else {
            let body = document.body();
            if shown.as_ref() != Some(&body) {
                let between = if shown.is_some() { "\n" } else { "" };
                let now = rfc3339(clock.now());
                let text = format!("{between}{now}\n{}", document.text());
                output::print(OutputFormat::Text, &document, &text)?;
                shown = Some(body);
            }
        }
        clock.sleep_until(clock.monotonic() + WATCH_INTERVAL).await;
        if is_reader_gone(io::stdout()) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
    }
}

//! Writes the daemon's view to the state directory, for `status`. This happens outside the engine's thread, and nothing
//! waits for it.

use std::cell::Cell;
use std::sync::Arc;

use crate::api::ClientContext;
use crate::cli::output::Failure;
use crate::daemon::{self, StatusPublisher};
use crate::host::{ProcessIdentity, System, spawn_blocking};
use crate::model::Timestamp;
use crate::report::DaemonSummary;
use crate::status::Board;
use crate::store::{Store, SummaryFile};

/// The process of the summary, and its place.
struct SummaryWriter {
    file: SummaryFile,
    process: ProcessIdentity,
}

impl SummaryWriter {
    fn of(store: &Store) -> Result<Self, String> {
        let file = store.summary_file().map_err(|error| error.to_string())?;
        let process = ProcessIdentity::of_this_process();
        let process = process.map_err(|error| format!("/proc does not name this process: {error}"));
        Ok(Self {
            file,
            process: process?,
        })
    }

    fn write(&self, board: Board, now: Timestamp) -> Result<(), String> {
        let summary = DaemonSummary::of(&board, &self.process, now);
        // Otherwise, the engine would copy its changes for as long as the disk takes.
        drop(board);
        let written = self.file.write(&summary.to_json());
        written.map_err(|error| error.to_string())
    }
}

/// Writes a summary regularly for as long as the daemon runs. An error is reported once, and stops no work.
pub(super) async fn leave_summary(
    store: &Store,
    context: &ClientContext<System>,
    publisher: &StatusPublisher<System>,
) -> Failure {
    let writer = match SummaryWriter::of(store) {
        Ok(writer) => Arc::new(writer),
        Err(why) => {
            tell(&why);
            return std::future::pending().await;
        }
    };
    let is_told = Cell::new(false);
    let leave = async |board: Board, now: Timestamp| {
        let writer = Arc::clone(&writer);
        let written = spawn_blocking(move || writer.write(board, now)).await;
        if let Err(why) = written
            && !is_told.replace(true)
        {
            tell(&why);
        }
    };
    match daemon::keep_summary(&context.host, publisher, leave).await {}
}

fn tell(why: &str) {
    tracing::warn!(
        "`sharekeeper status` cannot show this daemon's view; the work continues: {why}"
    );
}

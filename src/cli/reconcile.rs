use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::future::{Either, select};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Output, ReconcileArguments};
use super::output::{self, Failure};
use super::progress::{Progress, Stderr};
use super::session::{self, Session};
use crate::api::{ReadClient, WriteClient};
use crate::desired::Desired;
use crate::engine::{Engine, Stop, StopReason};
use crate::host::{Clock, LogJournal};
use crate::report::{CallCounts, Ending, ExitStatus, ReconcileDocument};

/// `reconcile`.
pub(super) async fn run(
    arguments: &ReconcileArguments,
    desired: &Desired,
    mut session: Session,
    output: Output,
    stderr: Stderr,
) -> Result<u8, Failure> {
    let shared = session::shared()?;
    let connections = std::mem::take(&mut session.connections).into_iter();
    let accounts: BTreeMap<_, _> = connections
        .map(|(name, connection)| {
            (
                name,
                WriteClient::new(ReadClient::new(Rc::clone(&shared), connection)),
            )
        })
        .collect();
    let (stop, progress) = (Stop::default(), Progress::new(stderr));
    let started = shared.host.moment();
    let scopes = {
        let engine = Engine {
            accounts: &accounts,
            journal: &LogJournal,
            listener: &progress,
            stop: &stop,
        };
        let work = std::pin::pin!(engine.reconcile(desired, arguments.timeout));
        let signals = std::pin::pin!(signals(&stop));
        match select(work, signals).await {
            Either::Left((scopes, _)) => scopes,
            Either::Right((error, _)) => {
                return Err(Failure::new(format_args!(
                    "cannot listen for signals: {error}"
                )));
            }
        }
    };
    drop(progress);
    session.close().await?;
    let calls = &shared.calls;
    let ending = Ending {
        stopped: stop.reason(),
        calls: CallCounts {
            reads: calls.reads.get(),
            writes: calls.writes.get(),
            throttled: calls.throttled.get(),
        },
        elapsed: shared.host.moment().since(started),
    };
    let document = ReconcileDocument::new(&scopes, ending);
    if let Some(error) = document.error() {
        output::error(error);
    }
    output::print(output, &document, document.text())?;
    Ok(document.exit_code())
}

/// The first SIGINT or SIGTERM asks for the end; the second takes it. Returns only if signals cannot be
/// had.
async fn signals(stop: &Stop) -> std::io::Error {
    let listen = || {
        Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    };
    let (mut interrupt, mut terminate) = match listen() {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        let (reason, status) = tokio::select! {
            _ = interrupt.recv() => (StopReason::Interrupted, ExitStatus::Interrupted),
            _ = terminate.recv() => (StopReason::Terminated, ExitStatus::Terminated),
        };
        if stop.reason().is_some() {
            leave_at_once(status);
        }
        output::note(
            "stopping: no new calls; waiting for those in flight (once more to leave at once)",
        );
        stop.trip(reason);
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal means at once")]
fn leave_at_once(status: ExitStatus) {
    std::process::exit(status.code().into());
}

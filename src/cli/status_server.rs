//! The status port of `run`: its address, its readers, and the daemon's view that it shows.

use std::rc::Rc;
use std::sync::Arc;

use chrono::TimeDelta;

use super::args::{Listen, ReportingArguments};
use super::output::Failure;
use super::stderr;
use crate::api::{CallBreakdown, ClientContext};
use crate::daemon::StatusPublisher;
use crate::host::{Clock, System, SystemClock, process_counts};
use crate::metrics::{MetricsExtra, WebhookCounts, metrics};
use crate::model::Timestamp;
use crate::serve::{
    EngineEnd, Health, PortThread, Settings, Snapshot, StatusServer, StatusSource, Token, border,
};
use crate::status::{Board, RunSettings};
use crate::webhooks::{Stats, WebhookSender};

/// Binds the address; `None` with `--listen off`.
pub(super) fn bind(arguments: &ReportingArguments) -> Result<Option<StatusServer>, Failure> {
    let Listen::At(listen) = arguments.listen else {
        return Ok(None);
    };
    let token = match &arguments.listen_token_file {
        None => None,
        Some(file) => {
            let failure = |what: &dyn std::fmt::Display| {
                Failure::new(format_args!("the token file {}: {what}", file.display()))
            };
            let text = std::fs::read_to_string(file).map_err(|error| failure(&error))?;
            // An editor and `openssl rand` add a newline at the end.
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            Some(Token::new(text).map_err(|error| failure(&error))?)
        }
    };
    let settings = Settings {
        listen,
        hosts: arguments.allow_hosts.clone(),
        token,
    };
    let port = StatusServer::bind(settings).map_err(|error| {
        Failure::new(format_args!(
            "cannot listen on {listen}: {error}; pick another address with `--listen`, or none with `--listen off`"
        ))
    })?;
    tracing::info!("the status page is on http://{}/", port.address());
    Ok(Some(port))
}

/// Serves the port on a separate thread. Returns the engine's end of the channel to it.
pub(super) fn spawn(port: StatusServer) -> Result<(EngineEnd<SystemClock>, PortThread), Failure> {
    let (engine, border) = border(SystemClock::start());
    let thread = port.spawn(border).map_err(|error| {
        Failure::new(format_args!(
            "cannot start the thread of the status port: {error}"
        ))
    })?;
    Ok((engine, thread))
}

/// The daemon in the form that the status port shows.
pub(super) struct DaemonView {
    publisher: Rc<StatusPublisher<System>>,
    context: Rc<ClientContext<System>>,
    webhook_sender: WebhookSender,
    settings: Arc<RunSettings>,
}

impl DaemonView {
    pub(super) fn new(
        publisher: &Rc<StatusPublisher<System>>,
        context: &Rc<ClientContext<System>>,
        webhook_sender: WebhookSender,
        settings: RunSettings,
    ) -> Rc<Self> {
        Rc::new(Self {
            publisher: Rc::clone(publisher),
            context: Rc::clone(context),
            webhook_sender,
            settings: Arc::new(settings),
        })
    }
}

/// The daemon's data at one moment.
struct DaemonSnapshot {
    board: Board,
    taken_at: Timestamp,
    calls: CallBreakdown,
    clock_offset: TimeDelta,
    webhooks: Vec<Stats>,
}

impl StatusSource for DaemonView {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let context = &self.context;
        let board = self.publisher.board(Board::clone);
        Arc::new(DaemonSnapshot {
            board: board.with_run_settings(Arc::clone(&self.settings)),
            taken_at: context.now(),
            calls: context.calls.breakdown().clone(),
            clock_offset: context
                .clocks
                .largest_offset(context.now(), context.host.monotonic()),
            webhooks: self.webhook_sender.stats(),
        })
    }

    fn health(&self) -> Health {
        self.publisher.board(|board| Health {
            alive: board.alive(),
            ready: board.ready(),
        })
    }

    fn is_state_lost(&self) -> bool {
        self.publisher.board(|board| board.state().lost.is_some())
    }

    fn version(&self) -> u64 {
        self.publisher.board(Board::version)
    }

    async fn changed(&self, version: u64) {
        self.publisher.newer_than(version).await;
    }
}

impl Snapshot for DaemonSnapshot {
    fn board(&self) -> &Board {
        &self.board
    }

    fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    fn metrics(&self) -> String {
        let webhooks = self.webhooks.iter().map(|stats| WebhookCounts {
            name: &stats.name,
            sent: stats.sent,
            failed: stats.failed,
            dropped: stats.dropped,
        });
        let webhooks: Vec<_> = webhooks.collect();
        let extra = MetricsExtra {
            ready: self.board.ready().is_ok(),
            clock_offset: self.clock_offset,
            webhooks: &webhooks,
            log_dropped: stderr::dropped(),
            process: process_counts(),
        };
        metrics(&self.board, &self.calls, &extra, self.taken_at)
    }
}

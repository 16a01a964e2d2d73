//! The status port of `run`: where it listens, who may read it, and what it shows of the daemon.

use std::rc::Rc;

use super::args::{Listen, ReportingArguments};
use super::output::Failure;
use crate::api::ClientContext;
use crate::daemon::StatusPublisher;
use crate::host::{Clock, System, process_counts};
use crate::metrics::{MetricsExtra, WebhookCounts, metrics};
use crate::serve::{Health, Settings, StatusServer, StatusSource, Token};
use crate::status::Board;
use crate::webhooks::WebhookSender;

/// Binds the address; `None` with `--listen off`.
pub(super) async fn bind(arguments: &ReportingArguments) -> Result<Option<StatusServer>, Failure> {
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
            // An editor and `openssl rand` leave a newline at the end.
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
    let port = StatusServer::bind(settings).await.map_err(|error| {
        Failure::new(format_args!(
            "cannot listen on {listen}: {error}; pick another address with `--listen`, or none with `--listen off`"
        ))
    })?;
    tracing::info!("the status page is on http://{}/", port.address());
    Ok(Some(port))
}

/// The daemon as the status port shows it.
pub(super) struct DaemonView {
    publisher: Rc<StatusPublisher<System>>,
    context: Rc<ClientContext<System>>,
    webhook_sender: WebhookSender,
}

impl DaemonView {
    pub(super) fn new(
        publisher: &Rc<StatusPublisher<System>>,
        context: &Rc<ClientContext<System>>,
        webhook_sender: WebhookSender,
    ) -> Rc<Self> {
        Rc::new(Self {
            publisher: Rc::clone(publisher),
            context: Rc::clone(context),
            webhook_sender,
        })
    }
}

impl StatusSource for DaemonView {
    fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        self.publisher.board(read)
    }

    fn metrics(&self) -> String {
        let stats = self.webhook_sender.stats();
        let webhooks: Vec<_> = stats
            .iter()
            .map(|stats| WebhookCounts {
                name: &stats.name,
                sent: stats.sent,
                failed: stats.failed,
                dropped: stats.dropped,
            })
            .collect();
        let (context, process) = (&self.context, process_counts());
        self.publisher.board(|board| {
            let extra = MetricsExtra {
                ready: board.ready().is_ok(),
                clock_offset: context.clocks.largest_offset(),
                webhooks: &webhooks,
                process,
            };
            metrics(board, &context.calls, &extra, context.now())
        })
    }

    fn health(&self) -> Health {
        self.publisher.board(|board| Health {
            alive: board.alive(),
            ready: board.ready(),
        })
    }

    async fn changed(&self, version: u64) {
        self.publisher.newer_than(version).await;
    }

    fn clock(&self) -> &impl Clock {
        &self.context.host
    }
}

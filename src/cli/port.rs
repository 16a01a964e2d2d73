//! What the status port shows.

use std::rc::Rc;

use super::args::{Listen, Showing};
use super::output::Failure;

use super::session::System;
use crate::api::ClientContext;
use crate::daemon::StatusPublisher;
use crate::host::{Clock, process_counts};
use crate::metrics::{MetricsExtra, WebhookCounts, metrics};
use crate::serve::{Health, Port, Settings, Show, Token};
use crate::status::Board;
use crate::webhooks::WebhookSender;

/// Takes the address, if there is to be a port.
pub(super) async fn open(arguments: &Showing) -> Result<Option<Port>, Failure> {
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
            // As an editor and `openssl rand` leave it.
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
    let port = Port::bind(settings).await.map_err(|error| {
        Failure::new(format_args!(
            "cannot listen on {listen}: {error}; pick another address with `--listen`, or none with `--listen off`"
        ))
    })?;
    tracing::info!("the status page is on http://{}/", port.address());
    Ok(Some(port))
}

/// The daemon, as the port sees it.
pub(super) struct Shown {
    publisher: Rc<StatusPublisher<System>>,
    context: Rc<ClientContext<System>>,
    outbox: WebhookSender,
}

impl Shown {
    pub(super) fn new(
        publisher: &Rc<StatusPublisher<System>>,
        context: &Rc<ClientContext<System>>,
        outbox: WebhookSender,
    ) -> Rc<Self> {
        Rc::new(Self {
            publisher: Rc::clone(publisher),
            context: Rc::clone(context),
            outbox,
        })
    }
}

impl Show for Shown {
    fn board<T>(&self, read: impl FnOnce(&Board) -> T) -> T {
        self.publisher.board(read)
    }

    fn metrics(&self) -> String {
        let stats = self.outbox.stats();
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

//! Sends updates to the daemon, and none that says the same as the last.

use tokio::sync::mpsc::Sender;

use super::{Generation, ManifestProblem, ReceiverClosed, Update};

/// Sends what is news, and nothing twice in a row.
pub(super) struct UpdateSender {
    updates: Sender<Update>,
    last: Option<Last>,
}

enum Last {
    Loaded(Generation),
    Broken(Vec<ManifestProblem>),
}

impl UpdateSender {
    pub(super) fn new(updates: Sender<Update>) -> Self {
        Self {
            updates,
            last: None,
        }
    }

    pub(super) async fn loaded(&mut self, generation: Generation) -> Result<(), ReceiverClosed> {
        if matches!(&self.last, Some(Last::Loaded(last)) if *last == generation) {
            return Ok(());
        }
        let update = Update::Loaded(Box::new(generation.clone()));
        self.last = Some(Last::Loaded(generation));
        self.updates.send(update).await.map_err(|_| ReceiverClosed)
    }

    pub(super) async fn broken(
        &mut self,
        problems: Vec<ManifestProblem>,
    ) -> Result<(), ReceiverClosed> {
        if matches!(&self.last, Some(Last::Broken(last)) if *last == problems) {
            return Ok(());
        }
        let update = Update::Broken(problems.clone());
        self.last = Some(Last::Broken(problems));
        self.updates.send(update).await.map_err(|_| ReceiverClosed)
    }

    /// What was asked for is done.
    pub(super) async fn asked(&mut self) -> Result<(), ReceiverClosed> {
        self.updates
            .send(Update::Asked)
            .await
            .map_err(|_| ReceiverClosed)
    }

    /// Whether a good set was the last that was sent.
    pub(super) fn is_loaded(&self) -> bool {
        matches!(self.last, Some(Last::Loaded(_)))
    }
}

//! Sends updates to the daemon, and omits one that repeats the last.

use tokio::sync::mpsc::Sender;

use super::{Generation, ManifestProblem, ReceiverClosed, Update};

/// Sends an update only if it differs from the last one.
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

    /// Reports that a reading that was asked for is complete.
    pub(super) async fn asked(&mut self) -> Result<(), ReceiverClosed> {
        self.updates
            .send(Update::Asked)
            .await
            .map_err(|_| ReceiverClosed)
    }

    /// Whether the last update sent was a good set.
    pub(super) fn is_loaded(&self) -> bool {
        matches!(self.last, Some(Last::Loaded(_)))
    }
}

use std::future::Future;

use super::Attempt;

/// The record could not be kept; the write it was for must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not record the intended write: {0}")]
pub struct JournalError(pub String);

/// The record of writes: the intent before the first byte leaves, the outcome after.
pub trait Journal {
    /// Returns once the intent is as durable as this journal makes it.
    fn intent(&self, attempt: &Attempt) -> impl Future<Output = Result<(), JournalError>>;
    /// What came of it, in one line, with the RequestId where there is one.
    fn outcome(
        &self,
        attempt: &Attempt,
        outcome: &str,
        request_id: Option<&str>,
    ) -> impl Future<Output = Result<(), JournalError>>;
}

/// Keeps the record in the log: one line for each attempt and one for each outcome.
pub struct LogJournal;

impl Journal for LogJournal {
    async fn intent(&self, attempt: &Attempt) -> Result<(), JournalError> {
        tracing::debug!(
            account = %attempt.key.scope.account,
            region = %attempt.key.scope.region,
            image = %attempt.key.image,
            permission = attempt.permission.as_str(),
            cause = attempt.cause.as_str(),
            source = attempt.source.as_ref().map(tracing::field::display),
            attempt = attempt.number,
            "sending"
        );
        Ok(())
    }

    async fn outcome(
        &self,
        attempt: &Attempt,
        outcome: &str,
        request_id: Option<&str>,
    ) -> Result<(), JournalError> {
        tracing::info!(
            account = %attempt.key.scope.account,
            region = %attempt.key.scope.region,
            image = %attempt.key.image,
            permission = attempt.permission.as_str(),
            cause = attempt.cause.as_str(),
            source = attempt.source.as_ref().map(tracing::field::display),
            attempt = attempt.number,
            request_id,
            outcome,
            "answered"
        );
        Ok(())
    }
}

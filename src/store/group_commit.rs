//! Group commit: passes requests to the thread that owns the connection. Requests that arrive while a transaction is
//! written to disk go into the next transaction, so that all who wait share the cost of a commit. This file must not know
//! what the requests do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::commit_thread::CommitThread;
use super::error::StoreError;
use super::integrity::IntegrityCheck;
use super::patience::Patience;
use super::request::{Condition, Message, Priority, Reply, Request, Settle, Work};
use super::space::Upkeep;

/// How many requests can wait. Further callers wait for a place among them.
const QUEUE_MAX: usize = 1_024;

/// The handle of the thread that commits.
#[derive(Debug)]
pub(super) struct Committer {
    messages: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    failure: watch::Receiver<Option<StoreError>>,
    is_suspect: Arc<AtomicBool>,
    patience: Patience,
}

impl Committer {
    /// Starts the thread, which owns `conn` from then on.
    pub(super) fn start(
        mut conn: Connection,
        integrity: IntegrityCheck,
        upkeep: Upkeep,
    ) -> io::Result<Self> {
        let (messages, queue) = mpsc::channel(QUEUE_MAX);
        let (set_failure, failure) = watch::channel(None);
        let is_suspect = integrity.is_suspect();
        let patience = Patience::default();
        patience.install(&mut conn).map_err(io::Error::other)?;
        let committing = CommitThread::new(conn, integrity, upkeep, patience.clone(), set_failure);
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || committing.run(queue))?;
        Ok(Self {
            messages: Some(messages),
            thread: Some(thread),
            failure,
            is_suspect,
            patience,
        })
    }

    /// Whether the state seemed to be lost, and is being checked a second time.
    pub(super) fn is_verifying(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    /// Why every request is refused at the moment, if they are.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    /// Returns as soon as every request is refused.
    pub(super) async fn until_failure(&self) -> StoreError {
        let mut failure = self.failure.clone();
        if let Ok(error) = failure.wait_for(Option::is_some).await
            && let Some(error) = &*error
        {
            return error.clone();
        }
        // The thread has ended without a failure.
        std::future::pending().await
    }

    /// Returns as soon as requests are served.
    pub(super) async fn until_recovery(&self) {
        let mut failure = self.failure.clone();
        if failure.wait_for(Option::is_none).await.is_err() {
            // The thread has ended with a failure.
            std::future::pending().await
        }
    }

    /// Shortens waits for the locks of other processes from now on, because the process is about to end.
    pub(super) fn stop(&self) {
        self.patience.stop();
        self.wake();
    }

    /// Runs `work` in a transaction, and returns when the transaction is on disk. If the caller stops waiting, the work
    /// is still done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
            let value = conn.and_then(work);
            let done = value.as_ref().map(|_| ()).map_err(StoreError::clone);
            let on_commit: Reply = Box::new(move |committed| {
                // Sending fails if the caller no longer waits.
                let _ = reply.send(committed.and(value));
            });
            (done, on_commit)
        });
        let message = Message::Work(Request { priority, work });
        self.send(message).await?;
        if priority != Priority::Outcome {
            self.wake();
        }
        replied.await.map_err(|_| closed())?
    }

    /// Finds out whether the state can be written. A state that could not be written is reopened, if it is still the
    /// same; `settle` then runs in the first transaction.
    pub(super) async fn recover(&self, settle: Settle) -> Condition {
        let (reply, replied) = oneshot::channel();
        if let Err(error) = self.send(Message::Recover { settle, reply }).await {
            return Condition::Failing(error);
        }
        self.wake();
        let condition = replied.await;
        condition.unwrap_or_else(|_| Condition::Failing(closed()))
    }

    /// Waits until all requests are done, writes the log back, and ends the thread.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.messages = None;
        self.patience.hurry();
        self.wake();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(StoreError::broken("the store's thread panicked")),
        }
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let messages = self.messages.as_ref().ok_or_else(closed)?;
        messages.send(message).await.map_err(|_| closed())
    }

    /// Ends a wait of the thread for more requests.
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(fault = %error, "the state was not closed properly; nothing that was acknowledged is lost");
        }
    }
}

fn closed() -> StoreError {
    StoreError::broken("the store has been closed")
}

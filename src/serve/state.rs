//! State of the server that all connections share, with the limits on streams and documents, and of one connection.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;

/// The most event streams at a time, so that half of the connections are left for other requests.
const STREAMS_MAX: usize = 32;
/// The most documents of the whole board in transfer at a time. One of 30,000 images has some 20 MB, and slow readers
/// must not add up.
const DOCUMENTS_MAX: usize = 8;

/// State that all connections share.
pub(super) struct ServerState<S> {
    pub(super) settings: Settings,
    pub(super) source: Rc<S>,
    pub(super) stream_limit: Arc<Semaphore>,
    pub(super) document_limit: Arc<Semaphore>,
}

impl<S> ServerState<S> {
    pub(super) fn new(settings: Settings, source: Rc<S>) -> Self {
        Self {
            settings,
            source,
            stream_limit: Arc::new(Semaphore::new(STREAMS_MAX)),
            document_limit: Arc::new(Semaphore::new(DOCUMENTS_MAX)),
        }
    }
}

/// State of one connection over all its requests.
pub(super) struct ConnectionState {
    /// The local address that the client called.
    pub(super) local: IpAddr,
    /// Whether it carries an event stream, which may last longer than other replies.
    pub(super) has_stream: Cell<bool>,
}

/// Takes a permit, which goes back when it is dropped. None if all are taken.
pub(super) fn try_acquire(limit: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(limit).try_acquire_owned().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_a_permit_is_free_again_once_it_is_given_back() {
        let limit = Arc::new(Semaphore::new(DOCUMENTS_MAX));
        let mut held: Vec<_> = (0..DOCUMENTS_MAX)
            .map(|_| try_acquire(&limit).expect("a permit"))
            .collect();
        assert!(try_acquire(&limit).is_none(), "all are taken");
        held.pop();
        assert!(try_acquire(&limit).is_some());
    }
}

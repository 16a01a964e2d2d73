use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;

/// Event streams at a time, so that half of the connections are left for everything else.
const STREAMS_MAX: usize = 32;
/// Documents of the whole board under way at a time: one of 30,000 images has some 20 MB, and slow readers must not
/// add up.
const DOCUMENTS_MAX: usize = 8;

/// What all connections have in common.
pub(super) struct Shared<S> {
    pub(super) settings: Settings,
    pub(super) show: Rc<S>,
    pub(super) event_streams: Arc<Semaphore>,
    pub(super) documents: Arc<Semaphore>,
}

impl<S> Shared<S> {
    pub(super) fn new(settings: Settings, show: Rc<S>) -> Self {
        Self {
            settings,
            show,
            event_streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            documents: Arc::new(Semaphore::new(DOCUMENTS_MAX)),
        }
    }
}

/// What one connection is known by.
pub(super) struct Caller {
    /// The address that was called.
    pub(super) local: IpAddr,
    /// It is given events, which lasts.
    pub(super) streams: Cell<bool>,
}

/// A permit that is given back when it is dropped; none where all are taken.
pub(super) fn try_acquire(limit: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(limit).try_acquire_owned().ok()
}

//! State of the server that all connections share, with the limits on concurrent transfers.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Settings;
use super::border::PortEnd;
use super::documents::Documents;
use super::pace::SendPace;
use super::places::TRANSFERS_MAX;
use crate::host::Clock;

/// The most event streams at a time, so that half of all transfers remains for documents.
pub(super) const STREAMS_MAX: usize = TRANSFERS_MAX / 2;

/// State that all connections share.
pub(super) struct ServerState<C> {
    pub(super) settings: Settings,
    pub(super) engine: Rc<PortEnd<C>>,
    pub(super) documents: Documents<C>,
    pub(super) send_pace: SendPace,
    pub(super) transfer_limit: Arc<Semaphore>,
    pub(super) stream_limit: Arc<Semaphore>,
}

impl<C: Clock + Send + Sync + 'static> ServerState<C> {
    pub(super) fn new(settings: Settings, engine: PortEnd<C>) -> Self {
        let engine = Rc::new(engine);
        Self {
            settings,
            documents: Documents::new(Rc::clone(&engine)),
            send_pace: SendPace::new(engine.clock().monotonic()),
            engine,
            transfer_limit: Arc::new(Semaphore::new(TRANSFERS_MAX)),
            stream_limit: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

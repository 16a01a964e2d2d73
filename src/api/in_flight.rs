//! Limits the number of concurrent calls. Each needs a connection, and with hundreds of accounts, thousands of calls
//! have permits at once: more descriptors than a process may have, and replies that are not read in time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Far more than the rate of one account needs. A call without a reply keeps its place until its deadline.
const READS_MAX: usize = 128;
/// Separate from reads, so that neither waits for the other.
const WRITES_MAX: usize = 128;

/// The places of running calls, given in the order of the requests.
pub struct InFlight {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// The place of one call, until it is dropped.
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            reads: Arc::new(Semaphore::new(READS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        }
    }
}

impl InFlight {
    pub(super) async fn read(&self) -> Place {
        place(&self.reads).await
    }

    pub(super) async fn write(&self) -> Place {
        place(&self.writes).await
    }
}

async fn place(places: &Arc<Semaphore>) -> Place {
    // The semaphore is never closed, so every caller gets a place in the end.
    let permit = Arc::clone(places).acquire_owned().await;
    Place {
        _permit: permit.ok(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn s21_calls_beyond_the_limit_wait_in_order_each_kind_apart() {
        let in_flight = InFlight::default();
        let now = |place: &InFlight| place.read().now_or_never();
        let mut under_way: Vec<_> = (0..READS_MAX).map(|_| now(&in_flight)).collect();
        assert!(under_way.iter().all(Option::is_some));
        let mut first = std::pin::pin!(in_flight.read());
        let mut second = std::pin::pin!(in_flight.read());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(in_flight.write().now_or_never().is_some());
        under_way.pop();
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some());
    }
}

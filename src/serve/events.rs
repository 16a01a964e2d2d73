//! The event stream, which informs open pages that the board has changed.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{LocalBoxStream, StreamExt, unfold};
use hyper::body::{Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;

use super::border::PortEnd;
use super::places::Transfer;
use crate::host::Clock;
use crate::model::Monotonic;

/// Age at which a stream ends. A page that is still open requests another one.
pub(super) const STREAM_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// Minimum time between two events, because the board changes with every write.
const EVENT_GAP: Duration = Duration::from_secs(1);
/// Time between signs of life, so that no proxy considers the connection dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Stream<C: Clock> {
    engine: Rc<PortEnd<C>>,
    /// Version of the board in the last event.
    last_version: Option<u64>,
    /// Time of the last event or sign of life.
    last_sent_at: Monotonic,
    ends_at: Monotonic,
    /// Both are released when the client is gone.
    _permit: OwnedSemaphorePermit,
    _transfer: Transfer<C>,
}

/// Sends the board's version at once, and each newer version, until the client is gone or the stream is too old.
pub(super) fn stream<C: Clock + 'static>(
    engine: Rc<PortEnd<C>>,
    permit: OwnedSemaphorePermit,
    transfer: Transfer<C>,
) -> LocalBoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    let now = engine.clock().monotonic();
    let stream = Stream {
        engine,
        last_version: None,
        last_sent_at: now,
        ends_at: now + STREAM_AGE_MAX,
        _permit: permit,
        _transfer: transfer,
    };
    let frames = unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok(Frame::data(Bytes::from(text))), stream))
    });
    frames.boxed_local()
}

impl<C: Clock> Stream<C> {
    async fn next(&mut self) -> Option<String> {
        let (engine, clock) = (&self.engine, self.engine.clock());
        if let Some(last_version) = self.last_version {
            clock.sleep_until(self.last_sent_at + EVENT_GAP).await;
            let quiet_until = self.last_sent_at + HEARTBEAT;
            tokio::select! {
                biased;
                () = engine.newer_than(last_version) => {}
                () = clock.sleep_until(quiet_until) => {
                    self.last_sent_at = clock.monotonic();
                    return (self.last_sent_at < self.ends_at).then(|| ":\n\n".to_owned());
                }
            }
        }
        self.last_sent_at = clock.monotonic();
        let version = engine.version();
        self.last_version = Some(version);
        (self.last_sent_at < self.ends_at).then(|| format!("event: changed\ndata: {version}\n\n"))
    }
}

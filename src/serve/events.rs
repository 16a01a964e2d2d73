//! The event stream: that the board has changed, to pages that are open.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{LocalBoxStream, StreamExt, unfold};
use hyper::body::{Bytes, Frame};

use super::Show;
use super::slots::Slot;
use crate::host::Clock;
use crate::model::Monotonic;

/// Event streams at a time, so that half of the connections are left for everything else.
pub(super) const STREAMS_MAX: usize = 32;
/// A stream ends after this time; a page that still is open asks for another.
pub(super) const STREAM_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// At most one event in this time: the board changes with every write.
const EVENT_GAP: Duration = Duration::from_secs(1);
/// A sign of life, so that what stands between does not take the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Stream<S> {
    show: Rc<S>,
    /// The version that was told last.
    told: Option<u64>,
    /// When something was last sent.
    sent: Monotonic,
    /// When it ends.
    ends: Monotonic,
    /// Given back when the client is gone.
    _slot: Slot,
}

/// What is sent, for as long as it is listened to: the version at once, and each newer one.
pub(super) fn stream<S: Show + 'static>(
    show: Rc<S>,
    slot: Slot,
) -> LocalBoxStream<'static, Result<Frame<Bytes>, Infallible>> {
    let now = show.clock().monotonic();
    let stream = Stream {
        show,
        told: None,
        sent: now,
        ends: now + STREAM_AGE_MAX,
        _slot: slot,
    };
    let frames = unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok(Frame::data(Bytes::from(text))), stream))
    });
    frames.boxed_local()
}

impl<S: Show> Stream<S> {
    async fn next(&mut self) -> Option<String> {
        let (show, clock) = (&self.show, self.show.clock());
        if let Some(told) = self.told {
            clock.sleep_until(self.sent + EVENT_GAP).await;
            let quiet_until = self.sent + HEARTBEAT;
            tokio::select! {
                biased;
                () = show.changed(told) => {}
                () = clock.sleep_until(quiet_until) => {
                    self.sent = clock.monotonic();
                    return (self.sent < self.ends).then(|| ":\n\n".to_owned());
                }
            }
        }
        self.sent = clock.monotonic();
        let version = show.board(|board| board.version());
        self.told = Some(version);
        (self.sent < self.ends).then(|| format!("event: changed\ndata: {version}\n\n"))
    }
}

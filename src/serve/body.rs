//! Bodies of responses: small ones at once, documents piece by piece, event streams for as long as they last.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{LocalBoxStream, StreamExt, unfold};
use http_body_util::{Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::places::Transfer;
use super::rendered::Rendered;
use super::state::ServerState;
use crate::host::Clock;

type Frames = LocalBoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// The body of a response.
pub(super) enum ResponseBody {
    Small(Full<Bytes>),
    Frames(StreamBody<Frames>),
}

impl ResponseBody {
    /// A body that is small enough to be buffered completely.
    pub(super) fn small(bytes: impl Into<Bytes>) -> Self {
        Self::Small(Full::new(bytes.into()))
    }

    /// A body that lasts as long as the stream.
    pub(super) fn stream(frames: Frames) -> Self {
        Self::Frames(StreamBody::new(frames))
    }

    /// A document. A piece of it is sent when the connection has room for one, at the pace that all readers share.
    pub(super) fn document<C: Clock + 'static>(
        document: Arc<Rendered>,
        transfer: Transfer<C>,
        state: &Rc<ServerState<C>>,
    ) -> Self {
        let begin = (document, transfer, Rc::clone(state), 0);
        let frames = unfold(begin, |(document, transfer, state, position)| async move {
            let frame = document.frame(position)?;
            let pace = &state.send_pace;
            pace.take(frame.len(), &**state.engine.clock()).await;
            let next = (document, transfer, state, position + 1);
            Some((Ok(Frame::data(frame)), next))
        });
        Self::stream(frames.boxed_local())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Small(body) => Pin::new(body).poll_frame(context),
            Self::Frames(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Small(body) => body.is_end_stream(),
            Self::Frames(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Small(body) => body.size_hint(),
            Self::Frames(body) => body.size_hint(),
        }
    }
}

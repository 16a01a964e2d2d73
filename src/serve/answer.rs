//! One request and its answer.

use std::convert::Infallible;
use std::rc::Rc;

use futures_util::stream::LocalBoxStream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::access::is_meant_for_us;
use super::state::{Caller, Shared, try_acquire};
use super::{Settings, Show, events};
use crate::host::Clock;
use crate::metrics::METRICS_CONTENT_TYPE;
use crate::status::Board;
use crate::web::{self, Query};
use crate::words::safe;

/// Nothing but our own files and words, and in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const EVERYWHERE: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (CACHE_CONTROL, "no-store"),
];

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// The version of Prometheus' text format.
const EVENTS: &str = "text/event-stream";

/// An answer: whole, with the place that it takes up until it is read, or event by event.
type Answer = Response<Either<Whole, Events>>;
type Events = StreamBody<LocalBoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A body that is whole.
pub(super) struct Whole {
    body: Full<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Answers at once: nothing here waits, and the request's body is not read.
pub(super) fn respond<S: Show + 'static, B>(
    request: &Request<B>,
    caller: &Rc<Caller>,
    shared: &Rc<Shared<S>>,
) -> Answer {
    let mut answer = match refusal(request, caller, shared) {
        Some(refusal) => refusal,
        None => route(request, caller, shared),
    };
    let headers = answer.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn refusal<S, B>(request: &Request<B>, caller: &Caller, shared: &Shared<S>) -> Option<Answer> {
    let (settings, headers) = (&shared.settings, request.headers());
    if !is_meant_for_us(headers, caller.local, &settings.hosts) {
        return Some(plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this port answers to loopback names, to its own address, and to names that it was told\n",
        ));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "this port only shows; it answers to GET and HEAD\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return Some(answer);
    }
    // Who asks whether the process is well, like an orchestrator, has no secrets.
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    if !open && !knows(settings, headers) {
        let mut answer = plain(
            StatusCode::UNAUTHORIZED,
            "give the token as a bearer's, or as the password of any user\n",
        );
        let asks = HeaderValue::from_static("Basic realm=\"sharekeeper\", charset=\"UTF-8\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, asks);
        return Some(answer);
    }
    None
}

/// Whether the caller may read everything.
fn knows(settings: &Settings, headers: &HeaderMap) -> bool {
    let token = settings.token.as_ref();
    token.is_none_or(|token| token.is_in(headers))
}

fn route<S: Show + 'static, B>(
    request: &Request<B>,
    caller: &Caller,
    shared: &Shared<S>,
) -> Answer {
    let show = &shared.show;
    let knows = knows(&shared.settings, request.headers());
    let query = || Query::parse(request.uri().query().unwrap_or_default());
    let asked = |make: fn(&Board, &Query, crate::model::Timestamp) -> Vec<u8>, kind| match query() {
        Ok(query) => {
            let now = show.clock().now();
            ok(kind, show.board(|board| make(board, &query, now)))
        }
        Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match request.uri().path() {
        "/" => asked(
            |board, query, now| web::page(board, query, now).into(),
            HTML,
        ),
        "/status.json" => match try_acquire(&shared.documents) {
            Some(permit) => {
                let answer = asked(web::board_document, JSON);
                answer.map(|body| match body {
                    Either::Left(whole) => Either::Left(Whole {
                        _permit: Some(permit),
                        ..whole
                    }),
                    events @ Either::Right(_) => events,
                })
            }
            None => full("other clients are reading this document\n"),
        },
        "/metrics" => ok(METRICS_CONTENT_TYPE, show.metrics()),
        "/events" => match try_acquire(&shared.event_streams) {
            // HEAD has no body, and so no stream to hold.
            Some(_) if request.method() == Method::HEAD => ok(EVENTS, ""),
            Some(permit) => {
                caller.streams.set(true);
                let stream = events::stream(Rc::clone(show), permit);
                response(
                    StatusCode::OK,
                    EVENTS,
                    Either::Right(StreamBody::new(stream)),
                )
            }
            None => full("too many pages are open\n"),
        },
        "/healthz" => health(show.health().alive.map_err(|why| vec![why]), knows),
        "/readyz" => health(show.health().ready, knows),
        "/page.css" => ok("text/css; charset=utf-8", web::PAGE_CSS),
        "/page.js" => ok("text/javascript; charset=utf-8", web::PAGE_JS),
        "/icon.svg" => ok("image/svg+xml", web::PAGE_ICON),
        _ => plain(
            StatusCode::NOT_FOUND,
            "there is nothing here; the status page is at /\n",
        ),
    }
}

/// `knows`: whether the caller may read the reasons, which name accounts and files.
fn health(health: Result<(), Vec<String>>, knows: bool) -> Answer {
    match health {
        Ok(()) => ok(TEXT, "ok\n"),
        Err(_) if !knows => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "no; give the token to be told why\n",
        ),
        Err(reasons) => {
            let lines = reasons.iter().map(|why| format!("{}\n", safe(why)));
            plain(StatusCode::SERVICE_UNAVAILABLE, lines.collect::<String>())
        }
    }
}

fn full(why: &'static str) -> Answer {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, why);
    let later = HeaderValue::from_static("10");
    answer.headers_mut().insert(RETRY_AFTER, later);
    answer
}

fn ok(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    response(StatusCode::OK, kind, whole(body))
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    response(status, TEXT, whole(body))
}

fn whole(body: impl Into<Bytes>) -> Either<Whole, Events> {
    Either::Left(Whole {
        body: Full::new(body.into()),
        _permit: None,
    })
}

fn response(status: StatusCode, kind: &'static str, body: Either<Whole, Events>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

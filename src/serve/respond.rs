//! One request and its response: the checks, the routes, and headers that every response has. What pages and documents
//! say is made in `web` and `metrics`.

use std::convert::Infallible;
use std::rc::Rc;

use futures_util::stream::LocalBoxStream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::access::is_host_allowed;
use super::state::{ConnectionState, ServerState, try_acquire};
use super::{Settings, StatusSource, events};
use crate::host::Clock;
use crate::metrics::METRICS_CONTENT_TYPE;
use crate::status::Board;
use crate::web::{self, Query};
use crate::words::safe;

/// A page loads only its own files, and no other page may frame it.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const COMMON_HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
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
const EVENT_STREAM: &str = "text/event-stream";

/// A response with a whole body or with a stream of events.
type Response = hyper::Response<Either<Whole, Events>>;
type Events = StreamBody<LocalBoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A whole body, with the permit that it holds until it is read.
pub(super) struct Whole {
    body: Full<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Responds without waiting. The request's body is not read.
pub(super) fn respond<S: StatusSource + 'static, B>(
    request: &Request<B>,
    connection: &Rc<ConnectionState>,
    state: &Rc<ServerState<S>>,
) -> Response {
    let mut response = match reject(request, connection, state) {
        Some(refusal) => refusal,
        None => route(request, connection, state),
    };
    let headers = response.headers_mut();
    for (name, value) in COMMON_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The response to a request that is refused, whatever it asks for.
fn reject<S, B>(
    request: &Request<B>,
    connection: &ConnectionState,
    state: &ServerState<S>,
) -> Option<Response> {
    let (settings, headers) = (&state.settings, request.headers());
    if !is_host_allowed(headers, connection.local, &settings.hosts) {
        return Some(plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this port answers to loopback names, to its own address, and to names that it was told\n",
        ));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "this port only shows; it answers to GET and HEAD\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return Some(response);
    }
    // Probes of orchestrators have no token.
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    if !open && !is_authorized(settings, headers) {
        let mut response = plain(
            StatusCode::UNAUTHORIZED,
            "give the token as a bearer's, or as the password of any user\n",
        );
        let asks = HeaderValue::from_static("Basic realm=\"sharekeeper\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, asks);
        return Some(response);
    }
    None
}

/// Whether the client has the token, or none is needed.
fn is_authorized(settings: &Settings, headers: &HeaderMap) -> bool {
    let token = settings.token.as_ref();
    token.is_none_or(|token| token.authorizes(headers))
}

fn route<S: StatusSource + 'static, B>(
    request: &Request<B>,
    connection: &ConnectionState,
    state: &ServerState<S>,
) -> Response {
    let source = &state.source;
    let is_authorized = is_authorized(&state.settings, request.headers());
    let query = || Query::parse(request.uri().query().unwrap_or_default());
    let board_view = |make: fn(&Board, &Query, crate::model::Timestamp) -> Vec<u8>,
                      content_type| match query() {
        Ok(query) => {
            let now = source.clock().now();
            ok(content_type, source.board(|board| make(board, &query, now)))
        }
        Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match request.uri().path() {
        "/" => board_view(
            |board, query, now| web::page(board, query, now).into(),
            HTML,
        ),
        "/status.json" => match try_acquire(&state.document_limit) {
            Some(permit) => {
                let response = board_view(web::board_document, JSON);
                response.map(|body| match body {
                    Either::Left(whole) => Either::Left(Whole {
                        _permit: Some(permit),
                        ..whole
                    }),
                    events @ Either::Right(_) => events,
                })
            }
            None => too_many("other clients are reading this document\n"),
        },
        "/metrics" => ok(METRICS_CONTENT_TYPE, source.metrics()),
        "/events" => match try_acquire(&state.stream_limit) {
            // A response to HEAD has no body, so it needs no permit.
            Some(_) if request.method() == Method::HEAD => ok(EVENT_STREAM, ""),
            Some(permit) => {
                connection.has_stream.set(true);
                let stream = events::stream(Rc::clone(source), permit);
                response(
                    StatusCode::OK,
                    EVENT_STREAM,
                    Either::Right(StreamBody::new(stream)),
                )
            }
            None => too_many("too many pages are open\n"),
        },
        "/healthz" => health(
            source.health().alive.map_err(|why| vec![why]),
            is_authorized,
        ),
        "/readyz" => health(source.health().ready, is_authorized),
        "/page.css" => ok("text/css; charset=utf-8", web::PAGE_CSS),
        "/page.js" => ok("text/javascript; charset=utf-8", web::PAGE_JS),
        "/icon.svg" => ok("image/svg+xml", web::PAGE_ICON),
        _ => plain(
            StatusCode::NOT_FOUND,
            "there is nothing here; the status page is at /\n",
        ),
    }
}

/// The reasons name accounts and files, so only authorized clients may read them.
fn health(health: Result<(), Vec<String>>, is_authorized: bool) -> Response {
    match health {
        Ok(()) => ok(TEXT, "ok\n"),
        Err(_) if !is_authorized => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "no; give the token to be told why\n",
        ),
        Err(reasons) => {
            let lines = reasons.iter().map(|why| format!("{}\n", safe(why)));
            plain(StatusCode::SERVICE_UNAVAILABLE, lines.collect::<String>())
        }
    }
}

fn too_many(why: &'static str) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, why);
    let later = HeaderValue::from_static("10");
    response.headers_mut().insert(RETRY_AFTER, later);
    response
}

fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    response(StatusCode::OK, content_type, whole(body))
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response {
    response(status, TEXT, whole(body))
}

fn whole(body: impl Into<Bytes>) -> Either<Whole, Events> {
    Either::Left(Whole {
        body: Full::new(body.into()),
        _permit: None,
    })
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Either<Whole, Events>,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
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

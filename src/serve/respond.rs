//! One request and its response: the checks, the routes, and the headers of every response. The content of pages and
//! documents comes from `web` and `metrics`.

use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::access::is_host_allowed;
use super::body::ResponseBody;
use super::documents::{Unavailable, Wanted};
use super::encoding::Encoding;
use super::places::{Connection, Transfer};
use super::rendered::Kind;
use super::state::ServerState;
use super::{Settings, events};
use crate::host::Clock;
use crate::metrics::METRICS_CONTENT_TYPE;
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

/// The most reasons of unreadiness that are shown; a list with thousands of accounts and regions does not help.
const REASONS_MAX: usize = 100;

type Response = hyper::Response<ResponseBody>;

/// Responds to a request; only a document may have to wait.
pub(super) async fn respond<C: Clock + Send + Sync + 'static>(
    request: &Parts,
    connection: &Rc<Connection<C>>,
    state: &Rc<ServerState<C>>,
) -> Response {
    let mut response = match reject(request, connection, state) {
        Some(refusal) => refusal,
        None => route(request, connection, state).await,
    };
    let headers = response.headers_mut();
    for (name, value) in COMMON_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The response to a request that is refused for any route.
fn reject<C>(
    request: &Parts,
    connection: &Connection<C>,
    state: &ServerState<C>,
) -> Option<Response> {
    let (settings, headers) = (&state.settings, &request.headers);
    if !is_host_allowed(headers, connection.local, &settings.hosts) {
        return Some(plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this port answers only to loopback names, to its own address, and to configured names\n",
        ));
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "this port is read-only; it answers only GET and HEAD\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return Some(response);
    }
    // Probes of orchestrators have no token.
    let open = matches!(request.uri.path(), "/healthz" | "/readyz");
    if !open && !is_authorized(settings, headers) {
        let mut response = plain(
            StatusCode::UNAUTHORIZED,
            "send the token as a bearer token, or as the password of any user\n",
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

async fn route<C: Clock + Send + Sync + 'static>(
    request: &Parts,
    connection: &Rc<Connection<C>>,
    state: &Rc<ServerState<C>>,
) -> Response {
    let is_authorized = is_authorized(&state.settings, &request.headers);
    match request.uri.path() {
        "/" => document(Kind::Page, request, connection, state).await,
        "/status.json" => document(Kind::Board, request, connection, state).await,
        "/metrics" => document(Kind::Metrics, request, connection, state).await,
        "/events" => events(request, connection, state),
        "/healthz" => {
            let alive = state.engine.health().alive.clone();
            health(alive.map_err(|why| vec![why]), is_authorized)
        }
        "/readyz" => health(state.engine.health().ready.clone(), is_authorized),
        "/page.css" => ok("text/css; charset=utf-8", web::PAGE_CSS),
        "/page.js" => ok("text/javascript; charset=utf-8", web::PAGE_JS),
        "/icon.svg" => ok("image/svg+xml", web::PAGE_ICON),
        _ => plain(
            StatusCode::NOT_FOUND,
            "there is nothing here; the status page is at /\n",
        ),
    }
}

/// A document, restricted by the query, in an encoding that the client accepts.
async fn document<C: Clock + Send + Sync + 'static>(
    kind: Kind,
    request: &Parts,
    connection: &Rc<Connection<C>>,
    state: &Rc<ServerState<C>>,
) -> Response {
    let (query, content_type) = match kind {
        Kind::Page => (request.uri.query(), HTML),
        Kind::Board => (request.uri.query(), JSON),
        // Metrics are always complete.
        Kind::Metrics => (None, METRICS_CONTENT_TYPE),
    };
    let query = match Query::parse(query.unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let Some(transfer) = Transfer::begin(connection, &state.transfer_limit) else {
        return too_many("other clients use all transfers; try again later\n");
    };
    let wanted = Wanted {
        kind,
        encoding: Encoding::accepted(&request.headers),
        query,
    };
    let document = match state.documents.get(&wanted).await {
        Ok(document) => document,
        Err(Unavailable::NoSnapshot) => {
            return too_many("sharekeeper is busy, or has just started\n");
        }
        Err(Unavailable::TooManyQueries) => {
            return too_many("too many clients request parts of the board\n");
        }
        Err(Unavailable::TooManyBytes) => {
            return too_many("other clients are reading this document slowly\n");
        }
    };
    let length = document.length();
    let body = ResponseBody::document(document, transfer, state);
    let mut response = response(StatusCode::OK, content_type, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if wanted.encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn events<C: Clock + Send + Sync + 'static>(
    request: &Parts,
    connection: &Rc<Connection<C>>,
    state: &Rc<ServerState<C>>,
) -> Response {
    let permit = Arc::clone(&state.stream_limit).try_acquire_owned().ok();
    let transfer = Transfer::begin(connection, &state.transfer_limit);
    let (Some(permit), Some(transfer)) = (permit, transfer) else {
        return too_many("too many pages are open\n");
    };
    // A response to HEAD has no body.
    if request.method == Method::HEAD {
        return ok(EVENT_STREAM, "");
    }
    connection.has_stream.set(true);
    let stream = events::stream(Rc::clone(&state.engine), permit, transfer);
    response(StatusCode::OK, EVENT_STREAM, ResponseBody::stream(stream))
}

/// The reasons name accounts and files, so only authorized clients may read them.
fn health(health: Result<(), Vec<String>>, is_authorized: bool) -> Response {
    match health {
        Ok(()) => ok(TEXT, "ok\n"),
        Err(_) if !is_authorized => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready; send the token to see the reasons\n",
        ),
        Err(reasons) => {
            let shown = reasons.iter().take(REASONS_MAX);
            let mut lines: String = shown.map(|why| format!("{}\n", safe(why))).collect();
            let more = reasons.len().saturating_sub(REASONS_MAX);
            if more > 0 {
                lines.push_str(&format!("and {more} more\n"));
            }
            plain(StatusCode::SERVICE_UNAVAILABLE, lines)
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
    response(StatusCode::OK, content_type, ResponseBody::small(body))
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response {
    response(status, TEXT, ResponseBody::small(body))
}

fn response(status: StatusCode, content_type: &'static str, body: ResponseBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

//! The real HTTP transport. It distinguishes a request that was not sent from one whose reply was lost, and follows no
//! redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::timeout;

use super::near::{METADATA_HOST, is_link_local};
use super::no_connection;
use super::{Method, Proxy, ProxySettings, Reply, ReplyBody, Request, Transport, TransportError};

/// The longest wait for a connection, including TLS. It is short, so that a region that does not answer fails fast.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest reply that is read. A full page of 100 rows has about 100 KB.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// HTTP/1.1 over rustls with keep-alive. It follows no redirect, repeats nothing by itself, asks for no compression,
/// and uses no proxies except the given ones.
pub struct HttpTransport {
    client: reqwest::Client,
    proxies: ProxySettings,
}

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct HttpTransportError(#[source] reqwest::Error);

impl HttpTransport {
    /// Sets up the client. Fails if the TLS or proxy settings are unusable.
    pub fn new(proxies: ProxySettings) -> Result<Self, HttpTransportError> {
        // A second call finds the provider installed. Either way, one is installed afterwards.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let proxies = proxies.clone();
            let choose = move |url: &reqwest::Url| {
                let proxy = proxies.proxy_for(url.as_str());
                proxy.map(|proxy| proxy.expose().to_owned())
            };
            reqwest::Client::builder()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                // The library's own reading of the environment ignores values that it cannot parse.
                .no_proxy()
                .proxy(reqwest::Proxy::custom(choose))
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .dns_resolver(Resolver)
                .user_agent(concat!("sharekeeper/", env!("CARGO_PKG_VERSION")))
        };
        // A bare container has no CA certificates. The simulator on loopback works there all the same; https then
        // trusts nobody, and fails at the first call with that reason.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(HttpTransportError)?;
        Ok(Self { client, proxies })
    }

    /// Sends the request, and returns once the headers of its reply have arrived.
    async fn head(
        &self,
        request: Request,
        proxy: Option<&Proxy>,
    ) -> Result<reqwest::Response, TransportError> {
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for header in request.headers {
            let mut value = HeaderValue::try_from(header.value).map_err(|_| {
                TransportError::NotSent(format!("header {} is not ASCII", header.name))
            })?;
            value.set_sensitive(header.secret);
            headers.insert(HeaderName::from_static(header.name), value);
        }
        if let Some(proxy) = proxy {
            proxy.log_once();
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let sent = self
            .client
            .request(method, &request.url)
            .headers(headers)
            .body(request.body)
            .send();
        sent.await.map_err(|error| describe(&error, proxy))
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let (deadline, reads) = (request.deadline, request.reads);
        let proxy = self.proxies.proxy_for(&request.url);
        let exchange = async {
            let mut response = self.head(request, proxy).await?;
            let mut reply = reply_head(&response);
            if reads == ReplyBody::Whole {
                read_body(&mut response, &mut reply.body, REPLY_BYTES_MAX, proxy).await?;
            }
            Ok((response, reply))
        };
        let late =
            |_| TransportError::Lost(format!("no reply within {} s", deadline.as_secs_f64()));
        let (mut response, mut reply) = timeout(deadline, exchange).await.map_err(late)??;
        if let ReplyBody::Within { wait, bytes_max } = reads {
            let read = read_body(&mut response, &mut reply.body, bytes_max, proxy);
            reply.is_whole = matches!(timeout(wait, read).await, Ok(Ok(())));
        }
        Ok(reply)
    }
}

/// The reply as far as its headers give it, without the body.
fn reply_head(response: &reqwest::Response) -> Reply {
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    Reply {
        status: response.status().as_u16(),
        date: header("date"),
        retry_after: header("retry-after"),
        body: Vec::new(),
        is_whole: true,
    }
}

/// Appends the arriving data to `body`, until the end of the reply or until it would exceed `bytes_max`.
async fn read_body(
    response: &mut reqwest::Response,
    body: &mut Vec<u8>,
    bytes_max: usize,
    proxy: Option<&Proxy>,
) -> Result<(), TransportError> {
    loop {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|error| describe(&error, proxy))? else {
            return Ok(());
        };
        if body.len() + chunk.len() > bytes_max {
            return Err(TransportError::Lost(format!(
                "the reply is larger than {bytes_max} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
}

/// A failure at the proxy means only that no connection was made, because the proxy has passed nothing on.
fn describe(error: &reqwest::Error, proxy: Option<&Proxy>) -> TransportError {
    let is_connecting = error.is_connect() || error.is_builder();
    if is_connecting && error.is_timeout() {
        let seconds = CONNECT_TIMEOUT.as_secs();
        let text = format!("no connection within {seconds} s: nothing answers at that address");
        return TransportError::NotSent(text);
    }
    let text = no_connection::in_words(error);
    if !is_connecting {
        return TransportError::Lost(format!("the connection failed: {text}"));
    }
    TransportError::NotSent(match proxy {
        Some(proxy) => through(proxy, &text),
        None => text,
    })
}

/// Why no connection through a proxy was made, for people.
fn through(proxy: &Proxy, text: &str) -> String {
    let (address, variable) = (proxy.address(), proxy.variable());
    match text {
        "tunnel error: proxy authorization required" => format!(
            "the proxy {address} requires a user name and a password (HTTP 407), or rejects those in {variable}"
        ),
        "tunnel error: unsuccessful" => format!(
            "the proxy {address} ({variable}) refuses to connect to this host; allow the host in the proxy, or name it in NO_PROXY to call it directly"
        ),
        "tunnel error: unexpected end of file" => {
            format!("the proxy {address} ({variable}) closed the connection")
        }
        text if text.ends_with("failed to create underlying connection") => {
            format!("the proxy {address} ({variable}) cannot be reached")
        }
        text => format!("through the proxy {address} ({variable}): {text}"),
    }
}

/// `localhost` and `*.localhost` are loopback without a lookup (RFC 6761); other names go to the system's resolver.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: Vec<SocketAddr> = if crate::model::is_loopback(&host) {
                [
                    IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(Ipv6Addr::LOCALHOST),
                ]
                .map(|ip| SocketAddr::new(ip, 0))
                .to_vec()
            } else {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
                found
                    .filter(|address| host != METADATA_HOST || is_link_local(address.ip()))
                    .collect()
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

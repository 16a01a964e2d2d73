//! The real HTTP transport. It tells a request that was not sent from one whose reply was lost, and follows no redirect.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use super::near::{METADATA_HOST, is_link_local};
use super::{Method, Proxy, ProxySettings, Reply, Request, Transport, TransportError};

/// Longest wait for a connection, TLS included; a region that does not answer fails fast.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest reply that is read. A full page of 100 rows is some 100 KB.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// HTTP/1.1 over rustls with keep-alive. Follows no redirect, repeats nothing by itself, asks for no compression, and uses
/// no proxies but those that it is given.
pub struct HttpTransport {
    client: reqwest::Client,
    proxies: ProxySettings,
}

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct HttpTransportError(#[source] reqwest::Error);

impl HttpTransport {
    /// Sets the client up.
    pub fn new(proxies: ProxySettings) -> Result<Self, HttpTransportError> {
        // A second call finds the provider installed; either way there is one.
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
                // Its own reading of the environment passes over what it cannot read.
                .no_proxy()
                .proxy(reqwest::Proxy::custom(choose))
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .dns_resolver(Resolver)
                .user_agent(concat!("sharekeeper/", env!("CARGO_PKG_VERSION")))
        };
        // A bare container has no CA certificates. The simulator on loopback works there all the same;
        // https trusts nobody then, and says so at its first call.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(HttpTransportError)?;
        Ok(Self { client, proxies })
    }

    async fn exchange(&self, request: Request) -> Result<Reply, TransportError> {
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for header in request.headers {
            let mut value = HeaderValue::try_from(header.value).map_err(|_| {
                TransportError::NotSent(format!("header {} is not ASCII", header.name))
            })?;
            value.set_sensitive(header.secret);
            headers.insert(HeaderName::from_static(header.name), value);
        }
        let proxy = self.proxies.proxy_for(&request.url);
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
        let mut response = sent.await.map_err(|error| describe(&error, proxy))?;
        let status = response.status().as_u16();
        let date = response
            .headers()
            .get("date")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| describe(&error, proxy))?
        {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                return Err(TransportError::Lost(format!(
                    "the reply is larger than {REPLY_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, date, body })
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let deadline = request.deadline;
        match tokio::time::timeout(deadline, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Lost(format!(
                "no reply within {} s",
                deadline.as_secs_f64()
            ))),
        }
    }
}

/// The innermost cause says most ("connection refused"); the outer layers repeat the URL. What a proxy does before it lets
/// anything through is no more than a failed connection.
fn describe(error: &reqwest::Error, proxy: Option<&Proxy>) -> TransportError {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    if !error.is_connect() && !error.is_builder() {
        return TransportError::Lost(format!("the connection failed: {text}"));
    }
    let text = match proxy {
        Some(proxy) => through(proxy, &text),
        None => text,
    };
    let hint = if text.contains("UnknownIssuer") {
        " (are this machine's CA certificates installed? A proxy that opens TLS has a CA of its own: name its file in SSL_CERT_FILE)"
    } else {
        ""
    };
    TransportError::NotSent(format!("{text}{hint}"))
}

/// Why there is no connection through a proxy.
fn through(proxy: &Proxy, text: &str) -> String {
    let (address, variable) = (proxy.address(), proxy.variable());
    match text {
        "tunnel error: proxy authorization required" => format!(
            "the proxy {address} wants a user name and a password (HTTP 407), or does not take those in {variable}"
        ),
        "tunnel error: unsuccessful" => format!(
            "the proxy {address} ({variable}) refuses to connect to it; let it allow that, or name the host in NO_PROXY to call it directly"
        ),
        "tunnel error: unexpected end of file" => {
            format!("the proxy {address} ({variable}) hung up")
        }
        text if text.ends_with("failed to create underlying connection") => {
            format!("the proxy {address} ({variable}) cannot be reached")
        }
        text => format!("through the proxy {address} ({variable}): {text}"),
    }
}

/// `localhost` and `*.localhost` are loopback without asking anybody (RFC 6761); the rest goes to the
/// system's resolver.
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

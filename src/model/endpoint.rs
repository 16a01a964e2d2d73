//! Access points of the API. An [`Endpoint`] cannot hold plain http to another machine (S14).

use std::fmt;

use super::Region;

/// The access point of the API: the URL that calls for a region are sent to. It may contain `{region}`.
///
/// The host decides the rate bucket: the API counts calls per access region, which is the host, not `X-TC-Region`. Plain
/// `http` is accepted only for loopback hosts, so that signed bytes never leave the machine unencrypted.
///
/// It is kept in one spelling: scheme and host in lower case, an IPv6 address in its short form, and no port where it is
/// the default port of the scheme. The documentation requires signed header values in lower case, so this spelling is
/// what the server signs as well, and one host has one rate bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The scheme is neither `https://` nor `http://`.
    #[error("an endpoint begins with `https://` (or `http://` for a loopback host)")]
    Scheme,
    /// Plain http to a machine other than this one.
    #[error(
        "plain http is allowed only to loopback hosts (127.0.0.1, [::1], localhost, *.localhost): use https"
    )]
    PlainHttp,
    /// The authority is neither `host` nor `host:port`.
    #[error(
        "an endpoint is a scheme, a host and an optional port, such as `https://lighthouse.{{region}}.tencentcloudapi.com`"
    )]
    Host,
    /// The URL has a placeholder other than `{region}`.
    #[error("the only placeholder an endpoint may hold is `{{region}}`")]
    Placeholder,
}

impl Endpoint {
    /// The international site's access point, used where none is configured.
    pub const DEFAULT: &'static str = "https://lighthouse.intl.tencentcloudapi.com";

    /// Checks scheme, host, port and placeholder. A single trailing `/` is tolerated.
    pub fn new(text: &str) -> Result<Self, EndpointError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, authority) = text.split_once("://").ok_or(EndpointError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(EndpointError::Scheme),
        };
        if authority.replace(REGION, "region").contains(['{', '}']) {
            return Err(EndpointError::Placeholder);
        }
        let authority = authority.to_ascii_lowercase();
        let (host, port) = host_and_port(&authority).ok_or(EndpointError::Host)?;
        if scheme == Scheme::Http && !is_loopback(&host) {
            return Err(EndpointError::PlainHttp);
        }
        let port = port.filter(|&port| port != scheme.port());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self(format!("{}://{host}{port}", scheme.as_str())))
    }

    /// The URL for `region`, with the `/` that TC3 signs as the path.
    pub fn url(&self, region: Region) -> String {
        format!("{}/", self.0.replace(REGION, region.as_str()))
    }

    /// `host` or `host:port` for `region`: the signed Host header, and the key of the rate bucket.
    pub fn host(&self, region: Region) -> String {
        let url = self.0.replace(REGION, region.as_str());
        let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        authority.to_owned()
    }

    /// Whether a host, with or without a port, is one of the vendor's access points.
    pub fn is_vendors_host(host: &str) -> bool {
        let name = host.split(':').next().unwrap_or_default();
        name.ends_with(".tencentcloudapi.com")
    }

    /// The access point of STS, which reports the owner of a key, that belongs to this access point of Lighthouse.
    ///
    /// The documentation of `GetCallerIdentity` (both sites) names `sts.tencentcloudapi.com` and
    /// `sts.intl.tencentcloudapi.com`. So the site and the internal root stay, and a region is removed: the caller's
    /// identity does not depend on it, and not every region of Lighthouse has an STS of its own. Any other host, such as
    /// the simulator's or a relay's, is expected to serve both at one address.
    pub fn sts(&self) -> Self {
        self.of_vendor("sts").unwrap_or_else(|| self.clone())
    }

    /// The access point of CVM, which returns the family, tags and deprecation of images, that belongs to this access
    /// point of Lighthouse.
    ///
    /// The site and the internal root stay, and a region is removed, as in [`Self::sts`]. CVM also has regional access
    /// points (`cvm.ap-tokyo.tencentcloudapi.com`), but not certainly one in every region that has one for Lighthouse,
    /// and `X-TC-Region` alone decides which region's images are listed. The access point without a region serves all
    /// regions. The only difference: it counts the rate of all regions together.
    pub fn cvm(&self) -> Self {
        self.of_vendor("cvm").unwrap_or_else(|| self.clone())
    }

    /// The access point of another service of the vendor; `None` if this host is not the vendor's.
    fn of_vendor(&self, service: &str) -> Option<Self> {
        let authority = self.0.strip_prefix("https://")?;
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, format!(":{port}")),
            None => (authority, String::new()),
        };
        let labels: Vec<_> = host.split('.').collect();
        let ["lighthouse", between @ .., "tencentcloudapi", "com"] = labels.as_slice() else {
            return None;
        };
        // Names of regions have a hyphen (`ap-tokyo`); those of sites have none (`intl`, `internal`).
        let site = between
            .iter()
            .filter(|label| !label.contains(REGION) && !label.contains('-'));
        let host: Vec<_> = [service]
            .iter()
            .chain(site)
            .chain(&["tencentcloudapi", "com"])
            .copied()
            .collect();
        Some(Self(format!("https://{}{port}", host.join("."))))
    }

    /// Whether each region has an access point of its own.
    pub fn is_regional(&self) -> bool {
        self.0.contains(REGION)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The placeholder for the name of a region.
const REGION: &str = "{region}";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The default port of the scheme.
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Host and port of `host`, `host:port` or `[v6]:port`, in lower case; `None` if it is none of these.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let host: std::net::Ipv6Addr = host.parse().ok()?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':')?),
        };
        (format!("[{host}]"), port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let label = |l: &str| {
            let l = l.replace(REGION, "region");
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        host.split('.').all(label).then_some(())?;
        (host.to_owned(), port)
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|&port| port > 0)?),
        None => None,
    };
    Some((host, port))
}

/// Recognizes loopback hosts by name or number, without asking a resolver (RFC 6761 reserves `localhost`).
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let lower = host.to_ascii_lowercase();
    lower == "localhost"
        || lower.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_put_into_url_and_host() {
        let region = Region::new("ap-tokyo").unwrap();
        let endpoint = Endpoint::new("http://{region}.localhost:8080").unwrap();
        assert_eq!(endpoint.url(region), "http://ap-tokyo.localhost:8080/");
        assert_eq!(endpoint.host(region), "ap-tokyo.localhost:8080");
        assert!(endpoint.is_regional());
        let endpoint = Endpoint::new("https://lighthouse.intl.tencentcloudapi.com:443/").unwrap();
        assert_eq!(endpoint.host(region), "lighthouse.intl.tencentcloudapi.com");
    }

    #[test]
    fn t9_one_host_has_one_spelling_however_it_is_written() {
        let region = Region::new("ap-tokyo").unwrap();
        for (typed, url) in [
            (
                "https://Lighthouse.INTL.TencentCloudAPI.com",
                "https://lighthouse.intl.tencentcloudapi.com",
            ),
            (
                "HTTPS://LIGHTHOUSE.{region}.TENCENTCLOUDAPI.COM:0443/",
                "https://lighthouse.ap-tokyo.tencentcloudapi.com",
            ),
            (
                "https://Relay.Example.com:08443",
                "https://relay.example.com:8443",
            ),
            ("http://LocalHost:7980", "http://localhost:7980"),
            ("http://LOCALHOST:80", "http://localhost"),
            ("https://localhost:80", "https://localhost:80"),
            ("http://[0:0:0:0:0:0:0:1]:7980", "http://[::1]:7980"),
            ("https://[2001:DB8::00A]:443", "https://[2001:db8::a]"),
        ] {
            let endpoint = Endpoint::new(typed).unwrap();
            assert_eq!(endpoint.url(region), format!("{url}/"), "{typed}");
            let (_, host) = url.split_once("://").unwrap();
            assert_eq!(endpoint.host(region), host, "{typed}");
            if !endpoint.is_regional() {
                assert_eq!(endpoint, Endpoint::new(url).unwrap(), "{typed}");
                assert_eq!(endpoint.to_string(), url);
            }
        }
        for typed in ["https://a.{Region}.example.com", "https://a.{REGION}"] {
            let error = Endpoint::new(typed).unwrap_err();
            assert_eq!(error, EndpointError::Placeholder, "{typed}");
        }
    }

    #[test]
    fn s13_sts_and_cvm_follow_the_vendors_host_or_share_the_address() {
        for (lighthouse, beside) in [
            (Endpoint::DEFAULT, "intl.tencentcloudapi.com"),
            (
                "https://lighthouse.tencentcloudapi.com",
                "tencentcloudapi.com",
            ),
            (
                "https://lighthouse.{region}.tencentcloudapi.com",
                "tencentcloudapi.com",
            ),
            (
                "https://lighthouse.ap-tokyo.tencentcloudapi.com",
                "tencentcloudapi.com",
            ),
            (
                "https://lighthouse.{region}.intl.tencentcloudapi.com",
                "intl.tencentcloudapi.com",
            ),
            (
                "https://lighthouse.internal.tencentcloudapi.com",
                "internal.tencentcloudapi.com",
            ),
            (
                "https://Lighthouse.{region}.internal.TencentCloudAPI.com:8443",
                "internal.tencentcloudapi.com:8443",
            ),
        ] {
            let endpoint = Endpoint::new(lighthouse).unwrap();
            for (service, other) in [("sts", endpoint.sts()), ("cvm", endpoint.cvm())] {
                let expected = Endpoint::new(&format!("https://{service}.{beside}")).unwrap();
                assert_eq!(other, expected, "{lighthouse}");
            }
        }
        for same in [
            "http://127.0.0.1:7980",
            "http://[::1]:7980",
            "http://{region}.localhost:7980",
            "http://lighthouse.localhost",
            "https://relay.example.com",
            "https://{region}.relay.example.com:8443",
            // Hosts that only look like the vendor's.
            "https://lighthouse.nottencentcloudapi.com",
            "https://lighthouse.tencentcloudapi.com.example.com",
            "https://cvm.tencentcloudapi.com",
            "https://tencentcloudapi.com",
        ] {
            let endpoint = Endpoint::new(same).unwrap();
            assert_eq!(endpoint.sts(), endpoint, "{same}");
            assert_eq!(endpoint.cvm(), endpoint, "{same}");
        }
    }

    #[test]
    fn s14_plain_http_goes_to_loopback_only() {
        for good in [
            "http://127.0.0.1:1",
            "http://localhost",
            "http://[::1]:80",
            "http://a.b.localhost:9",
            "http://127.9.9.9",
        ] {
            assert!(Endpoint::new(good).is_ok(), "{good}");
        }
        for bad in [
            "http://lighthouse.tencentcloudapi.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://{region}.example.com",
        ] {
            assert_eq!(Endpoint::new(bad), Err(EndpointError::PlainHttp), "{bad}");
        }
    }

    #[test]
    fn other_shapes_are_refused_with_the_reason() {
        assert_eq!(
            Endpoint::new("lighthouse.tencentcloudapi.com"),
            Err(EndpointError::Scheme)
        );
        assert_eq!(
            Endpoint::new("https://{zone}.tencentcloudapi.com"),
            Err(EndpointError::Placeholder)
        );
        for bad in [
            "https://a/b",
            "https://user@host",
            "https://host:0",
            "https://host:x",
            "https://a..b",
            "https://[::1",
            "https://h?q",
        ] {
            assert_eq!(Endpoint::new(bad), Err(EndpointError::Host), "{bad}");
        }
    }
}

//! How the hosts that a run calls are reached: directly, or through a proxy from the environment.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Check, CheckName, Status};
use crate::host::{ProxyError, ProxySettings};

/// How a single host is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Route {
    host: String,
    /// Host and port of the proxy; `None` if the host is called directly.
    proxy: Option<String>,
    /// The variable that names the proxy.
    variable: Option<&'static str>,
}

impl Route {
    fn new(host: &str, proxies: &ProxySettings) -> Self {
        // Plain http is only for hosts that are never called through a proxy, so the scheme does not matter.
        let proxy = proxies.proxy_for(&format!("https://{host}/"));
        Self {
            host: host.to_owned(),
            proxy: proxy.map(|proxy| proxy.address().to_owned()),
            variable: proxy.map(|proxy| proxy.variable()),
        }
    }
}

/// How each of `hosts` is reached. A host has a port if it is not the default.
pub fn routes(hosts: &BTreeSet<String>, proxies: &ProxySettings) -> Check {
    let routes = hosts.iter().map(|host| Route::new(host, proxies));
    let routes: Vec<_> = routes.collect();
    let mut hosts_by_path = BTreeMap::<String, Vec<&str>>::new();
    for route in &routes {
        let path = match (&route.proxy, route.variable) {
            (Some(proxy), Some(variable)) => format!("through {proxy} ({variable})"),
            _ => "direct".to_owned(),
        };
        hosts_by_path.entry(path).or_default().push(&route.host);
    }
    let lines = hosts_by_path.iter();
    let lines: Vec<_> = lines
        .map(|(path, hosts)| format!("{path}: {}", hosts.join(", ")))
        .collect();
    Check {
        routes,
        ..Check::new(CheckName::Proxy, Status::Passed, lines.join("; "))
    }
}

/// A variable with an invalid proxy. No call is made with it.
pub fn proxy_broken(error: &ProxyError) -> Check {
    Check::new(CheckName::Proxy, Status::Failed, error.to_string())
        .remedy("correct the variable, or unset it to call all hosts directly")
}

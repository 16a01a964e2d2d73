//! How the hosts are reached that a run calls: directly, or through a proxy of the environment.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Check, CheckName, Status};
use crate::host::{ProxyError, ProxySettings};

/// How one host is reached.
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
        // Plain http is for hosts that no proxy is asked for, so that the scheme does not matter.
        let proxy = proxies.proxy_for(&format!("https://{host}/"));
        Self {
            host: host.to_owned(),
            proxy: proxy.map(|proxy| proxy.address().to_owned()),
            variable: proxy.map(|proxy| proxy.variable()),
        }
    }
}

/// How each of `hosts` (each with its port, if it has one of its own) is reached.
pub fn routes(hosts: &BTreeSet<String>, proxies: &ProxySettings) -> Check {
    let routes = hosts.iter().map(|host| Route::new(host, proxies));
    let routes: Vec<_> = routes.collect();
    let mut hosts_by_way = BTreeMap::<String, Vec<&str>>::new();
    for route in &routes {
        let way = match (&route.proxy, route.variable) {
            (Some(proxy), Some(variable)) => format!("through {proxy} ({variable})"),
            _ => "direct".to_owned(),
        };
        hosts_by_way.entry(way).or_default().push(&route.host);
    }
    let ways = hosts_by_way.iter();
    let ways: Vec<_> = ways
        .map(|(way, hosts)| format!("{way}: {}", hosts.join(", ")))
        .collect();
    Check {
        routes,
        ..Check::new(CheckName::Proxy, Status::Passed, ways.join("; "))
    }
}

/// A variable that names no proxy, so that nothing is called.
pub fn proxy_broken(error: &ProxyError) -> Check {
    Check::new(CheckName::Proxy, Status::Failed, error.to_string())
        .remedy("correct the variable, or unset it to call all hosts directly")
}

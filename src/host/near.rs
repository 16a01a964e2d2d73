//! Hosts that are near: this machine, and those that it reaches without a router. Elsewhere, the same name or address
//! would be a different machine.

use std::net::IpAddr;

use crate::model::is_loopback;

/// The host that gives a CVM instance its metadata, including keys. It must therefore be reached on the machine's own
/// network, whatever address a name server returns for the name.
pub const METADATA_HOST: &str = "metadata.tencentyun.com";

/// Whether a host is never called through a proxy, because the proxy would reach a different machine under that name.
pub(super) fn is_near(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_near_address = address.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || is_link_local(address)
    });
    is_near_address || is_loopback(host) || host.eq_ignore_ascii_case(METADATA_HOST)
}

/// Whether an address is reached without a router.
pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_only_the_machines_own_network_is_link_local() {
        for (address, expected) in [
            ("169.254.0.23", true),
            ("fe80::1", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("93.184.216.34", false),
            ("::1", false),
        ] {
            let ip = address.parse().expect("an address");
            assert_eq!(is_link_local(ip), expected, "{address}");
        }
    }
}

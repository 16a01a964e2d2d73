//! A port on which nothing listens.

use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

/// A port of this machine that refuses connections. The socket is bound for as long as the value exists, so that no
/// other test gets the port.
pub(crate) struct ClosedPort(TcpSocket);

impl ClosedPort {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        socket.bind(any).expect("a port");
        Self(socket)
    }

    /// The URL of the port, with plain HTTP.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("it is bound"))
    }
}

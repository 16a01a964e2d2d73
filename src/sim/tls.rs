//! A certificate for the simulator, signed by itself: some clients, tccli among them, speak TLS only.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How the simulator identifies itself.
pub(super) struct Identity {
    pub tls: TlsAcceptor,
    /// As PEM, for clients to trust.
    pub certificate: String,
}

/// A new key and a certificate for loopback names and `address`.
pub(super) fn identity(address: IpAddr) -> io::Result<Identity> {
    let names = ["localhost", "*.localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .into_iter();
    let names: Vec<_> = names.chain([address.to_string()]).collect();
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    let certificate = made.cert.pem();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
        })
        .map_err(io::Error::other)?;
    Ok(Identity {
        tls: TlsAcceptor::from(Arc::new(config)),
        certificate,
    })
}

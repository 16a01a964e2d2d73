//! Texts for people that say why there is no connection or no reply. The texts of the libraries are meant for
//! programmers.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::words::{brief, first_of};

/// Text for a certificate that no known authority has signed.
const NO_ISSUER: &str = "the server's certificate is not signed by any authority that this machine trusts (are this machine's CA certificates installed? A proxy that decrypts TLS \
     has a CA of its own: name its file in SSL_CERT_FILE)";
const CLOCK: &str = "(is this machine's clock right?)";
const CA_AS_SERVER: &str = "the server shows the certificate of a CA instead of its own (give it one that this CA has signed; a self-signed certificate must not \
     be marked as a CA)";

/// An error as text, from the layer that gives the most information.
pub(super) fn in_words(error: &(dyn Error + 'static)) -> String {
    let layers = layers(error);
    let tls = layers.iter().find_map(|layer| layer.downcast_ref());
    if let Some(error) = tls {
        return tls_in_words(error);
    }
    let innermost = layers.last().map_or_else(String::new, ToString::to_string);
    let io = layers.iter().rev().find_map(|layer| layer.downcast_ref());
    io.and_then(|error: &io::Error| io_in_words(error, &innermost))
        .unwrap_or_else(|| brief(&innermost))
}

/// The error and its causes, the innermost last. The error inside an I/O error counts as a separate layer, because the
/// I/O error's `source` skips it.
fn layers<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    /// A longer chain must contain a cycle.
    const DEPTH_MAX: usize = 32;
    let mut layers = vec![error];
    while layers.len() < DEPTH_MAX {
        let layer = layers[layers.len() - 1];
        let wrapped = layer
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|wrapped| wrapped as &(dyn Error + 'static));
        match wrapped.or_else(|| layer.source()) {
            Some(next) => layers.push(next),
            None => break,
        }
    }
    layers
}

fn io_in_words(error: &io::Error, text: &str) -> Option<String> {
    // The resolver's errors have no kind of their own.
    if let Some(why) = text.strip_prefix("failed to lookup address information: ") {
        return Some(unresolved(why));
    }
    let words = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens at that address and port, or a firewall blocks it"
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "the other side closed the connection unexpectedly",
        io::ErrorKind::UnexpectedEof => "the other side closed the connection",
        io::ErrorKind::TimedOut => "no connection in time: nothing answers at that address",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "this machine's network has no route to that address"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no address to connect from",
        _ => return None,
    };
    Some(words.to_owned())
}

fn unresolved(why: &str) -> String {
    match why {
        "Name or service not known"
        | "nodename nor servname provided, or not known"
        | "No address associated with hostname"
        | "Name does not resolve" => "no such host: the name cannot be resolved".to_owned(),
        "Temporary failure in name resolution" | "Try again" => {
            "the name cannot be resolved at the moment: no name server answers".to_owned()
        }
        other => format!("the name cannot be resolved: {}", brief(other)),
    }
}

fn tls_in_words(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(problem) => certificate_in_words(problem),
        Tls::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        // A reply in another protocol is not a TLS message.
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. } => {
            "the server does not speak TLS at that port (does it use `http` there, or TLS on another port?)"
                .to_owned()
        }
        Tls::AlertReceived(alert) => format!("the server ended TLS ({})", alert_in_words(*alert)),
        Tls::PeerIncompatible(_) => {
            "the server's TLS is too old or not compatible: sharekeeper supports TLS 1.2 and 1.3"
                .to_owned()
        }
        _ => "the TLS handshake with the server failed".to_owned(),
    }
}

fn alert_in_words(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "it accepts none of the ciphers that are offered"
        }
        AlertDescription::ProtocolVersion => "it accepts neither TLS 1.2 nor 1.3",
        AlertDescription::UnrecognisedName => "it serves no host with that name",
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => {
            "it requires a client certificate"
        }
        AlertDescription::AccessDenied => "it denies access",
        AlertDescription::InternalError => "it has an internal error",
        _ => "it gave no useful reason",
    }
}

fn certificate_in_words(problem: &CertificateError) -> String {
    use CertificateError as Problem;
    match problem {
        Problem::UnknownIssuer => NO_ISSUER.to_owned(),
        Problem::NotValidForName => "the server's certificate is for another name".to_owned(),
        Problem::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the server's certificate is for no host name".to_owned()
        }
        Problem::NotValidForNameContext { presented, .. } => {
            let names = presented.iter().map(|name| brief(&plain_name(name)));
            let names: Vec<_> = names.collect();
            format!(
                "the server's certificate is for another name: {}",
                first_of(&names)
            )
        }
        Problem::Expired | Problem::ExpiredContext { .. } => {
            format!("the server's certificate has expired {CLOCK}")
        }
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
            format!("the server's certificate is not valid yet {CLOCK}")
        }
        Problem::Revoked => "the server's certificate has been revoked".to_owned(),
        Problem::BadEncoding | Problem::BadSignature => {
            "the server's certificate is damaged, or its signature is wrong".to_owned()
        }
        Problem::InvalidPurpose | Problem::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers".to_owned()
        }
        Problem::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => {
            CA_AS_SERVER.to_owned()
        }
        _ => "the server's certificate cannot be verified".to_owned(),
    }
}

/// The plain name of a certificate, from webpki's notation `DnsName("a.example")`.
fn plain_name(name: &str) -> String {
    match (name.split_once('"'), name.rsplit_once('"')) {
        (Some((_, after)), Some(_)) => {
            let inner = after.split('"').next();
            inner.unwrap_or(name).to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct Named;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] io::Error);

    fn of_certificate(problem: CertificateError) -> String {
        let tls = rustls::Error::InvalidCertificate(problem);
        in_words(&Outer(io::Error::new(io::ErrorKind::InvalidData, tls)))
    }

    #[test]
    fn n13_each_fault_of_a_certificate_has_words_of_its_own() {
        let names = CertificateError::NotValidForNameContext {
            expected: rustls::pki_types::ServerName::try_from("a.test").expect("a name"),
            presented: vec!["DnsName(\"b.test\")".into(), "c.test".into()],
        };
        for (problem, words) in [
            (CertificateError::UnknownIssuer, "SSL_CERT_FILE"),
            (CertificateError::NotValidForName, "for another name"),
            (names, "for another name: b.test, c.test"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::Revoked, "revoked"),
            (CertificateError::BadSignature, "damaged"),
            (CertificateError::InvalidPurpose, "not meant for servers"),
            (
                CertificateError::Other(OtherError(Arc::new(Named))),
                "certificate of a CA instead of its own",
            ),
            (
                CertificateError::UnhandledCriticalExtension,
                "cannot be verified",
            ),
        ] {
            let said = of_certificate(problem);
            assert!(said.contains(words), "{said}");
            assert!(
                !said.contains("Other(") && !said.contains("Error"),
                "{said}"
            );
        }
    }

    #[test]
    fn n13_tls_that_fails_otherwise_is_told_in_words() {
        use rustls::{InvalidMessage, PeerIncompatible};
        for (error, words) in [
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "does not speak TLS",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                "neither TLS 1.2 nor 1.3",
            ),
            (
                rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
                "too old",
            ),
            (
                rustls::Error::DecryptError,
                "the TLS handshake with the server failed",
            ),
        ] {
            let said = in_words(&Outer(io::Error::other(error)));
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn n13_sockets_and_names_that_fail_are_told_in_words() {
        let lookup = |why: &str| {
            let text = format!("failed to lookup address information: {why}");
            in_words(&Outer(io::Error::other(text)))
        };
        for (said, words) in [
            (lookup("Name or service not known"), "no such host"),
            (
                lookup("Temporary failure in name resolution"),
                "no name server answers",
            ),
            (
                lookup("Non-recoverable failure"),
                "cannot be resolved: Non-",
            ),
            (
                in_words(&Outer(io::ErrorKind::ConnectionRefused.into())),
                "connection refused",
            ),
            (
                in_words(&Outer(io::ErrorKind::ConnectionReset.into())),
                "closed the connection unexpectedly",
            ),
            (in_words(&Outer(io::ErrorKind::TimedOut.into())), "in time"),
            (
                in_words(&Outer(io::ErrorKind::HostUnreachable.into())),
                "no route to",
            ),
            (
                in_words(&Outer(io::Error::from_raw_os_error(111))),
                "connection refused",
            ),
        ] {
            assert!(said.contains(words), "{said}");
            assert!(!said.contains("os error"), "{said}");
        }
    }
}

//! Finds the encoding of a document that a client accepts (RFC 9110, 12.5.3).

use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// The encoding of a document's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// The encoding that a request accepts: gzip if it is listed by name or by `*` with a weight other than 0.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let (mut gzip, mut other) = (None, None);
        for coding in lines.flat_map(|line| line.split(',')) {
            let mut parts = coding.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(weight).unwrap_or(1.0);
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                gzip = Some(weight);
            } else if name == "*" {
                other = Some(weight);
            }
        }
        match gzip.or(other) {
            Some(weight) if weight > 0.0 => Self::Gzip,
            _ => Self::Identity,
        }
    }
}

/// The value of a parameter `q`. An unreadable value counts as 0, because its meaning is unknown.
fn weight(parameter: &str) -> Option<f64> {
    let (name, value) = parameter.split_once('=')?;
    let is_weight = name.trim().eq_ignore_ascii_case("q");
    is_weight.then(|| value.trim().parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn b4_gzip_is_sent_to_clients_that_accept_it() {
        let accepted = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::try_from(*line).expect("text"));
            }
            Encoding::accepted(&headers)
        };
        for lines in [
            &["gzip"][..],
            &["gzip, deflate, br, zstd"],
            &["br", "GZIP;q=0.1"],
            &["*"],
            &["x-gzip ; Q = 1.000"],
            &["identity;q=0.5, *;q=0.1"],
        ] {
            assert_eq!(accepted(lines), Encoding::Gzip, "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["identity"],
            &["gzip;q=0"],
            &["gzip; q=0.000, *"],
            &["*;q=0"],
            &["br, deflate"],
            &["gzip;q=x"],
            &["gzipped"],
        ] {
            assert_eq!(accepted(lines), Encoding::Identity, "{lines:?}");
        }
    }
}

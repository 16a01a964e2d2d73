//! Checks each step of the request signature against every vector of the official SDK, because one wrong byte
//! makes all calls fail.

use std::collections::BTreeMap;

use serde::Deserialize;
use sharekeeper::api::protocol::sign::{Credentials, ToSign};
use sharekeeper::model::Secret;

#[derive(Deserialize)]
struct Vectors {
    count: usize,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret_id: String,
    secret_key: String,
    service: String,
    host: String,
    action: String,
    content_type: String,
    timestamp: i64,
    unsigned_payload: bool,
    payload_utf8: String,
    signed_headers: Option<String>,
    canonical_request: String,
    string_to_sign: String,
    signature: String,
    authorization: String,
}

#[test]
fn c3_every_vector_signs_as_the_official_sdk_does() {
    let file = include_str!("../data/signing-vectors.json");
    let all: Vectors = serde_json::from_str(file).expect("the vectors are JSON");
    assert_eq!(all.vectors.len(), all.count);
    assert_eq!(all.count, 37);
    // A key may cache its derived keys, so that it must still sign correctly for other days and services.
    let mut used = BTreeMap::new();
    for vector in all.vectors {
        let name = &vector.name;
        let action = vector.action.to_lowercase();
        let signs_action =
            vector.signed_headers.as_deref() == Some("content-type;host;x-tc-action");
        let extra: &[(&str, &str)] = if signs_action {
            &[("x-tc-action", &action)]
        } else {
            &[]
        };
        let body: &[u8] = if vector.unsigned_payload {
            b"UNSIGNED-PAYLOAD"
        } else {
            vector.payload_utf8.as_bytes()
        };
        let to_sign = ToSign {
            service: &vector.service,
            host: &vector.host,
            content_type: &vector.content_type,
            timestamp: vector.timestamp,
            body,
            extra_headers: extra,
        };
        let fresh = || {
            let secret_key = Secret::new(vector.secret_key.clone());
            Credentials::new(vector.secret_id.clone(), secret_key, None)
        };
        let key = (vector.secret_id.clone(), vector.secret_key.clone());
        let used = used.entry(key).or_insert_with(fresh);
        assert_eq!(
            to_sign.canonical_request(),
            vector.canonical_request,
            "{name}"
        );
        assert_eq!(
            to_sign.string_to_sign().as_deref(),
            Ok(&*vector.string_to_sign),
            "{name}"
        );
        let credentials = fresh();
        assert_eq!(
            to_sign.signature(&credentials.secret_key).as_deref(),
            Ok(&*vector.signature),
            "{name}"
        );
        for credentials in [&credentials, used] {
            assert_eq!(
                to_sign.authorization(credentials).as_deref(),
                Ok(&*vector.authorization),
                "{name}"
            );
        }
    }
}

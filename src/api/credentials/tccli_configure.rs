//! tccli's `<profile>.configure`: the access point at which it asks STS for the roles in its profiles and variables. It
//! holds no secret.

use std::path::Path;

use serde_json::Value;

use super::error::CredentialError;
use super::watched_file;
use crate::model::Endpoint;

/// The domain of all of the vendor's hosts.
const VENDOR: &str = ".tencentcloudapi.com";

/// The access point of STS for a role of tccli, if `path` is the profile's file: its `sts.endpoint`, else `usual`,
/// which belongs to Lighthouse's access point.
///
/// tccli writes the vendor's host there even if nobody asked it to. If Lighthouse's host is not the vendor's, that
/// value does not count: keys of a simulator or a relay are not for the vendor.
pub(super) fn sts(path: &Path, usual: &Endpoint) -> Result<Endpoint, CredentialError> {
    let broken = |why: &str| CredentialError::Broken(format!("{}: {why}", path.display()));
    let reading = match watched_file::read(path) {
        Ok(reading) => reading,
        Err(error) if watched_file::is_absent(&error) => return Ok(usual.clone()),
        Err(error) => return Err(broken(&format!("cannot be read: {error}"))),
    };
    let text = std::str::from_utf8(&reading.bytes)
        .map_err(|_| broken("holds bytes that are not text"))?
        .trim_start_matches('\u{feff}');
    let configure: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        broken(&format!(
            "is not what tccli writes, at line {line}, column {column}"
        ))
    })?;
    let host = match &configure["sts"]["endpoint"] {
        Value::Null => return Ok(usual.clone()),
        Value::String(host) if host.is_empty() => return Ok(usual.clone()),
        Value::String(host) => host,
        _ => return Err(broken("`sts.endpoint` is not a text")),
    };
    let url = if host.contains("://") {
        host.clone()
    } else {
        format!("https://{host}")
    };
    let endpoint = Endpoint::new(&url)
        .map_err(|error| broken(&format!("`sts.endpoint` cannot be used: {error}")))?;
    if endpoint.is_regional() {
        return Err(broken("`sts.endpoint` names no single host"));
    }
    let is_strangers = is_vendors(&endpoint) && !is_vendors(usual);
    Ok(if is_strangers {
        usual.clone()
    } else {
        endpoint
    })
}

fn is_vendors(endpoint: &Endpoint) -> bool {
    let url = endpoint.to_string().to_ascii_lowercase();
    let host = url.split_once("://").map_or(&*url, |(_, rest)| rest);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    host.ends_with(VENDOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, usual: &str) -> Result<String, String> {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("default.configure");
        std::fs::write(&path, text).expect("is written");
        let usual = Endpoint::new(usual).expect("an endpoint");
        let chosen = sts(&path, &usual);
        chosen
            .map(|endpoint| endpoint.to_string())
            .map_err(|error| error.to_string())
    }

    const OURS: &str = "https://sts.intl.tencentcloudapi.com";

    #[test]
    fn t1_sts_is_asked_where_tccli_asks_it() {
        let configured =
            |host: &str| format!(r#"{{"_sys_param": {{}}, "sts": {{"endpoint": "{host}"}}}}"#);
        for (host, asked) in [
            ("sts.tencentcloudapi.com", "https://sts.tencentcloudapi.com"),
            (
                "https://sts.internal.tencentcloudapi.com",
                "https://sts.internal.tencentcloudapi.com",
            ),
            ("sts.relay.example:8443", "https://sts.relay.example:8443"),
            ("http://127.0.0.1:7980", "http://127.0.0.1:7980"),
            ("", OURS),
        ] {
            assert_eq!(
                read(&configured(host), OURS).as_deref(),
                Ok(asked),
                "{host}"
            );
        }
        for nothing in [
            "{}",
            r#"{"sts": {}}"#,
            r#"{"sts": null}"#,
            r#"{"sts": {"endpoint": null}}"#,
        ] {
            assert_eq!(read(nothing, OURS).as_deref(), Ok(OURS), "{nothing}");
        }
        let nowhere = Path::new("/nowhere/default.configure");
        let usual = Endpoint::new(OURS).expect("an endpoint");
        assert_eq!(sts(nowhere, &usual), Ok(usual.clone()));
    }

    #[test]
    fn t1_s14_keys_of_a_simulator_do_not_go_to_the_vendors_sts() {
        let text = r#"{"sts": {"endpoint": "sts.TencentCloudAPI.com"}}"#;
        for usual in ["http://127.0.0.1:7980", "https://lighthouse.relay.example"] {
            assert_eq!(read(text, usual).as_deref(), Ok(usual));
        }
        let text = r#"{"sts": {"endpoint": "http://127.0.0.1:7981"}}"#;
        let asked = read(text, "http://127.0.0.1:7980");
        assert_eq!(asked.as_deref(), Ok("http://127.0.0.1:7981"));
    }

    #[test]
    fn t1_s14_what_is_no_access_point_is_an_error_that_names_the_file() {
        for (text, words) in [
            (
                r#"{"sts": {"endpoint": "http://sts.example"}}"#,
                "plain http",
            ),
            (
                r#"{"sts": {"endpoint": "sts.{region}.example"}}"#,
                "no single host",
            ),
            (
                r#"{"sts": {"endpoint": "sts.example/path"}}"#,
                "`sts.endpoint`",
            ),
            (r#"{"sts": {"endpoint": 5}}"#, "is not a text"),
            ("{\"sts\":", "line 1"),
        ] {
            let error = read(text, OURS).expect_err(text);
            assert!(
                error.contains(words) && error.contains("default.configure"),
                "{error}"
            );
        }
    }
}

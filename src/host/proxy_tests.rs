//! Checks which calls go through which proxy, compared with the client library's own reading of the same variables.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

fn settings(variables: &[(&str, &str)]) -> Result<ProxySettings, ProxyError> {
    ProxySettings::new(|name| {
        let mut set = variables.iter();
        let found = set.find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    })
}

fn through(variables: &[(&str, &str)], url: &str) -> Option<(String, &'static str)> {
    let settings = settings(variables).expect("settings");
    let proxy = settings.proxy_for(url)?;
    Some((proxy.address().to_owned(), proxy.variable()))
}

const API: &str = "https://lighthouse.intl.tencentcloudapi.com/";

#[test]
fn t3_each_variable_counts_in_both_spellings_and_in_order() {
    let found = |variables: &[(&str, &str)], expected: Option<(&str, &'static str)>| {
        let expected = expected.map(|(address, name)| (address.to_owned(), name));
        assert_eq!(through(variables, API), expected, "{variables:?}");
    };
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        found(&[(name, "http://p:1")], Some(("p:1", name)));
    }
    for name in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
        found(&[(name, "http://p:1")], None);
    }
    let both = [("https_proxy", "http://b:2"), ("HTTPS_PROXY", "http://a:1")];
    found(&both, Some(("a:1", "HTTPS_PROXY")));
    let all = [("ALL_PROXY", "http://a:1"), ("https_proxy", "http://b:2")];
    found(&all, Some(("b:2", "https_proxy")));
    // An empty value counts as set, and hides the other spelling.
    let empty = [("HTTPS_PROXY", ""), ("https_proxy", "http://b:2")];
    found(&empty, None);
    let empty = [("HTTPS_PROXY", ""), ("all_proxy", "http://b:2")];
    found(&empty, Some(("b:2", "all_proxy")));
    let cgi = [("REQUEST_METHOD", "GET"), ("HTTPS_PROXY", "http://a:1")];
    found(&cgi, None);
    found(&[], None);
    let plain = [("HTTP_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b:2")];
    let plain = through(&plain, "http://example.com/").map(|(address, _)| address);
    assert_eq!(plain.as_deref(), Some("a:1"));
}

#[test]
fn t3_what_is_near_is_called_directly_whatever_is_set() {
    let all = [("ALL_PROXY", "http://p:1")];
    for near in [
        "http://localhost/",
        "https://localhost:8443/",
        "https://LOCALHOST/",
        "http://ap-tokyo.localhost:7980/",
        "http://127.0.0.1:7980/",
        "http://127.9.9.9/",
        "https://[::1]:7980/",
        "https://[::ffff:127.0.0.1]/",
        "http://metadata.tencentyun.com/latest/",
        "http://METADATA.tencentyun.com/",
        "http://169.254.0.23/",
        "http://[fe80::1]/",
    ] {
        assert_eq!(through(&all, near), None, "{near}");
    }
    for far in [
        API,
        "http://localhost.example.com/",
        "https://metadata.tencentyun.com.example.com/",
        "https://10.0.0.1/",
        "https://[2001:db8::1]/",
        "https://128.0.0.1/",
    ] {
        assert!(through(&all, far).is_some(), "{far}");
    }
}

#[test]
fn t3_no_proxy_means_what_it_means_to_reqwest() {
    for (exempt, url, is_direct) in [
        ("tencentcloudapi.com", API, true),
        (".tencentcloudapi.com", API, true),
        ("TencentCloudApi.COM", API, true),
        ("other.com , intl.tencentcloudapi.com", API, true),
        ("*", API, true),
        ("cloudapi.com", API, false),
        ("*.tencentcloudapi.com", API, false),
        ("lighthouse.intl.tencentcloudapi.com:443", API, false),
        ("", API, false),
        ("10.0.0.0/8", "https://10.1.2.3:8443/", true),
        ("10.0.0.1", "https://10.0.0.2/", false),
        ("2001:db8::/32", "https://[2001:db8::7]/", true),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            let variables = [("HTTPS_PROXY", "http://p:1"), (name, exempt)];
            let found = through(&variables, url);
            assert_eq!(found.is_none(), is_direct, "{name}={exempt} {url}");
        }
    }
    let both = [("NO_PROXY", ""), ("no_proxy", "*"), ("https_proxy", "p:1")];
    assert!(through(&both, API).is_some(), "the first spelling counts");
}

/// Our reading equals the client library's, except that the port is written out.
#[test]
fn t3_a_proxy_is_read_as_the_client_library_reads_it() {
    for (value, address) in [
        ("http://proxy.example.com:3128", "proxy.example.com:3128"),
        ("http://proxy.example.com:3128/", "proxy.example.com:3128"),
        ("proxy:3128", "proxy:3128"),
        ("user:pass@proxy:3128", "proxy:3128"),
        ("HTTP://proxy", "proxy:80"),
        ("https://proxy", "proxy:443"),
        ("socks5://10.0.0.9", "10.0.0.9:1080"),
        (
            "socks5h://u:p%40ss%2Fword@[2001:db8::1]:9",
            "[2001:db8::1]:9",
        ),
        ("socks4a://proxy:1", "proxy:1"),
        (
            "http://token@under_score.example:1",
            "under_score.example:1",
        ),
        ("http://user:@proxy:1", "proxy:1"),
        ("http://user:a:b@proxy:1", "proxy:1"),
    ] {
        let ours = settings(&[("HTTPS_PROXY", value)]).expect(value);
        let proxy = ours.proxy_for(API).expect(value);
        assert_eq!(proxy.address(), address, "{value}");
        let theirs = |text: &str| {
            let uri = API.parse().expect("a URI");
            let found = Matcher::builder().https(text).build().intercept(&uri);
            let found = found.expect(text);
            let auth = found.basic_auth().cloned();
            let raw = found
                .raw_auth()
                .map(|(user, pass)| format!("{user} {pass}"));
            (found.uri().host().map(str::to_owned), auth, raw)
        };
        assert_eq!(theirs(proxy.expose()), theirs(value), "{value}");
    }
}

#[test]
fn t3_a_wrong_proxy_is_an_error_that_names_only_the_variable() {
    for value in [
        "ftp://proxy:1",
        "socks6://proxy:1",
        "://proxy",
        "http://",
        "http://:3128",
        "http://proxy:0",
        "http://proxy:65536",
        "http://proxy:CANARY",
        "http://proxy:3128/CANARY",
        "http://proxy:3128?CANARY",
        "http://proxy:3128#CANARY",
        "http://user:CAN@ARY@proxy:3128",
        "http://user:12/CANARY@proxy:3128",
        "http://user:12#CANARY@proxy:3128",
        "http://user:12\\CANARY@proxy:3128",
        "http://user:CAN%ARY@proxy:3128",
        "http://user:CANARY%@proxy:3128",
        "http://user:CAN ARY@proxy:3128",
        "http://user:CANARY@proxy:3128\n",
        " http://proxy:3128",
        "http://proxy a:3128",
        "http://[::1",
        "http://[CANARY]:1",
        "http://é:1",
        "CANARY=1",
        " ",
    ] {
        for name in ["HTTPS_PROXY", "all_proxy", "HTTP_PROXY"] {
            let error = settings(&[(name, value)]).expect_err(value);
            let said = format!("{error} {error:?}");
            assert!(error.to_string().starts_with(name), "{said}");
            assert!(!said.contains("CAN") && !said.contains("ARY"), "{said}");
        }
    }
    for name in ["HTTPS_PROXY", "NO_PROXY"] {
        let bytes = |asked: &str| {
            (asked == name).then(|| OsString::from_vec(b"http://\xffproxy:1".to_vec()))
        };
        let error = ProxySettings::new(bytes).expect_err("not text");
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[test]
fn t3_only_host_and_port_of_a_proxy_are_ever_shown() {
    let settings = settings(&[("HTTPS_PROXY", "http://user:CANARY@proxy:3128")]);
    let shown = format!("{:?}", settings.expect("settings"));
    assert!(shown.contains("proxy:3128"), "{shown}");
    assert!(
        !shown.contains("CANARY") && !shown.contains("user"),
        "{shown}"
    );
}

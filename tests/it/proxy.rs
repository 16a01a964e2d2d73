//! Tests calls through proxies: the real HTTP client with a proxy on loopback, and the binary with the
//! environment variables that name a proxy.

mod standin;

use std::ffi::OsString;
use std::fs;
use std::process::Output;
use std::time::Duration;

use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sharekeeper::host::{
    HttpTransport, Method, ProxySettings, Reply, ReplyBody, Request, Transport, TransportError,
};
use standin::{Conduct, ProxyStandIn, certificate, tls_in_front_of};

const PASSWORD: &str = "c4n4ryB1rdS1ngs";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

/// Sends one request with these environment variables.
fn send(variables: &[(&str, String)], url: &str) -> Result<Reply, TransportError> {
    let settings = ProxySettings::new(|name| {
        let mut set = variables.iter();
        let found = set.find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    });
    let transport = HttpTransport::new(settings.expect("settings")).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(transport.send(Request {
        method: Method::Post,
        url: url.to_owned(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
        deadline: Duration::from_secs(20),
        reads: ReplyBody::Whole,
    }))
}

fn address(scheme: &str, proxy: &ProxyStandIn) -> String {
    format!("{scheme}://user:{PASSWORD}@127.0.0.1:{}", proxy.port())
}

#[test]
fn t3_plain_http_goes_to_the_proxy_with_its_whole_url() {
    let proxy = ProxyStandIn::start(Conduct::Answer(OK));
    let variables = [("http_proxy", address("http", &proxy))];
    let reply = send(&variables, "http://api.invalid:8080/path").expect("a reply");
    assert_eq!(reply.body, b"done");
    let heard = proxy.heard().concat().to_lowercase();
    assert!(
        heard.starts_with("post http://api.invalid:8080/path "),
        "{heard}"
    );
    let basic = BASE64_STANDARD.encode(format!("user:{PASSWORD}"));
    let header = format!("proxy-authorization: basic {}", basic.to_lowercase());
    assert!(heard.contains(&header), "{heard}");
}

#[test]
fn t3_a_socks_proxy_is_asked_for_the_host_by_its_name() {
    let proxy = ProxyStandIn::start(Conduct::Answer(OK));
    let variables = [("ALL_PROXY", address("socks5h", &proxy))];
    let reply = send(&variables, "http://api.invalid:8080/").expect("a reply");
    assert_eq!(reply.body, b"done");
    assert_eq!(
        proxy.heard(),
        [format!("SOCKS5 user:{PASSWORD} api.invalid:8080")]
    );
}

#[test]
fn t3_what_no_proxy_names_and_what_is_near_never_reaches_the_proxy() {
    let proxy = ProxyStandIn::start(Conduct::Answer(OK));
    let near = ProxyStandIn::start(Conduct::Answer(OK));
    let mut variables = vec![("ALL_PROXY", address("http", &proxy))];
    for host in ["127.0.0.1", "localhost", "a.localhost"] {
        let url = format!("http://{host}:{}/", near.port());
        assert!(send(&variables, &url).is_ok(), "{host}");
    }
    assert_eq!(near.heard().len(), 3);
    variables.push(("NO_PROXY", "invalid".into()));
    let error = send(&variables, "http://api.invalid/").expect_err("no such host");
    assert!(matches!(error, TransportError::NotSent(_)), "{error}");
    assert_eq!(proxy.heard(), [""; 0]);
}

#[test]
fn t3_a_proxy_that_refuses_has_let_nothing_through_and_is_named() {
    for (answer, word) in [
        (
            b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n".as_slice(),
            "407",
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "refuses"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "refuses"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "refuses"),
        (b"", "closed the connection"),
        (
            b"HTTP/1.1 200 Connected\r\n\r\nnot TLS",
            "through the proxy",
        ),
    ] {
        let proxy = ProxyStandIn::start(Conduct::Answer(answer));
        let variables = [("HTTPS_PROXY", address("http", &proxy))];
        match send(&variables, "https://api.invalid/") {
            Err(TransportError::NotSent(detail)) => {
                let named = format!("127.0.0.1:{}", proxy.port());
                assert!(detail.contains(&named), "{detail}");
                assert!(detail.contains("HTTPS_PROXY"), "{detail}");
                assert!(detail.contains(word), "{detail}");
                assert!(!detail.contains(PASSWORD), "{detail}");
            }
            other => panic!("{word}: {other:?}"),
        }
        assert!(
            proxy
                .heard()
                .concat()
                .starts_with("CONNECT api.invalid:443 ")
        );
    }
    // The listener is closed, so that no process listens on its port any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = port.expect("a port").port();
    for scheme in ["http", "socks5h"] {
        let gone = [(
            "https_proxy",
            format!("{scheme}://u:{PASSWORD}@127.0.0.1:{port}"),
        )];
        let error = send(&gone, "https://api.invalid/").expect_err("nobody there");
        let TransportError::NotSent(detail) = error else {
            panic!("{error}");
        };
        assert!(detail.contains(&format!("127.0.0.1:{port}")), "{detail}");
        assert!(!detail.contains(PASSWORD), "{detail}");
    }
}

#[test]
fn t3_what_a_proxy_lost_after_it_was_sent_may_have_been_done() {
    let proxy = ProxyStandIn::start(Conduct::Answer(b""));
    let variables = [("HTTP_PROXY", address("http", &proxy))];
    let error = send(&variables, "http://api.invalid/").expect_err("no reply");
    assert!(matches!(error, TransportError::Lost(_)), "{error}");
}

/// A network in which the real host names of the API can only be reached through the proxy.
struct Network {
    bench: Bench,
    simulator: Simulator,
    proxy: ProxyStandIn,
}

impl Network {
    fn new() -> Self {
        let simulator = Simulator::start();
        let port = tls_in_front_of(simulator.endpoint().trim_start_matches("http://"));
        let bench = Bench::new();
        bench.declare("images", "ap-tokyo", &["img-tools001"]);
        let uin = "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: default}\nspec: {uin: \"100000000001\"}\n";
        bench.write("manifests/account.yaml", uin);
        let proxy = ProxyStandIn::start(Conduct::LeadTo(port));
        Self {
            bench,
            simulator,
            proxy,
        }
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let output = command(arguments)
            .args(["--state-dir", "state"])
            .current_dir(self.bench.path(""))
            .env("SSL_CERT_FILE", certificate("ca.pem"))
            .envs(self.simulator.credentials())
            .envs(variables.iter().copied())
            .output()
            .expect("the binary starts");
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.contains(PASSWORD), "{said}");
        output
    }
}

#[test]
fn n5_t3_all_calls_use_the_proxy_logged_once_without_password() {
    let network = Network::new();
    for scheme in ["http", "socks5h"] {
        let proxy = address(scheme, &network.proxy);
        let before = network.proxy.heard().len();
        let arguments = ["plan", "-o", "json", "--log-level", "trace"];
        let output = network.run(&arguments, &[("HTTPS_PROXY", &proxy)]);
        let plan = document(&output);
        assert_eq!(plan["exit_code"], 0, "{}", stderr(&output));
        let heard = network.proxy.heard()[before..].join("\n");
        for host in ["lighthouse", "sts"] {
            let target = format!(" {host}.intl.tencentcloudapi.com:443");
            assert!(heard.contains(&target), "{heard}");
        }
        let log = stderr(&output);
        let named = format!("proxy=\"127.0.0.1:{}\"", network.proxy.port());
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("go through a proxy"))
            .collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains(&named), "{log}");
    }
    assert!(network.simulator.calls().contains_key("DescribeBlueprints"));
}

#[test]
fn n5_more_certificates_come_from_a_file_or_a_directory() {
    let network = Network::new();
    let proxy = address("http", &network.proxy);
    let folder = network.bench.path("certificates");
    fs::create_dir(&folder).expect("a directory");
    let folder_text = folder.to_str().expect("text");
    let proxied = ("HTTPS_PROXY", proxy.as_str());
    let empty = [
        proxied,
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", folder_text),
    ];
    let arguments = ["plan", "-o", "json"];
    let output = network.run(&arguments, &empty);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("SSL_CERT_FILE"),
        "{}",
        stderr(&output)
    );
    fs::copy(certificate("ca.pem"), folder.join("ca.pem")).expect("a copy");
    let output = network.run(&arguments, &empty);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(network.run(&arguments, &[proxied]).status.code(), Some(0));
}

#[test]
fn n5_doctor_shows_how_each_host_is_reached() {
    let network = Network::new();
    let hooks = "webhooks:\n  - {name: ops, format: json, url: \"https://hooks.example.com/services/T0c4n4ry/B1\"}\n";
    network.bench.write("hooks.yaml", hooks);
    let proxy = address("http", &network.proxy);
    let variables = [("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", "example.com")];
    let arguments = ["doctor", "--notify", "hooks.yaml"];
    let text = stdout(&network.run(&arguments, &variables));
    let named = format!("127.0.0.1:{}", network.proxy.port());
    let expected = format!(
        "direct: hooks.example.com, metadata.tencentyun.com; through {named} (HTTPS_PROXY): lighthouse.intl.tencentcloudapi.com, sts.intl.tencentcloudapi.com\n"
    );
    assert!(text.contains(&expected), "{text}");
    assert!(!text.contains("T0c4n4ry"), "{text}");
    let output = network.run(
        &[arguments.as_slice(), &["-o", "json"]].concat(),
        &variables,
    );
    let report = document(&output);
    assert_eq!(report["exit_code"], 0, "{report}");
    let check = check(&report, "proxy");
    assert_eq!(check["status"], "passed");
    let direct = |host: &str| json!({"host": host, "proxy": null, "variable": null});
    let through = |host: &str| json!({"host": host, "proxy": named, "variable": "HTTPS_PROXY"});
    assert_eq!(
        check["routes"],
        json!([
            direct("hooks.example.com"),
            through("lighthouse.intl.tencentcloudapi.com"),
            direct("metadata.tencentyun.com"),
            through("sts.intl.tencentcloudapi.com"),
        ])
    );
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn n5_a_variable_that_names_no_proxy_is_an_error_that_does_not_quote_it() {
    let network = Network::new();
    let broken = format!("http://user:{PASSWORD}@@proxy:3128");
    for variable in ["HTTPS_PROXY", "all_proxy"] {
        let output = network.run(&["plan"], &[(variable, &broken)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(variable), "{}", stderr(&output));
        let output = network.run(&["doctor", "-o", "json"], &[(variable, &broken)]);
        let report = document(&output);
        assert_eq!(report["exit_code"], 1);
        let check = check(&report, "proxy");
        assert_eq!(check["status"], "failed");
        let said = check["message"].as_str().expect("a text");
        assert!(said.starts_with(variable), "{said}");
    }
    assert_eq!(network.proxy.heard(), [""; 0]);
}

//! Drives a real headless browser over a pair of pipes in its own protocol (CDP).

use std::collections::VecDeque;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// A browser that does not answer within this time will never answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A browser with one page, which ends when the value is dropped.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    /// Whether the page that was opened last is loaded.
    loaded: bool,
    /// The complaints of the page: errors, exceptions, and violations of its content security policy.
    complaints: VecDeque<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser. Returns `None` and reports it if no browser is found.
    pub(crate) async fn start() -> Option<Self> {
        let Some(name) = installed().await else {
            skip_unless_required("chromium is not found, so the page was not tried in a browser");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory");
        // The browser reads from descriptor 3 and writes to descriptor 4. The shell connects stdin and stdout to
        // them.
        let start = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2";
        let mut process = Command::new("sh")
            .args(["-c", start, "sh", name, "--headless", "--no-sandbox"])
            .args(["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sh starts");
        let (to, from) = (process.stdin.take()?, process.stdout.take()?);
        let mut browser = Self {
            process,
            to,
            from: BufReader::new(from),
            session: None,
            calls: 0,
            loaded: false,
            complaints: VecDeque::new(),
            _profile: profile,
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        Some(browser)
    }

    /// Sends one command and returns its result.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = format!("{message}\0");
        self.to.write_all(text.as_bytes()).await.expect("sent");
        loop {
            let mut message = self.read(method).await;
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    async fn read(&mut self, waiting_for: &str) -> Value {
        let mut bytes = Vec::new();
        let read = self.from.read_until(0, &mut bytes);
        let read = tokio::time::timeout(ANSWER_WITHIN, read).await;
        read.unwrap_or_else(|_| panic!("the browser does not answer {waiting_for}"))
            .expect("readable");
        assert_eq!(bytes.pop(), Some(0), "the browser ended at {waiting_for}");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => {
                self.loaded = true;
                return;
            }
            Some("Runtime.exceptionThrown") => {}
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {}
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {}
            _ => return,
        }
        self.complaints.push_back(params.to_string());
    }

    /// The complaints of the page since the last call.
    pub(crate) async fn complaints(&mut self) -> Vec<String> {
        // The messages arrive in order, so after this answer every earlier complaint has been read.
        self.evaluate("0").await;
        self.complaints.drain(..).collect()
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&mut self, url: &str) {
        self.loaded = false;
        let opened = self.call("Page.navigate", json!({"url": url})).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        while !self.loaded {
            let message = self.read("Page.navigate").await;
            self.note(&message);
        }
    }

    /// The value of an expression in the page. The value of a promise is the value that it resolves to.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call("Runtime.evaluate", params).await;
        let thrown = &result["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&mut self, condition: &str) {
        let promise = format!(
            "new Promise((done) => {{
                const look = () => {condition} ? (watch.disconnect(), done()) : 0;
                const watch = new MutationObserver(look);
                const all = {{ subtree: true, childList: true, characterData: true, attributes: true }};
                watch.observe(document, all);
                look();
            }})"
        );
        self.evaluate(&promise).await;
    }

    /// Sets the width of the window and the preferred colour scheme.
    pub(crate) async fn appear(&mut self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": scheme}))
            .await;
    }

    /// Ends the browser and waits for it, so that its profile can be removed.
    pub(crate) async fn end(mut self) {
        self.session = None;
        self.call("Browser.close", json!({})).await;
        self.process.wait().await.expect("an end");
    }
}

async fn installed() -> Option<&'static str> {
    for name in NAMES {
        let version = Command::new(name).arg("--version").output().await;
        if version.is_ok_and(|output| output.status.success()) {
            return Some(name);
        }
    }
    None
}

/// Reports on the real stderr that a test is skipped, or fails if a browser is required.
fn skip_unless_required(reason: &str) {
    let required =
        std::env::var_os("SHAREKEEPER_TEST_REQUIRE_BROWSER").is_some_and(|value| value == "1");
    assert!(
        !required,
        "{reason}, and SHAREKEEPER_TEST_REQUIRE_BROWSER=1"
    );
    // If stderr is closed, nobody reads the message, so the error is ignored.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

//! Fixtures: a host with tokio's clock and a scripted network, transitions to send, and a log that tests can read.

use std::cell::RefCell;
use std::fs;
use std::future::{Future, pending};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::{DeliveryWorker, WebhookSender, Webhooks, WebhooksError, channel};
use crate::host::{Clock, Reply, Request, Rng, SystemClock, Transport, TransportError};
use crate::model::{AccountName, ImageId, ImageKey, Monotonic, Region, Scope, Timestamp};
use crate::status::{Reason, Subject, Transition, TransitionKind};

/// How the network treats a request.
pub(super) enum ScriptedReply {
    Reply(u16, &'static str),
    /// A reply with a `Retry-After` header.
    Banned(u16, &'static str),
    /// A reply whose body is cut off.
    Cut(u16, &'static str),
    NotSent(String),
    Lost(String),
    Never,
}

/// A request as it was sent.
pub(super) struct SentRequest {
    pub at: Monotonic,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub deadline: Duration,
}

impl SentRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a body is JSON")
    }
}

/// More requests than any test should send: several times the number at the pace of an address.
const REQUESTS_MAX: usize = 5000;

/// Makes a reply from the URL and the number of the request, counted from 1.
type Script = Box<dyn Fn(&str, usize) -> ScriptedReply>;

pub(super) struct ScriptedHost {
    clock: SystemClock,
    script: Script,
    rolls: RefCell<fastrand::Rng>,
    pub sent: RefCell<Vec<SentRequest>>,
}

impl ScriptedHost {
    pub(super) fn new(script: impl Fn(&str, usize) -> ScriptedReply + 'static) -> Self {
        Self {
            clock: SystemClock::start(),
            script: Box::new(script),
            rolls: RefCell::new(fastrand::Rng::with_seed(7)),
            sent: RefCell::default(),
        }
    }

    /// When requests to `url` were sent, in seconds since the first of all.
    pub(super) fn times(&self, url: &str) -> Vec<f64> {
        let sent = self.sent.borrow();
        let first = sent.first().map_or(Monotonic::default(), |sent| sent.at);
        let to = sent.iter().filter(|sent| sent.url.starts_with(url));
        to.map(|sent| sent.at.since(first).as_secs_f64()).collect()
    }

    /// The bodies sent to `url`, in their order.
    pub(super) fn bodies(&self, url: &str) -> Vec<String> {
        let sent = self.sent.borrow();
        let to = sent.iter().filter(|sent| sent.url.starts_with(url));
        to.map(|sent| sent.body.clone()).collect()
    }

    /// Delivers messages for this many seconds.
    pub(super) async fn run(&self, worker: DeliveryWorker, seconds: u64) {
        let forever = worker.run(self);
        let ended = tokio::time::timeout(Duration::from_secs(seconds), forever).await;
        assert!(ended.is_err(), "a worker never ends by itself");
    }
}

impl Clock for ScriptedHost {
    fn now(&self) -> Timestamp {
        at(0) + self.monotonic().since_start()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Rng for ScriptedHost {
    fn next_f64(&self) -> f64 {
        self.rolls.borrow_mut().f64()
    }
}

impl Transport for ScriptedHost {
    async fn send(&self, request: Request) -> Result<Reply, TransportError> {
        let sent = SentRequest {
            at: self.monotonic(),
            url: request.url.clone(),
            headers: request
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            body: String::from_utf8(request.body).expect("bodies are UTF-8"),
            deadline: request.deadline,
        };
        self.sent.borrow_mut().push(sent);
        let number = self.sent.borrow().len();
        // On a paused clock, a worker that never waits would run for ever.
        assert!(number <= REQUESTS_MAX, "the worker sends without end");
        let reply = |status, body: &str| Reply {
            status,
            date: None,
            retry_after: None,
            body: body.into(),
            is_whole: true,
        };
        match (self.script)(&request.url, number) {
            ScriptedReply::Reply(status, body) => Ok(reply(status, body)),
            ScriptedReply::Banned(status, retry_after) => Ok(Reply {
                retry_after: Some(retry_after.to_owned()),
                ..reply(status, "")
            }),
            ScriptedReply::Cut(status, body) => Ok(Reply {
                is_whole: false,
                ..reply(status, body)
            }),
            ScriptedReply::NotSent(text) => Err(TransportError::NotSent(text)),
            ScriptedReply::Lost(text) => Err(TransportError::Lost(text)),
            ScriptedReply::Never => pending().await,
        }
    }
}

/// A temporary directory with settings and secrets.
pub(super) struct Folder(pub TempDir);

impl Folder {
    pub(super) fn new(settings: &str) -> Self {
        let folder = Self(TempDir::new().expect("a directory"));
        folder.write("webhooks.yaml", settings);
        folder
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("is ours");
        path
    }

    pub(super) fn load(&self) -> Result<Webhooks, WebhooksError> {
        Webhooks::load(&self.0.path().join("webhooks.yaml"))
    }

    pub(super) fn channel(&self) -> (WebhookSender, DeliveryWorker) {
        channel(self.load().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Returns the problems of the settings, without the directory in their paths.
    pub(super) fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let error = self.load().err().expect("should be refused");
        let problems = error.problems.iter();
        problems.map(|line| line.replace(&folder, "")).collect()
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_767_323_045 + second, 0).expect("in the calendar")
}

pub(super) fn scope() -> Scope {
    Scope {
        account: AccountName::new("prod").expect("a name"),
        region: Region::new("ap-tokyo").expect("a region"),
    }
}

pub(super) fn image(number: usize) -> Subject {
    Subject::Image(ImageKey {
        scope: scope(),
        image: ImageId::new(&format!("img-{number:04}")).expect("an id"),
    })
}

pub(super) fn transition(subject: Subject, kind: TransitionKind, message: &str) -> Transition {
    let reason = matches!(subject, Subject::Image(_)).then_some(Reason::ImageInUse);
    Transition {
        name: None,
        at: at(-4),
        subject,
        kind,
        reason,
        message: message.into(),
        is_of_many: false,
        extent: None,
    }
}

/// Returns `count` blocked images.
pub(super) fn blocked(count: usize) -> Vec<Transition> {
    (1..=count)
        .map(|number| transition(image(number), TransitionKind::Blocked, "servers use it"))
        .collect()
}

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records everything that is logged on this thread until the guard is dropped.
    pub(super) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("logs are UTF-8")
    }

    pub(super) fn lines_with(&self, word: &str) -> Vec<String> {
        let text = self.text();
        let found = text.lines().filter(|line| line.contains(word));
        found.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

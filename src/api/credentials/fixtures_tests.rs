//! A host with a scripted network, a home directory, and variables.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CredentialError, CredentialProvider, Environment, Lease, ProviderCache};
use crate::api::{ClientContext, Connection, ReadClient};
use crate::desired::CredentialSource;
use crate::host::{Clock, Method, Reply, Request, Rng, SystemClock, Transport, TransportError};
use crate::model::{AccountName, Endpoint, Monotonic, Region, Timestamp, Uin};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: BTreeMap<&'static str, String>,
    pub(super) body: Value,
    pub(super) deadline: Duration,
}

impl Heard {
    pub(super) fn action(&self) -> &str {
        self.headers.get("x-tc-action").map_or("", String::as_str)
    }

    /// The secret id that it is signed with.
    pub(super) fn secret_id(&self) -> &str {
        let authorization = &self.headers["authorization"];
        let rest = authorization.split_once("Credential=");
        rest.and_then(|(_, rest)| rest.split_once('/'))
            .map_or(authorization, |(id, _)| id)
    }
}

type Answer = Result<Reply, TransportError>;
type Script = dyn FnMut(&Heard) -> Answer;

/// A host that answers by a script.
pub(super) struct Scripted {
    clock: SystemClock,
    began: Timestamp,
    script: RefCell<Box<Script>>,
    on_wait: RefCell<Box<dyn FnMut()>>,
    pub(super) heard: RefCell<Vec<Heard>>,
    pub(super) unit: Cell<f64>,
}

impl Scripted {
    /// A clock that starts this much `later`. If that is long, nothing on the disk is recent.
    fn new(later: Duration) -> Self {
        let clock = SystemClock::start();
        Self {
            began: clock.now() + later,
            clock,
            script: RefCell::new(Box::new(|heard| panic!("nobody answers {}", heard.url))),
            on_wait: RefCell::new(Box::new(|| {})),
            heard: RefCell::default(),
            unit: Cell::new(0.0),
        }
    }

    pub(super) fn answer(&self, script: impl FnMut(&Heard) -> Answer + 'static) {
        *self.script.borrow_mut() = Box::new(script);
    }

    /// Runs `script` whenever a reader of files waits.
    pub(super) fn on_wait(&self, script: impl FnMut() + 'static) {
        *self.on_wait.borrow_mut() = Box::new(script);
    }

    pub(super) fn count(&self, action: &str) -> usize {
        let heard = self.heard.borrow();
        heard
            .iter()
            .filter(|heard| heard.action() == action)
            .count()
    }

    pub(super) fn last(&self) -> Heard {
        self.heard
            .borrow()
            .last()
            .expect("something was sent")
            .clone()
    }

    pub(super) async fn pass(&self, seconds: u64) {
        let until = self.monotonic() + Duration::from_secs(seconds);
        self.clock.sleep_until(until).await;
    }
}

impl Clock for Scripted {
    fn now(&self) -> Timestamp {
        self.began + self.clock.monotonic().since_start()
    }
    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }
    async fn sleep_until(&self, at: Monotonic) {
        (self.on_wait.borrow_mut())();
        self.clock.sleep_until(at).await;
    }
}

impl Rng for Scripted {
    fn next_f64(&self) -> f64 {
        self.unit.get()
    }
}

impl Transport for Scripted {
    async fn send(&self, request: Request) -> Answer {
        let heard = Heard {
            method: request.method,
            url: request.url,
            headers: request
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
            deadline: request.deadline,
        };
        self.heard.borrow_mut().push(heard.clone());
        // Other tasks run meanwhile.
        self.clock
            .sleep_until(self.monotonic() + Duration::from_millis(20))
            .await;
        (self.script.borrow_mut())(&heard)
    }
}

/// The machine of a test: its files, variables and network.
pub(super) struct World {
    pub(super) home: TempDir,
    pub(super) context: Rc<ClientContext<Scripted>>,
    variables: Rc<RefCell<BTreeMap<String, String>>>,
    pub(super) cache: ProviderCache,
}

pub(super) fn region() -> Region {
    Region::new("ap-tokyo").expect("a region")
}

impl World {
    /// A machine on which everything on the disk is old.
    pub(super) fn new() -> Self {
        Self::after(Duration::from_secs(3600))
    }

    pub(super) fn after(later: Duration) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let variables = Rc::new(RefCell::new(BTreeMap::new()));
        let path = home.path().to_string_lossy().into_owned();
        variables.borrow_mut().insert("HOME".to_owned(), path);
        let known = Rc::clone(&variables);
        let lookup = move |name: &str| known.borrow().get(name).map(Into::into);
        let environment = Environment::new(lookup).with_system_file(home.path().join("etc"));
        Self {
            cache: ProviderCache::new(environment),
            context: ClientContext::new(Scripted::new(later)),
            variables,
            home,
        }
    }

    pub(super) fn host(&self) -> &Scripted {
        &self.context.host
    }

    pub(super) fn set(&self, name: &str, value: &str) -> &Self {
        let mut variables = self.variables.borrow_mut();
        variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes a file atomically.
    pub(super) fn put(&self, name: &str, text: &str) -> PathBuf {
        put(self.home.path(), name, text)
    }

    pub(super) fn provider(&self, source: &CredentialSource) -> Rc<CredentialProvider> {
        self.cache.provider(source, &Endpoint::default())
    }

    pub(super) async fn current(
        &self,
        provider: &CredentialProvider,
    ) -> Result<Lease, CredentialError> {
        provider.current(&self.context, region()).await
    }

    /// The error of a source.
    pub(super) async fn error(&self, source: &CredentialSource) -> String {
        let provider =
            ProviderCache::new(self.environment()).provider(source, &Endpoint::default());
        let error = self
            .current(&provider)
            .await
            .err()
            .expect("should be refused");
        error.to_string()
    }

    pub(super) fn environment(&self) -> Environment {
        let known = Rc::clone(&self.variables);
        let lookup = move |name: &str| known.borrow().get(name).map(Into::into);
        Environment::new(lookup).with_system_file(self.home.path().join("etc"))
    }

    pub(super) fn client(
        &self,
        provider: &Rc<CredentialProvider>,
        uin: Option<&str>,
    ) -> ReadClient<Scripted> {
        let connection = Connection {
            account: AccountName::default(),
            uin: uin.map(|uin| Uin::new(uin).expect("a uin")),
            endpoint: Endpoint::default(),
            rate: 19,
            provider: Rc::clone(provider),
        };
        ReadClient::new(Rc::clone(&self.context), connection)
    }
}

pub(super) fn put(home: &Path, name: &str, text: &str) -> PathBuf {
    let path = home.join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("is made");
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .expect("is opened");
    file.write_all(text.as_bytes()).expect("is written");
    fs::rename(&beside, &path).expect("is renamed");
    path
}

pub(super) fn ini(id: &str, key: &str) -> String {
    format!("[default]\nsecret_id = {id}\nsecret_key = {key}\n")
}

pub(super) fn ok(response: &Value) -> Answer {
    plain(200, &json!({"Response": response}).to_string())
}

pub(super) fn refused(code: &str) -> Answer {
    ok(&json!({"Error": {"Code": code, "Message": "No."}, "RequestId": "r"}))
}

pub(super) fn plain(status: u16, body: &str) -> Answer {
    Ok(Reply {
        status,
        date: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        is_whole: true,
    })
}

/// Credentials of a role, numbered.
pub(super) fn assumed(number: usize, expires: i64) -> Answer {
    let name = |what: &str| format!("{what}{number}");
    ok(&json!({
        "Credentials": {"Token": name("token"), "TmpSecretId": name("TMP"), "TmpSecretKey": name("key")},
        "ExpiredTime": expires, "Expiration": "x", "RequestId": "r",
    }))
}

pub(super) fn no_blueprints() -> Answer {
    ok(&json!({"TotalCount": 0, "BlueprintSet": [], "RequestId": "r"}))
}

/// Collects the log while it lives.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().expect("one thread");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn count(&self, words: &str) -> usize {
        self.text().matches(words).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

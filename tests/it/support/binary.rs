//! Runs the real binary in an environment without any settings of the user who runs the tests. A bench is a directory
//! with manifests and a state directory to run it on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// A command of the binary, with an empty home directory.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharekeeper"));
    command
        .env_clear()
        .env("HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("home"))
        .env("USER", "tester")
        // No server listens there, so that a test never uses the CAM role of the machine that runs it.
        .env("SHAREKEEPER_METADATA_URL", "http://127.0.0.1:1")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments);
    command
}

pub(crate) fn sharekeeper(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Creates a state in a directory, as the first run does.
pub(crate) fn use_state(directory: &Path) {
    let options = sharekeeper::store::Options::new("a first run", "here");
    let now = || sharekeeper::host::Clock::now(&sharekeeper::host::SystemClock::start());
    drop(sharekeeper::store::Store::open(directory, &options, now).expect("a state"));
}

/// The one document on stdout. Its exit status must be the exit status of the process.
pub(crate) fn document(output: &Output) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "exactly one document: {error}\n{}\n{}",
            stdout(output),
            stderr(output)
        )
    });
    assert_eq!(
        document["exit_code"].as_i64(),
        output.status.code().map(i64::from),
        "{document}"
    );
    assert_eq!(document["format_version"], 1);
    document
}

/// A directory with `manifests` and `state`, in which commands run with `--sim`.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(bench.path("manifests")).expect("a directory");
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The state directory of the simulator.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/sim")
    }

    /// The bench with a simulator state that was used before.
    pub(crate) fn used(self) -> Self {
        use_state(&self.state());
        self
    }

    /// Writes a manifest or another file, relative to the bench.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Writes a manifest for one region, which names `images` in order from line 7 on. The text after an image id
    /// gives more fields of its entry, as in `img-a, protect: true`.
    pub(crate) fn declare(&self, name: &str, region: &str, images: &[&str]) {
        let mut text = format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {name}, labels: {{from: {name}}}}}\n\
             spec:\n  region: {region}\n  images:\n"
        );
        for image in images {
            let state = match image.contains("state:") {
                true => "",
                false => ", state: shared",
            };
            text.push_str(&format!("    - {{id: {image}{state}}}\n"));
        }
        self.write(&format!("manifests/{name}.yaml"), &text);
    }

    /// Runs a command with `--sim` and asserts its exit status.
    pub(crate) fn run(&self, arguments: &[&str], status: i32) -> Output {
        let output = self.real(&[arguments, &["--sim"]].concat());
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}\n{}\n{}",
            stdout(&output),
            stderr(&output)
        );
        output
    }

    /// Runs a command without `--sim`.
    pub(crate) fn real(&self, arguments: &[&str]) -> Output {
        command(arguments)
            .args(["--state-dir", "state"])
            .current_dir(self.0.path())
            .output()
            .expect("the binary starts")
    }

    /// The stdout of a command with `--sim`, in the format for people.
    pub(crate) fn text(&self, arguments: &[&str], status: i32) -> String {
        stdout(&self.run(arguments, status))
    }

    /// The stderr of a command with `--sim`.
    pub(crate) fn stderr(&self, arguments: &[&str], status: i32) -> String {
        stderr(&self.run(arguments, status))
    }

    /// The document that a command with `--sim` prints.
    pub(crate) fn json(&self, arguments: &[&str], status: i32) -> Value {
        document(&self.run(&[arguments, &["-o", "json"]].concat(), status))
    }

    /// Changes the world of the simulator between two runs.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        let file = self.state().join("world.json");
        let mut world = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).expect("a world"),
            Err(_) => {
                fs::create_dir_all(self.state()).expect("a directory");
                json!({"accounts": [{"name": "default", "images": []}]})
            }
        };
        change(&mut world);
        fs::write(&file, world.to_string()).expect("a file");
    }

    /// Shares images as somebody else does.
    pub(crate) fn share(&self, region: &str, images: &[&str]) {
        self.set(region, images, true);
    }

    /// Cancels shares as somebody else does.
    pub(crate) fn cancel(&self, region: &str, images: &[&str]) {
        self.set(region, images, false);
    }

    fn set(&self, region: &str, ids: &[&str], shared: bool) {
        self.change(|world| {
            let images = world["accounts"][0]["images"]
                .as_array_mut()
                .expect("images");
            for &id in ids {
                let here = |image: &&mut Value| image["id"] == id && image["regions"][0] == region;
                match images.iter_mut().find(here) {
                    Some(image) => image["shared"] = shared.into(),
                    None => images
                        .push(json!({"id": id, "regions": [region], "name": id, "shared": shared})),
                }
            }
        });
    }

    /// The shares that exist now, as pairs of region and image.
    pub(crate) fn shared(&self) -> Vec<(String, String)> {
        let text = fs::read(self.state().join("world.json")).expect("a world");
        let world: Value = serde_json::from_slice(&text).expect("a world");
        let images = world["accounts"][0]["images"].as_array().expect("images");
        let shared = images.iter().filter(|image| image["shared"] == true);
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        shared
            .map(|image| (word(&image["regions"][0]), word(&image["id"])))
            .collect()
    }

    /// Opens a second connection to the state, which a test uses to damage it.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state().join("state.db")).expect("a database")
    }

    /// Every file below the state of the bench, with its content.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            let Ok(entries) = fs::read_dir(folder) else {
                return;
            };
            for entry in entries {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    collect(&path, files);
                } else {
                    files.insert(path.clone(), fs::read(&path).expect("a file"));
                }
            }
        }
        let mut files = BTreeMap::new();
        collect(&self.path("state"), &mut files);
        files
    }
}

/// The simulator in a process of its own, which ends when the value is dropped.
pub(crate) struct Simulator {
    process: Child,
    document: Value,
}

impl Simulator {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts the simulator with more arguments, such as a world.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let mut process = command(&["sim", "--listen", "127.0.0.1:0", "-o", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let document = serde_json::from_str(&line).expect("a document");
        Self { process, document }
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.document["endpoint"].as_str().expect("an address")
    }

    /// The number of calls that the simulator has received so far, by action.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        let address = self.endpoint().trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "GET /_sim/state HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let state: Value = serde_json::from_str(body).expect("a document");
        let calls = state["calls"].as_array().expect("a list").iter();
        calls
            .map(|call| {
                let action = call["action"].as_str().expect("a name").to_owned();
                (action, call["calls"].as_u64().expect("a number"))
            })
            .collect()
    }

    /// The key of the only account of the simulator, as environment variables.
    pub(crate) fn credentials(&self) -> [(&'static str, &str); 2] {
        let text = |name: &str| self.document["accounts"][0][name].as_str().expect("a key");
        [
            ("TENCENTCLOUD_SECRET_ID", text("secret_id")),
            ("TENCENTCLOUD_SECRET_KEY", text("secret_key")),
        ]
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // If the process has already ended by itself, there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

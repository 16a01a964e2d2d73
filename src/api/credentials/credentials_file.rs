//! A file with credentials that may change at any time. It is read completely or not at all.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use zeroize::Zeroizing;

use super::environment::Environment;
use super::error::CredentialError;
use super::parsed::{FileFault, KeyUse, ParsedFile};
use super::tccli::OwnRole;
use super::watched_file::{self, Exposure, Reading, Stamp};
use super::{ini, tccli};
use crate::api::protocol::sign::Credentials;
use crate::desired::Role;
use crate::host::Clock;
use crate::model::Timestamp;

/// A file that changed this recently may still be written to, and the disk's time stamps may be too coarse to
/// distinguish two changes.
const RECENT: TimeDelta = TimeDelta::seconds(2);
/// The pause between two readings that must agree.
const PAUSE: Duration = Duration::from_millis(50);
/// The number of readings before a file that is constantly written to is given up for this call.
const READINGS_MAX: u32 = 10;

/// The format of a file.
#[derive(Clone)]
pub(super) enum Format {
    /// The SDK's format, and the section to read.
    Ini(String),
    /// tccli's format, the profile to read, and how to treat a role in it.
    Tccli(String, OwnRole),
}

/// The file, and the result of its last reading.
pub(super) struct CredentialsFile {
    path: PathBuf,
    format: Format,
    environment: Rc<Environment>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The stamp of the last reading; `None` inside if there was no file.
    seen: Option<Option<Stamp>>,
    /// Whether the same stamp means the same content.
    settled: bool,
    /// The content of the last reading, valid or not.
    bytes: Option<Zeroizing<Vec<u8>>>,
    /// The last valid content.
    snapshot: Option<Rc<FileSnapshot>>,
    fault: Option<CredentialError>,
    /// How others can access the file that was last read.
    exposure: Option<Box<Exposure>>,
}

/// The content of a file at one time.
pub(super) struct FileSnapshot {
    /// Grows each time that the file has new content.
    pub(super) number: u64,
    pub(super) credentials: Option<Rc<Credentials>>,
    pub(super) key_use: KeyUse,
}

impl CredentialsFile {
    pub(super) fn new(path: PathBuf, format: Format, environment: Rc<Environment>) -> Self {
        Self {
            path,
            format,
            environment,
            state: RefCell::default(),
        }
    }

    /// The credentials in use, if the file on the disk has not changed since they were read.
    pub(super) fn unchanged(&self) -> Option<Result<Rc<FileSnapshot>, CredentialError>> {
        let state = self.state.borrow();
        // If the file cannot be examined, it is read, which shows the reason.
        let now = watched_file::stamp(&self.path).ok();
        let known = state.settled && now.is_some() && state.seen == now;
        known.then(|| state.answer()).flatten()
    }

    /// Whether the file exists, valid or not. The error is a clause in brackets after the source's name.
    pub(super) fn is_there(&self, now: Timestamp) -> Result<(), String> {
        match watched_file::read(&self.path) {
            Ok(reading) => match self.parse(&reading.bytes, now) {
                Err(FileFault::Absent(why)) => Err(format!("{} {why}", self.path.display())),
                Ok(_) | Err(FileFault::Broken(_)) => Ok(()),
            },
            Err(error) if watched_file::is_absent(&error) => {
                Err(format!("{} does not exist", self.path.display()))
            }
            // It exists, and its user gets the error.
            Err(_) => Ok(()),
        }
    }

    /// The present content. Content that lasts only a moment, or is incomplete, does not count: then the old one stays
    /// in use, if there is one.
    pub(super) async fn snapshot(
        &self,
        clock: &impl Clock,
    ) -> Result<Rc<FileSnapshot>, CredentialError> {
        let mut last: Option<Reading> = None;
        for _ in 0..READINGS_MAX {
            let reading = match watched_file::read(&self.path) {
                Ok(reading) => reading,
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    clock.sleep_until(clock.monotonic() + PAUSE).await;
                    continue;
                }
                Err(error) => return self.unreadable(&error),
            };
            let now = clock.now();
            let settled = reading.modified.is_some_and(|at| now - at >= RECENT);
            let agrees = |bytes: &Zeroizing<Vec<u8>>| bytes.as_slice() == reading.bytes.as_slice();
            let known = self.state.borrow().bytes.as_ref().is_some_and(agrees);
            let twice = last.as_ref().is_some_and(|last| agrees(&last.bytes));
            if settled || known || twice {
                return self.take(reading, settled, known, now);
            }
            last = Some(reading);
            clock.sleep_until(clock.monotonic() + PAUSE).await;
        }
        let fault = format!(
            "{} is constantly written to, so it cannot be read",
            self.path.display()
        );
        self.keep_old(CredentialError::Broken(fault))
    }

    fn take(
        &self,
        reading: Reading,
        settled: bool,
        known: bool,
        now: Timestamp,
    ) -> Result<Rc<FileSnapshot>, CredentialError> {
        let exposure = reading.exposure(&self.path);
        if let Some(warning) = &exposure
            && self.environment.is_news(&self.path)
        {
            tracing::warn!("{warning}");
        }
        {
            let mut state = self.state.borrow_mut();
            state.exposure = exposure.map(Box::new);
            state.seen = Some(Some(reading.stamp));
            state.settled = settled;
            if known && let Some(answer) = state.answer() {
                return answer;
            }
        }
        let parsed = self.parse(&reading.bytes, now);
        self.state.borrow_mut().bytes = Some(reading.bytes);
        match parsed {
            Ok(parsed) => Ok(self.adopt(parsed)),
            Err(fault) => self.keep_old(self.error(fault)),
        }
    }

    fn adopt(&self, parsed: ParsedFile) -> Rc<FileSnapshot> {
        let mut state = self.state.borrow_mut();
        let number = state
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.number)
            + 1;
        if number > 1 {
            tracing::info!(file = %self.path.display(), "the credentials have changed");
        }
        let snapshot = Rc::new(FileSnapshot {
            number,
            credentials: parsed.credentials.map(Rc::new),
            key_use: parsed.key_use,
        });
        state.snapshot = Some(Rc::clone(&snapshot));
        state.fault = None;
        snapshot
    }

    fn unreadable(&self, error: &io::Error) -> Result<Rc<FileSnapshot>, CredentialError> {
        let path = self.path.display();
        let fault = if watched_file::is_absent(error) {
            CredentialError::Absent(format!(
                "{} ({path} does not exist{})",
                self,
                self.other_profiles()
            ))
        } else {
            CredentialError::Broken(format!("{path} cannot be read: {error}"))
        };
        {
            let mut state = self.state.borrow_mut();
            state.seen = Some(None);
            // Other errors may end without a trace on the disk.
            state.settled = watched_file::is_absent(error);
            state.bytes = None;
        }
        self.keep_old(fault)
    }

    /// Keeps the old credentials if the new ones cannot be used. Each new fault is reported once.
    fn keep_old(&self, fault: CredentialError) -> Result<Rc<FileSnapshot>, CredentialError> {
        let mut state = self.state.borrow_mut();
        if state.snapshot.is_some() && state.fault.as_ref() != Some(&fault) {
            tracing::warn!("continuing with the credentials that were read before: {fault}");
        }
        state.fault = Some(fault.clone());
        state.snapshot.clone().ok_or(fault)
    }

    fn parse(&self, bytes: &[u8], now: Timestamp) -> Result<ParsedFile, FileFault> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(FileFault::Broken("holds bytes that are not text".into()));
        };
        match &self.format {
            Format::Ini(section) => ini::parse(text, section),
            Format::Tccli(_, own_role) => tccli::parse(text, *own_role, now.timestamp()),
        }
    }

    fn error(&self, fault: FileFault) -> CredentialError {
        let path = self.path.display();
        match fault {
            FileFault::Absent(why) => CredentialError::Absent(format!("{self} ({path} {why})")),
            FileFault::Broken(why) => {
                CredentialError::Broken(format!("{path}: {why} (source tried: {self})"))
            }
        }
    }

    /// The file and its meaning, for a person.
    pub(super) fn describe(&self) -> String {
        let place = format!("{self} ({})", self.path.display());
        match self
            .state
            .borrow()
            .snapshot
            .as_deref()
            .map(|snapshot| &snapshot.key_use)
        {
            Some(KeyUse::Assume(role)) => format!("{place}, assuming {}", role.arn),
            Some(KeyUse::Metadata) => format!("{place}, which means cvm-role"),
            Some(KeyUse::AsIs) | None => place,
        }
    }

    /// The role that the file names, if its content still has `number`.
    pub(super) fn role(&self, number: u64) -> Option<Role> {
        let state = self.state.borrow();
        match state.snapshot.as_deref() {
            Some(snapshot) if snapshot.number == number => match &snapshot.key_use {
                KeyUse::Assume(role) => Some(role.clone()),
                KeyUse::AsIs | KeyUse::Metadata => None,
            },
            _ => None,
        }
    }

    /// The role that the file on the disk names, whether or not it is used.
    pub(super) fn role_on_disk(&self, now: Timestamp) -> Option<Role> {
        let reading = watched_file::read(&self.path).ok()?;
        match self.parse(&reading.bytes, now).ok()?.key_use {
            KeyUse::Assume(role) => Some(role),
            KeyUse::AsIs | KeyUse::Metadata => None,
        }
    }

    /// The name of its profile, if it is tccli's.
    pub(super) fn profile(&self) -> Option<&str> {
        match &self.format {
            Format::Ini(_) => None,
            Format::Tccli(name, _) => Some(name),
        }
    }

    /// How others can access the file, if they can.
    pub(super) fn exposure(&self) -> Option<Exposure> {
        self.state.borrow().exposure.as_deref().cloned()
    }

    /// A list of the other profiles, for an error.
    fn other_profiles(&self) -> String {
        let (Format::Tccli(..), Some(directory)) = (&self.format, self.path.parent()) else {
            return String::new();
        };
        match watched_file::names(directory, ".credential").as_slice() {
            [] => String::new(),
            names => format!(
                "; existing profiles: {}",
                crate::words::brief(&names.join(", "))
            ),
        }
    }
}

impl State {
    fn answer(&self) -> Option<Result<Rc<FileSnapshot>, CredentialError>> {
        match (&self.snapshot, &self.fault) {
            (Some(snapshot), _) => Some(Ok(Rc::clone(snapshot))),
            (None, Some(fault)) => Some(Err(fault.clone())),
            (None, None) => None,
        }
    }
}

/// The name of the source for people.
impl std::fmt::Display for CredentialsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.format {
            Format::Ini(_) => f.write_str("file"),
            Format::Tccli(name, _) => write!(f, "profile `{name}`"),
        }
    }
}

//! The output of `status`, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::daemon_summary::DaemonSummary;
use super::daemon_view::{DaemonView, StaleSummary};
use super::names::named;
use super::style::heading;
use super::{ExitStatus, FORMAT_VERSION};
use crate::inventory::Suspension;
use crate::model::{ImageKey, ImageName, Scope, Timestamp, Uin};
use crate::store::{Holder, ImageCounts, StateSummary};
use crate::words::{plural, rfc3339};

/// The document that `status -o json` prints.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// Whether the data come from the running daemon or only from the state.
    source: StatusSource,
    /// Knowledge of the running daemon; null if no daemon holds the state.
    daemon: Option<Box<DaemonSummary>>,
    /// A summary that is not shown, because it is out of date.
    stale_daemon: Option<StaleSummary>,
    state_dir: String,
    /// The installation's id; null if the directory was never used.
    owner: Option<String>,
    schema_version: i64,
    /// The process that reconciles now.
    holder: Option<Holder>,
    scopes: Vec<ScopeStatus>,
    newest_commit: Option<NewestCommit>,
    parked: Vec<Parked>,
    suspensions: Vec<Suspended>,
    history: HistoryExtent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StatusSource {
    Daemon,
    State,
}

#[derive(Debug, Serialize)]
struct ScopeStatus {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    owned: u64,
    /// Images that a person adopted.
    adopted: u64,
    /// Images that sharekeeper probably shared.
    probable: u64,
    parked: u64,
    /// Writes whose outcome is not known yet.
    unresolved: u64,
    /// Names in entries whose last image is stored.
    names: u64,
    /// Versions of policies whose times are stored.
    versions: u64,
}

/// The newest commit of the manifests that was applied.
#[derive(Debug, Serialize)]
struct NewestCommit {
    hash: String,
    committed_at: Timestamp,
    /// Start of the work on this commit.
    since: Timestamp,
}

/// An image that is left alone, because somebody else kept reversing our changes.
#[derive(Debug, Serialize)]
pub struct Parked {
    #[serde(flatten)]
    pub key: ImageKey,
    /// The name that last meant the image, if any did.
    pub image_name: Option<ImageName>,
    pub since: Timestamp,
}

#[derive(Debug, Serialize)]
struct Suspended {
    #[serde(flatten)]
    suspension: Suspension,
    /// Whether it has expired by this machine's clock.
    over: bool,
}

#[derive(Debug, Serialize)]
struct HistoryExtent {
    entries: u64,
    rotated: u64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

impl StatusDocument {
    /// Combines the content of the state directory with the daemon's summary.
    pub fn new(
        state_dir: &str,
        summary: StateSummary,
        parked: Vec<Parked>,
        daemon: DaemonView,
        now: Timestamp,
    ) -> Self {
        let (daemon, stale_daemon) = match daemon {
            DaemonView::None => (None, None),
            DaemonView::Live(summary) => (Some(summary), None),
            DaemonView::Stale(stale) => (None, Some(stale)),
        };
        let scopes = summary.scopes.iter().map(|(scope, counts)| {
            let account = summary.accounts.get(scope);
            scope_status(scope, account.and_then(|known| known.uin.clone()), counts)
        });
        let suspensions = summary.suspensions.into_iter().map(|suspension| Suspended {
            over: suspension.is_over(now),
            suspension,
        });
        Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            source: match daemon {
                Some(_) => StatusSource::Daemon,
                None => StatusSource::State,
            },
            daemon,
            stale_daemon,
            state_dir: state_dir.to_owned(),
            owner: summary.owner,
            schema_version: summary.schema,
            holder: summary.holder,
            scopes: scopes.collect(),
            newest_commit: summary.newest.map(|newest| NewestCommit {
                hash: newest.commit.hash,
                committed_at: newest.commit.committed,
                since: newest.since,
            }),
            parked,
            suspensions: suspensions.collect(),
            history: HistoryExtent {
                entries: summary.history.entries,
                rotated: summary.history.rotated,
                first_at: summary.history.first,
                last_at: summary.history.last,
            },
        }
    }

    /// The source of the following lines, and their time.
    pub fn headline(&self) -> String {
        match &self.daemon {
            Some(daemon) => format!(
                "From the running daemon, process {}, at {}:",
                daemon.pid(),
                rfc3339(daemon.written_at())
            ),
            None => "No current summary of a running daemon; from the state directory:".to_owned(),
        }
    }

    pub fn text(&self) -> String {
        if self.owner.is_none() && self.daemon.is_none() {
            return self.body();
        }
        format!("{}\n{}", self.headline(), self.body())
    }

    /// The text without its headline. It stays the same as long as nothing changes.
    pub fn body(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut put = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        if let Some(daemon) = &self.daemon {
            daemon.lines().into_iter().for_each(&mut put);
        }
        if let Some(stale) = &self.stale_daemon {
            put(stale.line());
        }
        let Some(owner) = &self.owner else {
            put(format!("State: {} was never used.", self.state_dir));
            return text;
        };
        put(format!("State: {}, owner {owner}", self.state_dir));
        put(match &self.holder {
            Some(holder) => format!("Reconciling now: {holder}"),
            None => "Reconciling now: nobody".to_owned(),
        });
        if let Some(newest) = &self.newest_commit {
            put(format!(
                "Newest commit: {} of {}, in use since {}",
                newest.hash,
                rfc3339(newest.committed_at),
                rfc3339(newest.since)
            ));
        }
        let width = self.scopes.iter().map(|scope| scope.name().len()).max();
        for scope in &self.scopes {
            put(scope.line(width.unwrap_or(0)));
        }
        for parked in &self.parked {
            put(format!(
                "Parked: {} since {}: somebody else keeps reversing it (`sharekeeper resume --image {}` tries again)",
                named(
                    &parked.key,
                    parked.image_name.as_ref().map(ImageName::as_str)
                ),
                rfc3339(parked.since),
                parked.key.image
            ));
        }
        for Suspended { suspension, .. } in self.suspensions.iter().filter(|s| !s.over) {
            put(format!(
                "{}: {}",
                heading(&suspension.selector),
                suspension.describe()
            ));
        }
        let HistoryExtent {
            entries,
            rotated,
            last_at,
            ..
        } = &self.history;
        let last = last_at
            .map(|at| format!(", the last at {}", rfc3339(at)))
            .unwrap_or_default();
        let rotated = match rotated {
            0 => String::new(),
            count => format!("; {count} older ones were rotated out"),
        };
        let entries = super::history::entries(*entries);
        put(format!("History: {entries}{last}{rotated}"));
        text
    }
}

impl ScopeStatus {
    fn name(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }

    fn line(&self, width: usize) -> String {
        let name = self.name();
        let owned = plural(self.owned + self.adopted + self.probable, "image");
        let uin = self.uin.as_ref();
        let uin = uin.map(|uin| format!("uin {uin}, ")).unwrap_or_default();
        let name = heading(format_args!("{name:<width$}"));
        let mut line = format!("{name}  {uin}{owned} ours");
        for (count, what) in [
            (self.adopted, "adopted"),
            (self.probable, "only probably (see `adopt`)"),
            (self.parked, "parked"),
            (
                self.unresolved,
                "with a write whose outcome is not known yet",
            ),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        for (count, what) in [(self.names, "name"), (self.versions, "version")] {
            if count > 0 {
                let _ = write!(line, ", {} remembered", plural(count, what));
            }
        }
        line
    }
}

fn scope_status(scope: &Scope, uin: Option<Uin>, counts: &ImageCounts) -> ScopeStatus {
    ScopeStatus {
        account: scope.account.to_string(),
        uin,
        region: scope.region.as_str(),
        owned: counts.acknowledged,
        adopted: counts.adopted,
        probable: counts.probable,
        parked: counts.parked,
        unresolved: counts.open,
        names: counts.names,
        versions: counts.versions,
    }
}

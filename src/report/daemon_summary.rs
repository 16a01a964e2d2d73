//! The summary that a daemon leaves for `status` in the state directory. Its size is bounded: the
//! totals cover large fleets completely, and everything else begins with the worst.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize};

use super::FORMAT_VERSION;
use super::style::{Sign, heading};
use crate::host::ProcessIdentity;
use crate::model::{ImageId, Scope, Timestamp};
use crate::plan::View;
use crate::status::{
    Activity, Board, Counts, ImageStatus, ManifestsStatus, ScopeStatus, SyncState,
};
use crate::words::{brief, plural, rfc3339};

/// The limit of JSON bytes for each list. Together they stay below [`crate::store::SUMMARY_BYTES_MAX`].
const PROBLEM_BYTES_MAX: usize = 12_000;
const SCOPE_BYTES_MAX: usize = 22_000;
const GROUP_BYTES_MAX: usize = 14_000;
/// The most findings of one scope that are shown as text.
const FINDINGS_MAX: usize = 3;
/// The most images of one group that are named.
const NAMED_MAX: usize = 5;

/// The daemon's knowledge at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSummary {
    format_version: u32,
    #[serde(flatten)]
    process: ProcessIdentity,
    written_at: Timestamp,
    /// Start time of the process.
    started: Timestamp,
    manifests: Manifests,
    /// Why nothing can be recorded, and therefore nothing is done.
    state_problem: Option<Text>,
    /// A problem of the state that does not stop the work.
    state_warning: Option<Text>,
    /// All images of all scopes.
    counts: ImageCounts,
    /// Number of scopes whose first observation has not ended; their images are not known and not counted.
    #[serde(default)]
    awaiting_first_observation: usize,
    /// Summaries of accounts and regions, the worst first.
    scopes: Vec<ScopeSummary>,
    more_scopes: usize,
    /// Images that are blocked, withheld or changed by somebody else, grouped by scope and reason; the worst group first.
    groups: Vec<ImageGroup>,
    /// Number of such images in further groups.
    more_images: usize,
}

/// One line of foreign text, made safe and short both when it is written and when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Text(String);

impl Text {
    fn new(text: &str) -> Self {
        Self(brief(text))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifests {
    origin: Text,
    commit: Option<Text>,
    loaded_at: Option<Timestamp>,
    images: usize,
    policies: usize,
    broken_since: Option<Timestamp>,
    problems: Vec<Text>,
    more_problems: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ImageCounts {
    images: usize,
    in_sync: usize,
    drifted: usize,
    pending: usize,
    blocked: usize,
    withheld: usize,
    waiting: usize,
    unknown: usize,
    stalled: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ScopeSummary {
    account: Text,
    uin: Option<Text>,
    region: Text,
    activity: Text,
    /// Time at which the next pass is due.
    next: Option<Timestamp>,
    /// Why there is no next pass.
    held_reason: Option<Text>,
    /// `seen`, `blind` or `unseen`, as in `/status.json`; null before the first observation.
    view: Option<Text>,
    /// Why the last observation failed.
    view_reason: Option<Text>,
    seen_at: Option<Timestamp>,
    synced_at: Option<Timestamp>,
    passed_at: Option<Timestamp>,
    stalled: bool,
    counts: ImageCounts,
    /// Points that a person must settle, apart from single images.
    findings: Vec<Text>,
    more_findings: usize,
}

/// Images of one scope that share a state and a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ImageGroup {
    account: Text,
    region: Text,
    standing: Text,
    reason: Text,
    desired: Text,
    message: Option<Text>,
    /// RequestId of the first image that has one, for the vendor's support.
    request_id: Option<Text>,
    count: usize,
    /// The first few of the images.
    images: Vec<NamedImage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NamedImage {
    image_id: Text,
    image_name: Option<Text>,
}

impl DaemonSummary {
    /// Summarizes the board of a process at `now`.
    pub fn of(board: &Board, process: &ProcessIdentity, now: Timestamp) -> Self {
        let mut total = Counts::default();
        let mut scopes: Vec<_> = board
            .scopes()
            .iter()
            .map(|(scope, status)| (scope, &**status, status.counts()))
            .collect();
        scopes.iter().for_each(|(_, _, counts)| total += *counts);
        scopes.sort_by_cached_key(|(_, status, counts)| Reverse(badness(status, counts)));
        let shown = scopes.iter().map(|entry| ScopeSummary::of(*entry));
        let (scopes, more_scopes) = fitting(shown, SCOPE_BYTES_MAX);
        let groups = grouped(board);
        let shown = groups.iter().map(ImageGroup::of);
        let (groups, _) = fitting(shown, GROUP_BYTES_MAX);
        let images = not_as_desired(board).count();
        let more_images = images - groups.iter().map(|group| group.count).sum::<usize>();
        let text = |text: &Option<String>| text.as_deref().map(Text::new);
        Self {
            format_version: FORMAT_VERSION,
            process: process.clone(),
            written_at: now,
            started: board.started(),
            manifests: Manifests::of(board.manifests()),
            state_problem: text(&board.state().lost),
            state_warning: text(&board.state().warning),
            counts: ImageCounts::of(&total),
            awaiting_first_observation: board.awaiting_first_observation(|_| true),
            scopes,
            more_scopes,
            groups,
            more_images,
        }
    }

    /// Reads the content of a file that another process of this version wrote.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        // serde's error text may quote the file.
        let read: Option<Self> = serde_json::from_slice(json).ok();
        read.filter(|read| read.format_version == FORMAT_VERSION)
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        // A value of strings and numbers can always be serialized.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When the daemon wrote the summary.
    pub fn written_at(&self) -> Timestamp {
        self.written_at
    }

    /// The process id of the daemon.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    pub(super) fn process(&self) -> &ProcessIdentity {
        &self.process
    }

    /// The summary as lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.manifests.lines();
        for (what, text) in [
            ("Nothing is done", &self.state_problem),
            ("State", &self.state_warning),
        ] {
            if let Some(Text(text)) = text {
                lines.push(Sign::Failed.paint(format_args!("{what}: {text}")));
            }
        }
        lines.push(format!("Images: {}", self.images_text()));
        let names = self.scopes.iter().map(|scope| scope.name().chars().count());
        let width = names.max().unwrap_or(0);
        for scope in &self.scopes {
            scope.put_lines(width, &mut lines);
        }
        if self.more_scopes > 0 {
            let more = plural(self.more_scopes as u64, "more scope");
            lines.push(format!("and {more}, none of them worse"));
        }
        lines.extend(self.groups.iter().map(ImageGroup::line));
        if self.more_images > 0 {
            let more = plural(self.more_images as u64, "more image");
            lines.push(format!("and {more} that are not in the desired state"));
        }
        lines
    }

    /// The totals, or why they are not known yet: zeros would look like an observation of nothing.
    fn images_text(&self) -> String {
        let scopes = self.scopes.len() + self.more_scopes;
        match self.awaiting_first_observation {
            0 if self.manifests.loaded_at.is_none() => {
                "not known yet: no manifests are loaded".to_owned()
            }
            0 => self.counts.text(),
            all if all == scopes => "not known yet: the first observation has not ended".to_owned(),
            some => {
                let scopes = plural(scopes as u64, "scope");
                format!(
                    "{}; {some} of {scopes} not observed yet",
                    self.counts.text()
                )
            }
        }
    }
}

/// The first items that together have no more than `bytes`, and the number of remaining items.
fn fitting<T: Serialize>(
    mut items: impl ExactSizeIterator<Item = T>,
    bytes: usize,
) -> (Vec<T>, usize) {
    let (mut fit, mut room) = (Vec::new(), bytes);
    while let Some(item) = items.next() {
        // The comma counts too.
        let length = serde_json::to_vec(&item).map_or(usize::MAX, |text| text.len() + 1);
        match room.checked_sub(length) {
            Some(rest) => room = rest,
            None => return (fit, items.len() + 1),
        }
        fit.push(item);
    }
    (fit, 0)
}

/// The sort key by which the worst scopes come first.
fn badness(status: &ScopeStatus, counts: &Counts) -> impl Ord + use<> {
    let is_unseen = !matches!(status.view, None | Some(View::Seen));
    (
        matches!(status.activity, Activity::Halted { .. }),
        status.is_stalled(),
        is_unseen,
        counts.blocked + status.findings.len(),
        counts.withheld,
        counts.drifted,
        counts.unknown,
        counts.pending + counts.waiting,
    )
}

/// Whether only a call is due; then the scope, the state, the reason, the desired state and the message.
type GroupKey<'a> = (
    bool,
    &'a Scope,
    SyncState,
    &'static str,
    &'static str,
    Option<&'a str>,
);
type Group<'a> = (GroupKey<'a>, Vec<(&'a ImageId, &'a ImageStatus)>);

/// Groups of images whose change something prevents, followed by those that somebody else changed.
fn grouped(board: &Board) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<GroupKey<'_>, Vec<_>> = BTreeMap::new();
    for (scope, id, image) in not_as_desired(board) {
        let message = image.details.as_deref().map(|details| &*details.message);
        let key = (
            !is_held_up(image),
            scope,
            image.sync_state(),
            image.reason.as_str(),
            image.desired.as_str(),
            message,
        );
        groups.entry(key).or_default().push((id, image));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((is_ahead, _, state, ..), _)| (*is_ahead, *state));
    groups
}

/// Images that only wait for their call are left out: during a pass, these are most images.
fn not_as_desired(board: &Board) -> impl Iterator<Item = (&Scope, &ImageId, &ImageStatus)> {
    board
        .scopes()
        .iter()
        .flat_map(|(scope, status)| status.images.iter().map(move |(id, it)| (scope, id, it)))
        .filter(|(_, _, image)| image.is_changed_outside() || is_held_up(image))
}

/// Whether something prevents the change of an image, other than a call that is still due.
fn is_held_up(image: &ImageStatus) -> bool {
    matches!(image.sync_state(), SyncState::Blocked | SyncState::Withheld)
}

impl Manifests {
    fn of(status: &ManifestsStatus) -> Self {
        let problems = status.problems.iter().map(|problem| Text::new(problem));
        let (problems, more_problems) = fitting(problems, PROBLEM_BYTES_MAX);
        Self {
            origin: Text::new(&status.origin),
            commit: status.commit.as_deref().map(Text::new),
            loaded_at: status.loaded_at,
            images: status.images,
            policies: status.policies,
            broken_since: status.broken_since,
            problems,
            more_problems,
        }
    }

    fn lines(&self) -> Vec<String> {
        let commit = self.commit.as_ref();
        let commit = commit.map(|Text(commit)| format!(", commit {commit}"));
        let mut line = format!("Manifests: {}{}", self.origin.0, commit.unwrap_or_default());
        match self.loaded_at {
            Some(at) => {
                let images = plural(self.images as u64, "image");
                let _ = write!(line, ", loaded at {}: {images}", rfc3339(at));
                if self.policies > 0 {
                    let policies = match self.policies {
                        1 => "1 policy".to_owned(),
                        policies => format!("{policies} policies"),
                    };
                    let _ = write!(line, ", {policies}");
                }
            }
            None => line.push_str(", none loaded yet"),
        }
        let mut lines = vec![line];
        if let Some(since) = self.broken_since {
            let kept = match self.loaded_at {
                Some(_) => "the last good ones are in use",
                None => "nothing is done until they can be used",
            };
            let since = rfc3339(since);
            lines.push(Sign::Failed.paint(format_args!(
                "Manifests cannot be used since {since}; {kept}:"
            )));
            let problems = self.problems.iter();
            lines.extend(problems.map(|Text(problem)| format!("    {problem}")));
            if self.more_problems > 0 {
                lines.push(format!("    and {} more", self.more_problems));
            }
        }
        lines
    }
}

impl ImageCounts {
    fn of(counts: &Counts) -> Self {
        Self {
            images: counts.total(),
            in_sync: counts.in_sync,
            drifted: counts.drifted,
            pending: counts.pending,
            blocked: counts.blocked,
            withheld: counts.withheld,
            waiting: counts.waiting,
            unknown: counts.unknown,
            stalled: counts.stalled,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} of {} as desired", self.in_sync, self.images);
        // An image with a call that is due is pending, and not counted twice.
        for (count, what) in [
            (self.drifted.saturating_sub(self.pending), "drifted"),
            (self.pending, "pending"),
            (self.blocked, "blocked"),
            (self.withheld, "withheld"),
            (self.waiting, "waiting"),
            (self.unknown, "unknown"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        if self.stalled > 0 {
            let _ = write!(text, "; {} need a person", self.stalled);
        }
        text
    }
}

impl ScopeSummary {
    fn of((scope, status, counts): (&Scope, &ScopeStatus, Counts)) -> Self {
        let (next, held_reason) = match &status.activity {
            Activity::New | Activity::Running { .. } => (None, None),
            Activity::Idle { next } => (Some(*next), None),
            Activity::Halted { why } => (None, Some(Text::new(why))),
        };
        let view_reason = status.view.as_ref().and_then(View::why);
        let findings = status.findings.iter().take(FINDINGS_MAX);
        Self {
            account: Text::new(scope.account.as_str()),
            uin: status.uin.as_ref().map(|uin| Text::new(&uin.to_string())),
            region: Text::new(scope.region.as_str()),
            activity: Text::new(status.activity.as_str()),
            next,
            held_reason,
            view: status.view.as_ref().map(|view| Text::new(view.as_str())),
            view_reason: view_reason.map(|why| Text::new(&why.to_string())),
            seen_at: status.seen_at,
            synced_at: status.synced_at,
            passed_at: status.passed_at,
            stalled: status.is_stalled(),
            counts: ImageCounts::of(&counts),
            findings: findings.map(|it| Text::new(&it.message)).collect(),
            more_findings: status.findings.len().saturating_sub(FINDINGS_MAX),
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.account.0, self.region.0)
    }

    fn put_lines(&self, width: usize, lines: &mut Vec<String>) {
        let next = match (&*self.activity.0, self.next) {
            (_, Some(at)) => format!("next observation at {}", rfc3339(at)),
            ("passing", None) if self.view.is_none() => "the first pass is in progress".to_owned(),
            ("passing", None) => "a pass is in progress".to_owned(),
            ("held", None) => "no further observation".to_owned(),
            _ => "the first observation is due".to_owned(),
        };
        let observed = match (&self.view, self.seen_at) {
            (None, _) => "not observed yet".to_owned(),
            (Some(_), None) => format!("{}; not seen yet", self.counts.text()),
            (Some(_), Some(at)) => format!("{}; last seen at {}", self.counts.text(), rfc3339(at)),
        };
        let name = heading(format_args!("{:<width$}", self.name()));
        lines.push(format!("{name}  {observed}; {next}"));
        let problems = [&self.held_reason, &self.view_reason];
        let problems = problems.into_iter().flatten().chain(&self.findings);
        lines.extend(problems.map(|Text(text)| format!("    {}", Sign::Failed.paint(text))));
        if self.more_findings > 0 {
            lines.push(format!("    and {} more findings", self.more_findings));
        }
    }
}

impl ImageGroup {
    fn of((key, images): &Group<'_>) -> Self {
        let (_, scope, state, reason, desired, message) = key;
        let request_id = images.iter().find_map(|(_, image)| {
            let details = image.details.as_deref()?;
            details.request_id.as_deref()
        });
        let named = images.iter().take(NAMED_MAX).map(|(id, image)| NamedImage {
            image_id: Text::new(id.as_str()),
            image_name: image.name.as_deref().map(Text::new),
        });
        Self {
            account: Text::new(scope.account.as_str()),
            region: Text::new(scope.region.as_str()),
            standing: Text::new(state.as_str()),
            reason: Text::new(reason),
            desired: Text::new(desired),
            message: message.map(Text::new),
            request_id: request_id.map(Text::new),
            count: images.len(),
            images: named.collect(),
        }
    }

    fn line(&self) -> String {
        let named: Vec<_> = self.images.iter().map(NamedImage::text).collect();
        let more = match self.count.saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let sign = match &*self.standing.0 {
            "blocked" => Sign::Blocked,
            "withheld" => Sign::Withheld,
            _ => Sign::Pending,
        };
        let mut line = format!(
            "{}/{}: {}{more}, to be {}: {} ({})",
            self.account.0,
            self.region.0,
            named.join(", "),
            self.desired.0,
            self.standing.0,
            self.reason.0,
        );
        if let Some(Text(message)) = &self.message {
            let _ = write!(line, ": {message}");
        }
        if let Some(Text(id)) = &self.request_id {
            let _ = write!(line, " [RequestId {id}]");
        }
        sign.paint(line)
    }
}

impl NamedImage {
    fn text(&self) -> String {
        match &self.image_name {
            Some(Text(name)) => format!("{name} ({})", self.image_id.0),
            None => self.image_id.0.clone(),
        }
    }
}

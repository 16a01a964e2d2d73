//! The board as `/status.json`, written directly from the board without a copy in between.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::expiries::expiries;
use super::policy_document::PolicyDocument;
use super::policy_images;
use super::query::{Query, ScopeText};
use crate::desired;
use crate::inventory::Suspension;
use crate::model::{
    AccountName, Cause, ImageId, Permission, Scope, Selector, ShareState, Timestamp, Uin,
};
use crate::plan::View;
use crate::report::{CauseRow, FORMAT_VERSION};
use crate::status::{
    Activity, Board, Change, ClosedWindow, Condition, Counts, Finding, ImageStatus,
    ManifestsStatus, PolicyImage, ScopeStatus, StatusDetails, Subject, SyncState, Transition,
};
use crate::words::safe_cow;

/// Writes the part of the board that the query asks for as one JSON document.
pub fn write_board_document(
    mut out: impl Write,
    board: &Board,
    query: &Query,
    now: Timestamp,
) -> io::Result<()> {
    let counted: Vec<_> = board
        .scopes()
        .iter()
        .map(|(scope, status)| (scope, &**status, status.counts()))
        .collect();
    let mut summary = Counts::default();
    for (_, _, counts) in counted.iter().filter(|(s, ..)| query.picks_scope(s)) {
        summary += *counts;
    }
    let document = Document {
        format_version: FORMAT_VERSION,
        version: board.version(),
        now,
        started: board.started(),
        observe_only: board.observe_only(),
        policy: board
            .run_settings()
            .map(|settings| PolicyDocument::of(&settings.policy)),
        manifests: ManifestsDocument::of(board.manifests()),
        state: match board.state() {
            state if state.lost.is_some() => Some("lost"),
            state => state.is_new.then_some("new"),
        },
        state_problem: board.state().lost.as_deref().map(Text),
        state_warning: board.state().warning.as_deref().map(Text),
        summary: counts_document(&summary),
        awaiting_first_observation: board.awaiting_first_observation(|it| query.picks_scope(it)),
        suspensions: SuspensionDocument::all_of(board),
        closed_windows: &board.holds().windows,
        causes: Each(|| {
            let causes = board.causes(|scope| query.picks_scope(scope));
            causes.into_iter().map(|cause| CauseRow::from(&cause))
        }),
        scopes: Each(|| {
            let asked = counted.iter().filter(|(s, ..)| query.picks_scope(s));
            asked.map(|entry| scope_document(board, query, &counted, entry))
        }),
        changes: Each(|| {
            let changes = board.changes().iter().rev();
            let asked = changes.filter(|change| query.picks_key(&change.key));
            asked.map(|change| ChangeDocument::of(board, change))
        }),
        transitions: Each(|| {
            let transitions = board.transitions().iter().rev();
            let asked = transitions.filter(|entry| query.picks_subject(&entry.subject));
            asked.map(TransitionDocument::of)
        }),
        expiring: Each(|| {
            expiries(board, query, now)
                .into_iter()
                .map(|expiry| ExpiryDocument {
                    account: expiry.scope.account.as_str(),
                    region: expiry.scope.region.as_str(),
                    image_id: expiry.id.as_str(),
                    image_name: expiry.image.name.as_deref().map(Text),
                    until: expiry.until,
                })
        }),
    };
    serde_json::to_writer(&mut out, &document)?;
    out.write_all(b"\n")
}

/// A list that is written while it is iterated over.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Foreign text, made safe while it is written into the document.
struct Text<'a>(&'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&safe_cow(self.0))
    }
}

#[derive(Serialize)]
struct Document<'a, K, S, C, T, E> {
    format_version: u32,
    version: u64,
    now: Timestamp,
    started: Timestamp,
    observe_only: bool,
    /// What may be pruned, and the caps on it in each account and region.
    policy: Option<PolicyDocument>,
    manifests: ManifestsDocument<'a>,
    /// `new` or `lost`, if the state is not an ordinary one.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_problem: Option<Text<'a>>,
    /// A problem of the state that does not stop work.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_warning: Option<Text<'a>>,
    summary: CountsDocument,
    /// Number of scopes whose first observation has not ended.
    awaiting_first_observation: usize,
    /// The suspensions that are in force, whether or not any change is due.
    suspensions: Vec<SuspensionDocument<'a>>,
    /// The closed windows, with the reason why an account may not be changed now.
    closed_windows: &'a [ClosedWindow],
    /// The causes that hold up many images at once, each once.
    causes: K,
    scopes: S,
    changes: C,
    transitions: T,
    expiring: E,
}

#[derive(Serialize)]
struct ManifestsDocument<'a> {
    origin: Text<'a>,
    commit: Option<Text<'a>>,
    loaded_at: Option<Timestamp>,
    images: usize,
    policies: usize,
    problems: Vec<Text<'a>>,
    broken_since: Option<Timestamp>,
}

#[derive(Serialize)]
struct SuspensionDocument<'a> {
    id: u64,
    selector: &'a Selector,
    by: Text<'a>,
    reason: Text<'a>,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct CountsDocument {
    images: usize,
    in_sync: usize,
    drifted: usize,
    pending: usize,
    blocked: usize,
    withheld: usize,
    waiting: usize,
    unknown: usize,
    stalled: usize,
    /// The withheld images that stay so until a person decides.
    held: usize,
    by_word: usize,
}

#[derive(Serialize)]
struct ScopeDocument<'a> {
    account: &'a str,
    uin: Option<&'a Uin>,
    region: &'static str,
    activity: &'static str,
    passing_since: Option<Timestamp>,
    writes_answered: Option<u64>,
    /// How many of the writes of this pass the API has acknowledged; they take effect in the counts once they are seen.
    writes_acknowledged: Option<u64>,
    writes_planned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingDocument>,
    next: Option<Timestamp>,
    held_reason: Option<Text<'a>>,
    view: Option<ViewDocument<'a>>,
    seen_at: Option<Timestamp>,
    synced_at: Option<Timestamp>,
    passed_at: Option<Timestamp>,
    stalled: bool,
    counts: CountsDocument,
    unmanaged: UnmanagedDocument,
    /// Number of blueprints whose image is not the account's own, as far as this was checked.
    strays: usize,
    loss: Option<LossDocument>,
    warnings: Vec<Text<'a>>,
    /// The problems that a person must solve, apart from single images.
    findings: Vec<FindingDocument<'a>>,
    rate: Option<RateDocument<'a>>,
    eta_seconds: Option<f64>,
    /// The images that policies keep, leave alone or let wait.
    policy_images: Vec<PolicyImageDocument<'a>>,
    images: Images<'a>,
}

/// An observation that waits for its turn to read.
#[derive(Serialize)]
struct ReadingDocument {
    read: u32,
    pages: Option<u32>,
    calls_before: u32,
    per_second: f64,
}

/// The images of a scope that are within the query.
struct Images<'a> {
    query: &'a Query,
    text: ScopeText,
    status: &'a ScopeStatus,
}

impl Serialize for Images<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let images = self.status.images.iter();
        let asked = images.filter(|(id, image)| self.query.picks(&self.text, id, image));
        serializer.collect_seq(asked.map(image_document))
    }
}

#[derive(Serialize)]
struct ViewDocument<'a> {
    state: &'static str,
    reason: Option<Text<'a>>,
    error_code: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
}

#[derive(Serialize)]
struct UnmanagedDocument {
    ours: usize,
    foreign: usize,
}

#[derive(Serialize)]
struct LossDocument {
    lost: usize,
    of: usize,
}

#[derive(Serialize)]
struct FindingDocument<'a> {
    kind: &'static str,
    /// The name of an image, or of a policy.
    subject: Text<'a>,
    message: Text<'a>,
    source: Option<SourceDocument<'a>>,
    since: Timestamp,
}

#[derive(Serialize)]
struct PolicyImageDocument<'a> {
    image_id: &'a str,
    image_name: Option<Text<'a>>,
    verdict: &'static str,
    reason: Option<Text<'a>>,
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct RateDocument<'a> {
    host: Text<'a>,
    per_second: f64,
}

#[derive(Serialize)]
struct ImageDocument<'a> {
    image_id: &'a str,
    image_name: Option<Text<'a>>,
    desired: ShareState,
    actual: &'static str,
    cause: Cause,
    blueprint_id: Option<Text<'a>>,
    standing: &'static str,
    reason: &'static str,
    message: Option<Text<'a>>,
    error_code: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    next_try: Option<Timestamp>,
    until: Option<Timestamp>,
    changed_outside: bool,
    source: Option<SourceDocument<'a>>,
    conditions: [ConditionDocument; 4],
}

#[derive(Serialize)]
struct SourceDocument<'a> {
    file: Text<'a>,
    line: u32,
}

#[derive(Serialize)]
struct ConditionDocument {
    r#type: &'static str,
    status: &'static str,
    reason: &'static str,
    since: Timestamp,
}

#[derive(Serialize)]
struct ChangeDocument<'a> {
    at: Timestamp,
    account: &'a str,
    region: &'static str,
    image_id: &'a str,
    image_name: Option<Text<'a>>,
    action: Permission,
    cause: Cause,
    result: &'static str,
    error_code: Option<Text<'a>>,
    message: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    source: Option<SourceDocument<'a>>,
}

#[derive(Serialize)]
struct TransitionDocument<'a> {
    at: Timestamp,
    kind: &'static str,
    account: Option<&'a str>,
    region: Option<&'static str>,
    image_id: Option<&'a str>,
    image_name: Option<Text<'a>>,
    reason: Option<&'static str>,
    message: Text<'a>,
}

#[derive(Serialize)]
struct ExpiryDocument<'a> {
    account: &'a str,
    region: &'static str,
    image_id: &'a str,
    image_name: Option<Text<'a>>,
    until: Timestamp,
}

type Counted<'a> = (&'a Scope, &'a ScopeStatus, Counts);

fn scope_document<'a>(
    board: &'a Board,
    query: &'a Query,
    all: &'a [Counted<'a>],
    (scope, status, counts): &'a Counted<'a>,
) -> ScopeDocument<'a> {
    let ahead = |scope: &Scope| {
        let at = all.binary_search_by(|(other, ..)| (*other).cmp(scope));
        at.map_or(0, |at| all[at].1.writes_ahead(&all[at].2))
    };
    let (passing_since, writes_answered, next, held_reason) = match &status.activity {
        Activity::New => (None, None, None, None),
        Activity::Running {
            since, answered, ..
        } => (Some(*since), Some(*answered), None, None),
        Activity::Idle { next } => (None, None, Some(*next), None),
        Activity::Halted { why } => (None, None, None, Some(Text(why))),
    };
    let progress = status.progress();
    ScopeDocument {
        account: scope.account.as_str(),
        uin: status.uin.as_ref(),
        region: scope.region.as_str(),
        activity: status.activity.as_str(),
        passing_since,
        writes_answered,
        writes_acknowledged: progress.map(|progress| progress.acknowledged),
        writes_planned: progress.map(|progress| progress.planned),
        reading: status.reads.waits.map(|reading| ReadingDocument {
            read: reading.read,
            pages: reading.pages,
            calls_before: reading.before,
            per_second: reading.per_second,
        }),
        next,
        held_reason,
        view: status.view.as_ref().map(view_document),
        seen_at: status.seen_at,
        synced_at: status.synced_at,
        passed_at: status.passed_at,
        stalled: status.is_stalled(),
        counts: counts_document(counts),
        unmanaged: UnmanagedDocument {
            ours: status.unmanaged_ours,
            foreign: status.unmanaged_foreign,
        },
        strays: status.unmanaged_strays,
        loss: status.loss.map(|loss| LossDocument {
            lost: loss.lost,
            of: loss.of,
        }),
        warnings: status.warnings.iter().map(|line| Text(line)).collect(),
        findings: status.findings.iter().map(FindingDocument::of).collect(),
        rate: status.write_bucket.as_ref().map(|bucket| RateDocument {
            host: Text(&bucket.host),
            per_second: bucket.per_second,
        }),
        eta_seconds: board.eta(scope, ahead).map(|eta| eta.as_secs_f64()),
        policy_images: policy_images::asked(status, query)
            .map(PolicyImageDocument::of)
            .collect(),
        images: Images {
            query,
            text: ScopeText::new(scope),
            status,
        },
    }
}

fn view_document(view: &View) -> ViewDocument<'_> {
    let why = view.why();
    ViewDocument {
        state: view.as_str(),
        reason: why.map(|why| Text(&why.reason)),
        error_code: why.and_then(|why| why.code.as_deref()).map(Text),
        request_id: why.and_then(|why| why.request_id.as_deref()).map(Text),
    }
}

fn counts_document(counts: &Counts) -> CountsDocument {
    CountsDocument {
        images: counts.total(),
        in_sync: counts.in_sync,
        drifted: counts.drifted,
        pending: counts.pending,
        blocked: counts.blocked,
        withheld: counts.withheld,
        waiting: counts.waiting,
        unknown: counts.unknown,
        stalled: counts.stalled,
        held: counts.held,
        by_word: counts.by_word,
    }
}

fn image_document<'a>((id, image): (&'a ImageId, &'a ImageStatus)) -> ImageDocument<'a> {
    let details: Option<&StatusDetails> = image.details.as_deref();
    let condition = |r#type, condition: Condition| ConditionDocument {
        r#type,
        status: condition.status.as_str(),
        reason: image.reason.as_str(),
        since: condition.since,
    };
    ImageDocument {
        image_id: id.as_str(),
        image_name: image.name.as_deref().map(Text),
        desired: image.desired,
        actual: image.actual.map_or("unknown", ShareState::as_str),
        cause: image.cause,
        blueprint_id: image.blueprint.as_deref().map(Text),
        standing: SyncState::as_str(image.sync_state()),
        reason: image.reason.as_str(),
        message: details.map(|details| Text(&details.message)),
        error_code: details
            .and_then(|details| details.code.as_deref())
            .map(Text),
        request_id: details
            .and_then(|details| details.request_id.as_deref())
            .map(Text),
        next_try: details.and_then(|details| details.next_try),
        until: image.until,
        changed_outside: image.is_changed_outside(),
        source: image.source.as_ref().map(source_document),
        conditions: [
            condition("Ready", image.ready),
            condition("Drifted", image.drifted),
            condition("Stalled", image.stalled),
            condition("Eligible", image.eligible),
        ],
    }
}

fn source_document(source: &desired::Source) -> SourceDocument<'_> {
    SourceDocument {
        file: Text(&source.file),
        line: source.line,
    }
}

impl<'a> SuspensionDocument<'a> {
    fn all_of(board: &'a Board) -> Vec<Self> {
        let suspensions = board.holds().suspensions.iter();
        suspensions.map(Self::of).collect()
    }

    fn of(suspension: &'a Suspension) -> Self {
        Self {
            id: suspension.id,
            selector: &suspension.selector,
            by: Text(&suspension.by),
            reason: Text(&suspension.reason),
            since: suspension.since,
            until: suspension.until,
        }
    }
}

impl<'a> ManifestsDocument<'a> {
    fn of(manifests: &'a ManifestsStatus) -> Self {
        Self {
            origin: Text(&manifests.origin),
            commit: manifests.commit.as_deref().map(Text),
            loaded_at: manifests.loaded_at,
            images: manifests.images,
            policies: manifests.policies,
            problems: manifests.problems.iter().map(|line| Text(line)).collect(),
            broken_since: manifests.broken_since,
        }
    }
}

impl<'a> FindingDocument<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            kind: finding.kind.as_str(),
            subject: Text(&finding.subject),
            message: Text(&finding.message),
            source: finding.source.as_ref().map(source_document),
            since: finding.since,
        }
    }
}

impl<'a> PolicyImageDocument<'a> {
    fn of(image: &'a PolicyImage) -> Self {
        Self {
            image_id: image.id.as_str(),
            image_name: image.name.as_ref().map(|name| Text(name.as_str())),
            verdict: image.verdict,
            reason: image.reason.as_deref().map(Text),
            until: image.until,
        }
    }
}

impl<'a> ChangeDocument<'a> {
    fn of(board: &'a Board, change: &'a Change) -> Self {
        Self {
            at: change.at,
            account: change.key.scope.account.as_str(),
            region: change.key.scope.region.as_str(),
            image_id: change.key.image.as_str(),
            image_name: board.image_name(&change.key).map(Text),
            action: change.permission,
            cause: change.cause,
            result: change.result.as_str(),
            error_code: change.code.as_deref().map(Text),
            message: change.message.as_deref().map(Text),
            request_id: change.request_id.as_deref().map(Text),
            source: change.source.as_ref().map(source_document),
        }
    }
}

impl<'a> TransitionDocument<'a> {
    fn of(transition: &'a Transition) -> Self {
        let (account, scope, key) = match &transition.subject {
            Subject::Manifests | Subject::State | Subject::Selection(_) => (None, None, None),
            Subject::Account(account) => (Some(account), None, None),
            Subject::Scope(scope) => (Some(&scope.account), Some(scope), None),
            Subject::Image(key) => (Some(&key.scope.account), Some(&key.scope), Some(key)),
        };
        Self {
            at: transition.at,
            kind: transition.kind.as_str(),
            account: account.map(AccountName::as_str),
            region: scope.map(|scope| scope.region.as_str()),
            image_id: key.map(|key| key.image.as_str()),
            image_name: transition.name.as_deref().map(Text),
            reason: transition.reason.map(|reason| reason.as_str()),
            message: Text(&transition.message),
        }
    }
}

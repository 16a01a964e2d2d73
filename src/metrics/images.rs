//! Metrics of images: by sync state, by desired state, and by what prevents a change. Every series belongs to one account
//! and region, so that its alerts can be sent to the people concerned. Sync states begin at 0; the other metrics have
//! many possible series that are mostly 0, so only values other than 0 are shown.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::family::{Families, Family, gauge};
use super::scopes::labels;
use crate::model::{Permission, Scope, ShareState, Timestamp};
use crate::plan::View;
use crate::status::{Board, ImageStatus, Reason, ScopeStatus, SyncState, Truth};

/// Sync states in the order of the series.
const STATES: [SyncState; 6] = [
    SyncState::InSync,
    SyncState::Pending,
    SyncState::Waiting,
    SyncState::Blocked,
    SyncState::Withheld,
    SyncState::Unknown,
];
/// How far ahead ending shares are counted.
const AHEAD: [(&str, TimeDelta); 3] = [
    ("24h", TimeDelta::hours(24)),
    ("7d", TimeDelta::days(7)),
    ("30d", TimeDelta::days(30)),
];

/// The images of one scope, counted.
#[derive(Default)]
struct ScopeCounts {
    states: BTreeMap<SyncState, u64>,
    desired: BTreeMap<Permission, u64>,
    pending: BTreeMap<Permission, u64>,
    blocked: BTreeMap<Reason, u64>,
    skipped: BTreeMap<Reason, u64>,
    ineligible: BTreeMap<Reason, u64>,
    actual: u64,
    drifted: u64,
    changed_outside: u64,
    by_word: u64,
    expiring: [u64; AHEAD.len()],
}

/// A scope, its status, and the counts of its images.
type CountedScope<'a> = (&'a Scope, &'a ScopeStatus, ScopeCounts);

/// Adds the metrics of all images.
pub(super) fn families(families: &mut Families, board: &Board, now: Timestamp) {
    let scopes = board.scopes().iter();
    let scopes: Vec<CountedScope<'_>> = scopes
        .map(|(scope, status)| (scope, &**status, ScopeCounts::of(status, now)))
        .collect();
    states(families, &scopes);
    permissions(families, &scopes);
    unmanaged(families, &scopes);
    per_scope(families, &scopes);
    reasons(families, &scopes);
    expiring(families, &scopes);
}

impl ScopeCounts {
    fn of(status: &ScopeStatus, now: Timestamp) -> Self {
        let mut counts = Self::default();
        for image in status.images.values() {
            counts.add(image, now);
        }
        counts
    }

    fn add(&mut self, image: &ImageStatus, now: Timestamp) {
        let state = image.sync_state();
        let towards = Permission::towards(image.desired);
        *self.states.entry(state).or_default() += 1;
        *self.desired.entry(towards).or_default() += 1;
        if image.reason == Reason::Pending {
            *self.pending.entry(towards).or_default() += 1;
        }
        match state {
            SyncState::Blocked => *self.blocked.entry(image.reason).or_default() += 1,
            SyncState::Withheld => *self.skipped.entry(image.reason).or_default() += 1,
            _ => {}
        }
        if image.eligible.status == Truth::False {
            *self.ineligible.entry(image.reason).or_default() += 1;
        }
        self.actual += u64::from(image.actual == Some(ShareState::Shared));
        self.drifted += u64::from(image.drifted.holds());
        self.changed_outside += u64::from(image.is_changed_outside());
        self.by_word += u64::from(image.is_by_word());
        let until = image.until.filter(|until| *until > now);
        if let (Some(until), ShareState::Shared) = (until, image.desired) {
            for (count, (_, ahead)) in self.expiring.iter_mut().zip(AHEAD) {
                *count += u64::from(until - now <= ahead);
            }
        }
    }

    fn is_guard_tripped(&self) -> bool {
        self.skipped.contains_key(&Reason::GuardTripped)
    }
}

fn states(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut states = gauge(
        "sharekeeper_images",
        "Images that are named or due for pruning, by sync state: in_sync, pending (a call is due), waiting (may resolve with time alone), blocked (also during retries), withheld, unknown (not seen).",
    );
    for (scope, _, counts) in scopes {
        let [account, region] = labels(scope);
        for state in STATES {
            let count = counts.states.get(&state).copied().unwrap_or_default();
            let labels = [account, region, ("state", state.as_str())];
            states.add(&labels, count as f64);
        }
    }
    families.keep(states);
}

fn permissions(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut desired = gauge(
        "sharekeeper_desired_shares",
        "Images whose desired state is shared (SHARE) or not shared (CANCEL). Missing where there are none.",
    );
    let mut pending = gauge(
        "sharekeeper_pending_changes",
        "Writes that are due, by action. Missing where there are none.",
    );
    for (scope, _, counts) in scopes {
        let [account, region] = labels(scope);
        for (permission, count) in &counts.desired {
            let labels = [account, region, ("permission", permission.as_str())];
            desired.add(&labels, *count as f64);
        }
        for (permission, count) in &counts.pending {
            let labels = [account, region, ("action", permission.as_str())];
            pending.add(&labels, *count as f64);
        }
    }
    families.keep(desired);
    families.keep(pending);
}

fn unmanaged(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut unmanaged = gauge(
        "sharekeeper_unmanaged_shares",
        "Shared images that no manifest names and that are left alone: shared by sharekeeper (ours), shared by somebody else (foreign), or, where this was checked, shares whose image is not in the account (strays). Missing where there are none.",
    );
    for (scope, status, _) in scopes {
        let [account, region] = labels(scope);
        let owners = [
            ("ours", status.unmanaged_ours),
            ("foreign", status.unmanaged_foreign),
            ("strays", status.unmanaged_strays),
        ];
        for (owner, count) in owners.into_iter().filter(|(_, count)| *count > 0) {
            unmanaged.add(&[account, region, ("owner", owner)], count as f64);
        }
    }
    families.keep(unmanaged);
}

/// Metrics with one number for each account and region.
fn per_scope(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut each = |mut family: Family, value: fn(&CountedScope<'_>) -> Option<f64>| {
        for counted in scopes {
            if let Some(value) = value(counted) {
                family.add(&labels(counted.0), value);
            }
        }
        families.keep(family);
    };
    each(
        gauge(
            "sharekeeper_actual_shares",
            "Images that are named or due for pruning and were seen as shared. Missing where the last observation did not see the account and region.",
        ),
        |(_, status, counts)| {
            let is_seen = status.view == Some(View::Seen);
            is_seen.then_some(counts.actual as f64)
        },
    );
    each(
        gauge(
            "sharekeeper_drifted_shares",
            "Images that were seen in a state other than the desired one, for any reason. Missing where there are none.",
        ),
        |(.., counts)| unless_none(counts.drifted),
    );
    each(
        gauge(
            "sharekeeper_changed_outside_shares",
            "Images that somebody else changed from the desired state and that have not returned to it. Missing where there are none.",
        ),
        |(.., counts)| unless_none(counts.changed_outside),
    );
    each(
        gauge(
            "sharekeeper_by_word_images",
            "Images that count as in sync only by the API's answers to writes, because reading is denied. Missing where there are none.",
        ),
        |(.., counts)| unless_none(counts.by_word),
    );
    each(
        gauge(
            "sharekeeper_guard_tripped",
            "1 while a guard withholds changes: too many cancels at once, a suspicious view of the account, manifests with errors. Missing otherwise.",
        ),
        |(.., counts)| counts.is_guard_tripped().then_some(1.0),
    );
}

fn unless_none(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

fn reasons(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut each = |mut family: Family, counts: fn(&ScopeCounts) -> &BTreeMap<Reason, u64>| {
        for (scope, _, counted) in scopes {
            let [account, region] = labels(scope);
            for (reason, count) in counts(counted) {
                let labels = [account, region, ("reason", reason.as_str())];
                family.add(&labels, *count as f64);
            }
        }
        families.keep(family);
    };
    each(
        gauge(
            "sharekeeper_blocked",
            "Images whose change the image itself, the API or the account prevents, by reason, also during retries. Missing where there are none.",
        ),
        |counts| &counts.blocked,
    );
    each(
        gauge(
            "sharekeeper_skipped",
            "Images whose change is withheld, by reason: a guard, a suspension, a change window, or missing ownership. Missing where there are none.",
        ),
        |counts| &counts.skipped,
    );
    each(
        gauge(
            "sharekeeper_ineligible",
            "Images that do not meet the conditions for sharing, by reason. Missing where there are none.",
        ),
        |counts| &counts.ineligible,
    );
}

fn expiring(families: &mut Families, scopes: &[CountedScope<'_>]) {
    let mut expiring = gauge(
        "sharekeeper_expiring_shares",
        "Shares that expire within this time. Shares within 24h also count within 7d and 30d. Missing where there are none.",
    );
    for (scope, _, counts) in scopes {
        let [account, region] = labels(scope);
        let counted = AHEAD.iter().zip(counts.expiring);
        for ((within, _), count) in counted.filter(|(_, count)| *count > 0) {
            expiring.add(&[account, region, ("within", within)], count as f64);
        }
    }
    families.keep(expiring);
}

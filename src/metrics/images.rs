//! Metrics of images: by sync state, by what they are desired to be, and by what is in the way.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::family::{Families, Family, gauge};
use super::scopes::{flag, labels};
use crate::model::{Permission, ShareState, Timestamp};
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
const PERMISSIONS: [Permission; 2] = [Permission::Share, Permission::Cancel];
/// How far ahead shares that end are counted.
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
    actual: u64,
    drifted: u64,
    changed_outside: u64,
    by_word: u64,
    guard_tripped: bool,
}

/// The images of all scopes, counted by what is in the way.
#[derive(Default)]
struct ReasonCounts {
    blocked: BTreeMap<Reason, u64>,
    skipped: BTreeMap<Reason, u64>,
    ineligible: BTreeMap<Reason, u64>,
    suspended: u64,
    expiring: [u64; AHEAD.len()],
}

/// Adds the metrics of all images.
pub(super) fn families(families: &mut Families, board: &Board, now: Timestamp) {
    let mut reason_counts = ReasonCounts::default();
    let scopes = board.scopes().values();
    let counts_by_scope: Vec<_> = scopes
        .map(|status| count_images(status, &mut reason_counts, now))
        .collect();
    images(families, board, &counts_by_scope);
    per_scope(families, board, &counts_by_scope);
    reasons(families, &reason_counts);
}

fn count_images(
    status: &ScopeStatus,
    reason_counts: &mut ReasonCounts,
    now: Timestamp,
) -> ScopeCounts {
    let mut counts = ScopeCounts::default();
    for image in status.images.values() {
        let state = image.sync_state();
        let towards = Permission::towards(image.desired);
        *counts.states.entry(state).or_default() += 1;
        *counts.desired.entry(towards).or_default() += 1;
        if image.reason == Reason::Pending {
            *counts.pending.entry(towards).or_default() += 1;
        }
        counts.actual += u64::from(image.actual == Some(ShareState::Shared));
        counts.drifted += u64::from(image.drifted.holds());
        counts.changed_outside += u64::from(image.is_changed_outside());
        counts.by_word += u64::from(image.is_by_word());
        counts.guard_tripped |= image.reason == Reason::GuardTripped;
        reason_counts.add(image, state, now);
    }
    counts
}

impl ReasonCounts {
    fn add(&mut self, image: &ImageStatus, state: SyncState, now: Timestamp) {
        match state {
            SyncState::Blocked => *self.blocked.entry(image.reason).or_default() += 1,
            SyncState::Withheld => *self.skipped.entry(image.reason).or_default() += 1,
            _ => {}
        }
        if image.eligible.status == Truth::False {
            *self.ineligible.entry(image.reason).or_default() += 1;
        }
        self.suspended += u64::from(image.reason == Reason::Suspended);
        let until = image.until.filter(|until| *until > now);
        if let (Some(until), ShareState::Shared) = (until, image.desired) {
            for (count, (_, ahead)) in self.expiring.iter_mut().zip(AHEAD) {
                *count += u64::from(until - now <= ahead);
            }
        }
    }
}

fn images(families: &mut Families, board: &Board, counts_by_scope: &[ScopeCounts]) {
    let mut states = gauge(
        "sharekeeper_images",
        "Images that are named or to be pruned, by where they stand: in_sync, pending (a call is ahead), waiting (time alone may do), blocked, withheld, unknown (not seen).",
    );
    let mut desired = gauge(
        "sharekeeper_desired_shares",
        "Images that are to be shared (SHARE) and not to be (CANCEL).",
    );
    let mut pending = gauge(
        "sharekeeper_pending_changes",
        "Writes that are ahead, by what they do.",
    );
    let mut unmanaged = gauge(
        "sharekeeper_unmanaged_shares",
        "Images that are shared, named by no manifest and left alone: shared by sharekeeper (ours) or by somebody else (foreign), or, as far as that was asked, not of an image of the account (strays).",
    );
    for ((scope, status), counts) in board.scopes().iter().zip(counts_by_scope) {
        let [account, region] = labels(scope);
        let count = |of: Option<&u64>| of.copied().unwrap_or_default() as f64;
        for state in STATES {
            let labels = [account, region, ("state", state.as_str())];
            states.add(&labels, count(counts.states.get(&state)));
        }
        for permission in PERMISSIONS {
            let labels = [account, region, ("permission", permission.as_str())];
            desired.add(&labels, count(counts.desired.get(&permission)));
            let labels = [account, region, ("action", permission.as_str())];
            pending.add(&labels, count(counts.pending.get(&permission)));
        }
        let owners = [
            ("ours", status.unmanaged_ours),
            ("foreign", status.unmanaged_foreign),
            ("strays", status.unmanaged_strays),
        ];
        for (owner, count) in owners {
            unmanaged.add(&[account, region, ("owner", owner)], count as f64);
        }
    }
    for family in [states, desired, pending, unmanaged] {
        families.keep(family);
    }
}

/// Metrics with one number for each account and region.
fn per_scope(families: &mut Families, board: &Board, counts_by_scope: &[ScopeCounts]) {
    let mut each = |mut family: Family, value: fn(&ScopeCounts) -> f64| {
        for (scope, counts) in board.scopes().keys().zip(counts_by_scope) {
            family.add(&labels(scope), value(counts));
        }
        families.keep(family);
    };
    each(
        gauge(
            "sharekeeper_actual_shares",
            "Images that are named or to be pruned, and were seen to be shared.",
        ),
        |counts| counts.actual as f64,
    );
    each(
        gauge(
            "sharekeeper_drifted_shares",
            "Images that were seen to be in another state than desired, for whatever reason.",
        ),
        |counts| counts.drifted as f64,
    );
    each(
        gauge(
            "sharekeeper_changed_outside_shares",
            "Images that were as desired until somebody else changed them, and have not been since.",
        ),
        |counts| counts.changed_outside as f64,
    );
    each(
        gauge(
            "sharekeeper_by_word_images",
            "Images that count as in sync by the API's answers to writes alone, because reading is denied.",
        ),
        |counts| counts.by_word as f64,
    );
    each(
        gauge(
            "sharekeeper_guard_tripped",
            "1 while a guard withholds changes: too many cancels at once, a suspicious view of the account, manifests with errors.",
        ),
        |counts| flag(counts.guard_tripped),
    );
}

fn reasons(families: &mut Families, reason_counts: &ReasonCounts) {
    let not_itself = |reason: Reason| matches!(reason, Reason::AccountBroken | Reason::NotTried);
    families.keep(by_reason(
        gauge(
            "sharekeeper_blocked",
            "Images for which the image itself, the API or the account is in the way.",
        ),
        &reason_counts.blocked,
        |reason| reason.is_blocked() || not_itself(reason),
    ));
    families.keep(by_reason(
        gauge(
            "sharekeeper_skipped",
            "Images whose change is withheld: by a guard, a person, the hour, or because they are not ours.",
        ),
        &reason_counts.skipped,
        Reason::is_withheld,
    ));
    families.keep(by_reason(
        gauge(
            "sharekeeper_ineligible",
            "Images that do not meet the conditions for sharing.",
        ),
        &reason_counts.ineligible,
        |reason| {
            matches!(
                reason,
                Reason::NotEligible | Reason::ImageNotFound | Reason::WaitingForImage
            )
        },
    ));
    families.keep(
        gauge(
            "sharekeeper_suspended",
            "Images that are not changed, because a person said so with `suspend`.",
        )
        .with(&[], reason_counts.suspended as f64),
    );
    let mut expiring = gauge(
        "sharekeeper_expiring_shares",
        "Shares that end by themselves within so long. Those within 24h are within 7d and 30d, too.",
    );
    for ((within, _), count) in AHEAD.iter().zip(reason_counts.expiring) {
        expiring.add(&[("within", within)], count as f64);
    }
    families.keep(expiring);
}

/// A series for each reason that is possible, so that a reason that comes and goes leaves no gap.
fn by_reason(
    mut family: Family,
    counts: &BTreeMap<Reason, u64>,
    shown: impl Fn(Reason) -> bool,
) -> Family {
    for reason in Reason::ALL.iter().filter(|reason| shown(**reason)) {
        let count = counts.get(reason).copied().unwrap_or_default();
        family.add(&[("reason", reason.as_str())], count as f64);
    }
    family
}

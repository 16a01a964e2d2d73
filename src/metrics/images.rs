use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::family::{Families, Family, gauge};
use super::scopes::{labels, truth};
use crate::model::{Permission, ShareState, Timestamp};
use crate::status::{Board, ImageStatus, Reason, ScopeStatus, SyncState, Truth};

/// Where an image stands, in the order of the series.
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
struct Tally {
    states: BTreeMap<SyncState, u64>,
    desired: BTreeMap<Permission, u64>,
    pending: BTreeMap<Permission, u64>,
    actual: u64,
    drifted: u64,
    changed_outside: u64,
    by_word: u64,
    guarded: bool,
}

/// The images of all scopes, counted by what is in the way.
#[derive(Default)]
struct Troubles {
    blocked: BTreeMap<Reason, u64>,
    skipped: BTreeMap<Reason, u64>,
    ineligible: BTreeMap<Reason, u64>,
    suspended: u64,
    expiring: [u64; AHEAD.len()],
}

/// What is known of the images.
pub(super) fn families(families: &mut Families, board: &Board, now: Timestamp) {
    let mut troubles = Troubles::default();
    let scopes = board.scopes().values();
    let tallies: Vec<_> = scopes
        .map(|status| tally(status, &mut troubles, now))
        .collect();
    images(families, board, &tallies);
    counted(families, board, &tallies);
    reasons(families, &troubles);
}

fn tally(status: &ScopeStatus, troubles: &mut Troubles, now: Timestamp) -> Tally {
    let mut tally = Tally::default();
    for image in status.images.values() {
        let state = image.sync_state();
        let towards = Permission::towards(image.desired);
        *tally.states.entry(state).or_default() += 1;
        *tally.desired.entry(towards).or_default() += 1;
        if image.reason == Reason::Pending {
            *tally.pending.entry(towards).or_default() += 1;
        }
        tally.actual += u64::from(image.actual == Some(ShareState::Shared));
        tally.drifted += u64::from(image.drifted.holds());
        tally.changed_outside += u64::from(image.is_changed_outside());
        tally.by_word += u64::from(image.is_by_word());
        tally.guarded |= image.reason == Reason::GuardTripped;
        troubles.add(image, state, now);
    }
    tally
}

impl Troubles {
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

fn images(families: &mut Families, board: &Board, tallies: &[Tally]) {
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
    for ((scope, status), tally) in board.scopes().iter().zip(tallies) {
        let [account, region] = labels(scope);
        let count = |of: Option<&u64>| of.copied().unwrap_or_default() as f64;
        for state in STATES {
            let labels = [account, region, ("state", state.as_str())];
            states.add(&labels, count(tally.states.get(&state)));
        }
        for permission in PERMISSIONS {
            let labels = [account, region, ("permission", permission.as_str())];
            desired.add(&labels, count(tally.desired.get(&permission)));
            let labels = [account, region, ("action", permission.as_str())];
            pending.add(&labels, count(tally.pending.get(&permission)));
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

/// One number for each account and region.
fn counted(families: &mut Families, board: &Board, tallies: &[Tally]) {
    let mut each = |mut family: Family, value: fn(&Tally) -> f64| {
        for (scope, tally) in board.scopes().keys().zip(tallies) {
            family.add(&labels(scope), value(tally));
        }
        families.keep(family);
    };
    each(
        gauge(
            "sharekeeper_actual_shares",
            "Images that are named or to be pruned, and were seen to be shared.",
        ),
        |tally| tally.actual as f64,
    );
    each(
        gauge(
            "sharekeeper_drifted_shares",
            "Images that were seen to be in another state than desired, for whatever reason.",
        ),
        |tally| tally.drifted as f64,
    );
    each(
        gauge(
            "sharekeeper_changed_outside_shares",
            "Images that were as desired until somebody else changed them, and have not been since.",
        ),
        |tally| tally.changed_outside as f64,
    );
    each(
        gauge(
            "sharekeeper_by_word_images",
            "Images that count as in sync by the API's answers to writes alone, because reading is denied.",
        ),
        |tally| tally.by_word as f64,
    );
    each(
        gauge(
            "sharekeeper_guard_tripped",
            "1 while a guard withholds changes: too many cancels at once, a suspicious view of the account, manifests with errors.",
        ),
        |tally| truth(tally.guarded),
    );
}

fn reasons(families: &mut Families, troubles: &Troubles) {
    let not_itself = |reason: Reason| matches!(reason, Reason::AccountBroken | Reason::NotTried);
    families.keep(by_reason(
        gauge(
            "sharekeeper_blocked",
            "Images for which the image itself, the API or the account is in the way.",
        ),
        &troubles.blocked,
        |reason| reason.is_blocked() || not_itself(reason),
    ));
    families.keep(by_reason(
        gauge(
            "sharekeeper_skipped",
            "Images whose change is withheld: by a guard, a person, the hour, or because they are not ours.",
        ),
        &troubles.skipped,
        Reason::is_withheld,
    ));
    families.keep(by_reason(
        gauge(
            "sharekeeper_ineligible",
            "Images that do not meet the conditions for sharing.",
        ),
        &troubles.ineligible,
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
        .with(&[], troubles.suspended as f64),
    );
    let mut expiring = gauge(
        "sharekeeper_expiring_shares",
        "Shares that end by themselves within so long. Those within 24h are within 7d and 30d, too.",
    );
    for ((within, _), count) in AHEAD.iter().zip(troubles.expiring) {
        expiring.add(&[("within", within)], count as f64);
    }
    families.keep(expiring);
}

/// A series for each reason there may be, so that one that comes and goes leaves no gap.
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

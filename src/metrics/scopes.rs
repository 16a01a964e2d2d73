//! Metrics of accounts and regions: passes, observations, write rates and answered writes. Counters with a known set of
//! labels begin at 0, because Prometheus sees no increase in the first value of a series.

use std::collections::BTreeSet;

use super::family::{Families, Family, Label, counter, gauge, histogram, seconds};
use crate::history::WriteResult;
use crate::model::{AccountName, Cause, Permission, Scope};
use crate::plan::View;
use crate::status::{AccountTotals, Board, PassResult, ScopeStatus};

/// Every possible result of a write that was sent, by action.
const CHANGES: [(Permission, WriteResult); 7] = [
    (Permission::Share, WriteResult::Applied),
    (Permission::Share, WriteResult::AlreadyShared),
    (Permission::Share, WriteResult::Rejected),
    (Permission::Share, WriteResult::Unknown),
    (Permission::Cancel, WriteResult::Applied),
    (Permission::Cancel, WriteResult::Rejected),
    (Permission::Cancel, WriteResult::Unknown),
];
/// Every cause that each of the two actions can have.
const CAUSES: [(Permission, Cause); 7] = [
    (Permission::Share, Cause::Declared),
    (Permission::Share, Cause::Policy),
    (Permission::Cancel, Cause::Declared),
    (Permission::Cancel, Cause::Expired),
    (Permission::Cancel, Cause::Pruned),
    (Permission::Cancel, Cause::Retention),
    (Permission::Cancel, Cause::Revoked),
];

/// Adds the metrics of all accounts and regions.
pub(super) fn families(families: &mut Families, board: &Board) {
    accounts(families, board);
    passes(families, board);
    observations(families, board);
    holds(families, board);
    changes(families, board);
}

/// Adds a series for each account and region that has a value.
fn each(mut family: Family, board: &Board, value: fn(&ScopeStatus) -> Option<f64>) -> Family {
    for (scope, status) in board.scopes() {
        if let Some(value) = value(status) {
            family.add(&labels(scope), value);
        }
    }
    family
}

pub(super) fn labels(scope: &Scope) -> [Label<'_>; 2] {
    [
        ("account", scope.account.as_str()),
        ("region", scope.region.as_str()),
    ]
}

pub(super) fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Maps account names to root accounts. The other series have only the name as a label.
fn accounts(families: &mut Families, board: &Board) {
    let mut accounts = gauge(
        "sharekeeper_account_info",
        "1 for each account name, with the uin of its root account. Missing while the uin is not known.",
    );
    let mut shown = BTreeSet::new();
    for (scope, status) in board.scopes() {
        let Some(uin) = &status.uin else {
            continue;
        };
        if shown.insert((&scope.account, uin)) {
            let labels = [("account", scope.account.as_str()), ("uin", uin.as_str())];
            accounts.add(&labels, 1.0);
        }
    }
    families.keep(accounts);
}

/// The accounts that have a scope, each with its totals where something was counted.
fn totals(board: &Board) -> Vec<(&AccountName, Option<&AccountTotals>)> {
    let mut accounts: Vec<_> = board.scopes().keys().map(|scope| &scope.account).collect();
    accounts.dedup();
    let totals = |account| (account, board.account_totals().get(account));
    accounts.into_iter().map(totals).collect()
}

fn passes(families: &mut Families, board: &Board) {
    let mut results = counter(
        "sharekeeper_reconcile_total",
        "Passes over the regions of an account, by result: synced, incomplete (retried, or a person must act), unseen, stopped (by newer manifests), panicked (a bug in sharekeeper).",
    );
    for (account, totals) in totals(board) {
        for result in PassResult::ALL {
            let count = totals.and_then(|totals| totals.passes.get(&result));
            let labels = [("account", account.as_str()), ("result", result.as_str())];
            results.add(&labels, count.copied().unwrap_or_default() as f64);
        }
    }
    families.keep(results);
    let mut took = histogram(
        "sharekeeper_reconcile_duration_seconds",
        "How long passes over an account and region took.",
    );
    took.add_durations(&[], &board.durations());
    families.keep(took);
    families.keep(each(
        gauge(
            "sharekeeper_last_reconcile_timestamp_seconds",
            "When the last pass ended, with any result, in seconds since 1970. 0: not since the process started.",
        ),
        board,
        |status| Some(status.passed_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_last_sync_timestamp_seconds",
            "When all images were last in the desired state, in seconds since 1970. 0: not since the process started.",
        ),
        board,
        |status| Some(status.synced_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_scope_stalled",
            "1 while an account and region is neither observed nor changed: several passes could not read it, or ended in a bug of sharekeeper. Missing otherwise.",
        ),
        board,
        |status| status.is_stalled().then_some(1.0),
    ));
}

fn observations(families: &mut Families, board: &Board) {
    families.keep(each(
        gauge(
            "sharekeeper_last_seen_timestamp_seconds",
            "When an account and region was last observed completely, in seconds since 1970. 0: not since the process started.",
        ),
        board,
        |status| Some(status.seen_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_scope_observed",
            "1 if the last observation of an account and region was complete. Missing before the first observation.",
        ),
        board,
        |status| status.view.as_ref().map(|view| flag(*view == View::Seen)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_consecutive_errors",
            "Passes in a row that could not observe the account and region. Missing where the last pass could.",
        ),
        board,
        |status| (status.unseen_passes > 0).then(|| f64::from(status.unseen_passes)),
    ));
    let mut rates = gauge(
        "sharekeeper_rate_limiter_rate",
        "Writes per second that the rate limiter allows for an access point now. It falls when the API throttles, and rises again by itself.",
    );
    // Regions behind one access point share its rate.
    let mut shown = BTreeSet::new();
    for (scope, status) in board.scopes() {
        let Some(bucket) = &status.write_bucket else {
            continue;
        };
        if shown.insert((&scope.account, &bucket.host)) {
            let labels = [("account", scope.account.as_str()), ("host", &bucket.host)];
            rates.add(&labels, bucket.per_second);
        }
    }
    families.keep(rates);
}

/// Suspensions and closed change windows, whether or not anything is due.
fn holds(families: &mut Families, board: &Board) {
    let mut suspensions = gauge(
        "sharekeeper_suspensions",
        "Suspensions in force that cover an account and region, whether or not anything is due there. Missing where there are none.",
    );
    for scope in board.scopes().keys() {
        let count = board.suspensions_of(scope);
        if count > 0 {
            suspensions.add(&labels(scope), count as f64);
        }
    }
    families.keep(suspensions);
    let mut closed = gauge(
        "sharekeeper_window_closed",
        "1 while the change windows of an account allow no change with this cause. Missing otherwise.",
    );
    for window in &board.holds().windows {
        for cause in &window.causes {
            let account = ("account", window.account.as_str());
            closed.add(&[account, ("cause", cause.as_str())], 1.0);
        }
    }
    families.keep(closed);
}

fn changes(families: &mut Families, board: &Board) {
    let mut changes = counter(
        "sharekeeper_changes_total",
        "Writes that were answered or may have arrived, by action and result: applied, already_shared, rejected, unknown (no answer).",
    );
    for (scope, status) in board.scopes() {
        for (permission, result) in CHANGES {
            let count = status.changes.get(&(permission, result));
            let [account, region] = labels(scope);
            let labels = [
                account,
                region,
                ("action", permission.as_str()),
                ("result", result.as_str()),
            ];
            changes.add(&labels, count.copied().unwrap_or_default() as f64);
        }
    }
    families.keep(changes);
    let mut applied = counter(
        "sharekeeper_applied_changes_total",
        "Writes that the API acknowledged in all regions of an account, by action and cause.",
    );
    for (account, totals) in totals(board) {
        for (permission, cause) in CAUSES {
            let count = totals.and_then(|totals| totals.applied.get(&(permission, cause)));
            let labels = [
                ("account", account.as_str()),
                ("action", permission.as_str()),
                ("cause", cause.as_str()),
            ];
            applied.add(&labels, count.copied().unwrap_or_default() as f64);
        }
    }
    families.keep(applied);
}

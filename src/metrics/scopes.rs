//! Metrics of accounts and regions: passes, observations, write rates and answered writes.

use std::collections::BTreeSet;

use super::family::{Families, Family, Label, counter, gauge, histogram, seconds};
use crate::model::Scope;
use crate::plan::View;
use crate::status::{Board, ScopeStatus};

/// Adds the metrics of all accounts and regions.
pub(super) fn families(families: &mut Families, board: &Board) {
    accounts(families, board);
    passes(families, board);
    observations(families, board);
    changes(families, board);
}

/// A series for each account and region for which there is a value.
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

/// Which root account a name stands for. The other series have the name alone as a label.
fn accounts(families: &mut Families, board: &Board) {
    let mut accounts = gauge(
        "sharekeeper_account_info",
        "1 for each account name, with the uin of the root account that it stands for. Missing while the uin is not known.",
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

fn passes(families: &mut Families, board: &Board) {
    let mut results = counter(
        "sharekeeper_reconcile_total",
        "Passes over an account and region, by how they ended: synced, incomplete (tried again, or a person must act), unseen, stopped (by newer manifests), panicked (a fault in sharekeeper).",
    );
    for (scope, status) in board.scopes() {
        for (result, count) in &status.passes {
            let [account, region] = labels(scope);
            let labels = [account, region, ("result", result.as_str())];
            results.add(&labels, *count as f64);
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
            "When the last pass ended, whatever came of it, in seconds since 1970. 0: not since the process began.",
        ),
        board,
        |status| Some(status.passed_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_last_sync_timestamp_seconds",
            "When all images were last as desired, in seconds since 1970. 0: not since the process began.",
        ),
        board,
        |status| Some(status.synced_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_scope_stalled",
            "1 while nothing is seen or done in an account and region: it was not seen for several passes, or a fault ended them.",
        ),
        board,
        |status| Some(flag(status.is_stalled())),
    ));
}

fn observations(families: &mut Families, board: &Board) {
    families.keep(each(
        gauge(
            "sharekeeper_last_seen_timestamp_seconds",
            "When an account and region was last seen whole, in seconds since 1970. 0: not since the process began.",
        ),
        board,
        |status| Some(status.seen_at.map_or(0.0, seconds)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_scope_observed",
            "1 if the last look at an account and region saw it whole. Missing before the first look.",
        ),
        board,
        |status| status.view.as_ref().map(|view| flag(*view == View::Seen)),
    ));
    families.keep(each(
        gauge(
            "sharekeeper_consecutive_errors",
            "Passes in a row that did not see the account and region.",
        ),
        board,
        |status| Some(f64::from(status.unseen_passes)),
    ));
    let mut rates = gauge(
        "sharekeeper_rate_limiter_rate",
        "Writes a second that are allowed to leave for an access point now. It falls where the API throttles, and rises again by itself.",
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

fn changes(families: &mut Families, board: &Board) {
    let mut changes = counter(
        "sharekeeper_changes_total",
        "Writes that were answered, by region, what they do, why, and what came of it.",
    );
    for (kind, count) in board.change_totals() {
        let labels = [
            ("region", kind.region.as_str()),
            ("action", kind.permission.as_str()),
            ("cause", kind.cause.as_str()),
            ("result", kind.result.as_str()),
        ];
        changes.add(&labels, *count as f64);
    }
    families.keep(changes);
}

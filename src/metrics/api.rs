//! Metrics of API calls: answers by region and by account, durations, waiting times and throttling. The possible answers
//! to each action are known in advance, so that every counter begins at 0.

use std::collections::BTreeSet;

use super::family::{Families, counter, gauge, histogram};
use crate::api::protocol::wire::Action;
use crate::api::{ActionStats, CallBreakdown, CallResult, CallStats};
use crate::model::Region;
use crate::status::Board;

/// Adds the metrics of all API calls.
pub(super) fn families(families: &mut Families, board: &Board, breakdown: &CallBreakdown) {
    requests(families, board, breakdown);
    of_accounts(families, board, breakdown);
    let mut took = histogram(
        "sharekeeper_api_request_duration_seconds",
        "Time from sending an API call until its reply arrived or the call was given up.",
    );
    let mut waited = histogram(
        "sharekeeper_rate_limiter_wait_seconds",
        "How long calls waited before they were sent, to stay within the API's rate limit.",
    );
    let mut queue = gauge(
        "sharekeeper_queue_depth",
        "Calls that are waiting now for the rate limiter to let them leave.",
    );
    let mut throttled = counter(
        "sharekeeper_throttled_total",
        "Calls that the API refused because the rate was exceeded. The console and other tools share this quota.",
    );
    let none = ActionStats::default();
    for action in Action::ALL {
        let breakdown = breakdown.actions.get(&action).unwrap_or(&none);
        let label = [("action", action.as_str())];
        took.add_durations(&label, &breakdown.took);
        waited.add_durations(&label, &breakdown.waited);
        queue.add(&label, breakdown.queue as f64);
        throttled.add(&label, breakdown.throttled as f64);
    }
    for family in [took, waited, queue, throttled] {
        families.keep(family);
    }
    families.keep(
        counter(
            "sharekeeper_retries_total",
            "Read calls that were repeated after a failure.",
        )
        .with(&[], breakdown.retries as f64),
    );
}

/// One series for each region that manifests name or that was called.
fn requests(families: &mut Families, board: &Board, breakdown: &CallBreakdown) {
    let counts = &breakdown.requests;
    let named = board.scopes().keys().map(|scope| scope.region);
    let called = counts.keys().map(|(_, region, _)| *region);
    let regions: BTreeSet<Region> = named.chain(called).collect();
    let mut requests = counter(
        "sharekeeper_api_requests_total",
        "API calls that ended, by action, region and answer: ok, an error code or its family, no_reply, not_sent (no connection), other.",
    );
    for action in Action::ALL {
        for region in &regions {
            for code in CallStats::answers(action) {
                let count = counts.get(&(action, *region, code));
                let labels = [
                    ("action", action.as_str()),
                    ("region", region.as_str()),
                    ("code", code),
                ];
                requests.add(&labels, count.copied().unwrap_or_default() as f64);
            }
        }
    }
    families.keep(requests);
}

/// One series for each account that manifests name.
fn of_accounts(families: &mut Families, board: &Board, breakdown: &CallBreakdown) {
    let mut requests = counter(
        "sharekeeper_account_requests_total",
        "API calls that ended, by account and result: ok, refused, throttled, failed (no connection, no reply, or a fault of the API).",
    );
    let accounts: BTreeSet<_> = board.scopes().keys().map(|scope| &scope.account).collect();
    for account in accounts {
        for result in CallResult::ALL {
            let count = breakdown.accounts.get(&(account.clone(), result));
            let labels = [("account", account.as_str()), ("result", result.as_str())];
            requests.add(&labels, count.copied().unwrap_or_default() as f64);
        }
    }
    families.keep(requests);
}

//! Metrics of calls of the API: answers, durations, waiting and throttling.

use super::family::{Families, counter, gauge, histogram};
use crate::api::CallBreakdown;

/// Adds the metrics of all calls.
pub(super) fn families(families: &mut Families, breakdown: &CallBreakdown) {
    let mut requests = counter(
        "sharekeeper_api_requests_total",
        "Calls of the API that ended, by action, region and answer: ok, an error code or its family, no_reply, not_sent (no connection), other.",
    );
    for ((action, region, code), count) in &breakdown.requests {
        let labels = [
            ("action", action.as_str()),
            ("region", region.as_str()),
            ("code", code),
        ];
        requests.add(&labels, *count as f64);
    }
    families.keep(requests);

    let mut took = histogram(
        "sharekeeper_api_request_duration_seconds",
        "From when a call of the API left until its reply was there, or was given up.",
    );
    let mut waited = histogram(
        "sharekeeper_rate_limiter_wait_seconds",
        "How long calls waited for their turn, so that the API's rate limit holds.",
    );
    let mut queue = gauge(
        "sharekeeper_queue_depth",
        "Calls that wait for their turn now.",
    );
    let mut throttled = counter(
        "sharekeeper_throttled_total",
        "Calls that the API refused because the rate was exceeded. The console and other tools share the quota.",
    );
    for (action, breakdown) in &breakdown.actions {
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
            "Calls that change nothing and were made again after a failure.",
        )
        .with(&[], breakdown.retries as f64),
    );
}

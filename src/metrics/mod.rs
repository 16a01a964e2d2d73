//! BOARD + CALLS → `/metrics`, in the text format 0.0.4 of Prometheus. Pure: values that only the process can know, such
//! as its memory, are arguments.
//!
//! Labels come from closed sets and from the configuration: accounts, regions, access points, webhooks. A label never
//! holds an image's id or a message, so that the number of series grows neither with the images nor with errors.

mod api;
mod family;
mod images;
mod scopes;

use chrono::TimeDelta;
use prometheus::TextEncoder;

use crate::api::CallBreakdown;
use crate::host::ProcessCounts;
use crate::model::Timestamp;
use crate::status::{Board, ManifestsStatus, StateStatus};

use family::{Families, Family, counter, gauge, seconds};
use scopes::flag;

/// The `Content-Type` of [`metrics`].
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is shown besides the board and the calls.
#[derive(Clone, Copy, Debug)]
pub struct MetricsExtra<'a> {
    /// Whether `/readyz` answers that the daemon is ready.
    pub ready: bool,
    /// The clock offset of the access point whose clock differs most (`ApiClocks::largest_offset`).
    pub clock_offset: TimeDelta,
    /// Deliveries to each webhook, whose names are unique.
    pub webhooks: &'a [WebhookCounts<'a>],
    /// Log lines that were dropped because nobody read the log.
    pub log_dropped: u64,
    /// Counts of the process by the operating system, where it gives them.
    pub process: Option<ProcessCounts>,
}

/// Deliveries to one webhook since the process started, by result.
#[derive(Clone, Copy, Debug)]
pub struct WebhookCounts<'a> {
    pub name: &'a str,
    pub sent: u64,
    /// Deliveries given up after retries.
    pub failed: u64,
    /// Deliveries never tried, because too many were already waiting.
    pub dropped: u64,
}

/// Renders all metrics in the text format of Prometheus.
pub fn metrics(
    board: &Board,
    calls: &CallBreakdown,
    extra: &MetricsExtra<'_>,
    now: Timestamp,
) -> String {
    let mut families = Families::default();
    process(&mut families, board, extra);
    state(&mut families, board.state());
    manifests(&mut families, board.manifests());
    scopes::families(&mut families, board);
    images::families(&mut families, board, now);
    api::families(&mut families, board, calls);
    webhooks(&mut families, extra.webhooks);
    // The encoder fails only where a family is empty or has no name, and `Families` keeps neither.
    TextEncoder::new()
        .encode_to_string(&families.into_vec())
        .unwrap_or_default()
}

fn process(families: &mut Families, board: &Board, extra: &MetricsExtra<'_>) {
    families.keep(
        gauge(
            "sharekeeper_build_info",
            "The running version and the commit that it was built from. Always 1.",
        )
        .with(
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("commit", env!("BUILD_COMMIT")),
            ],
            1.0,
        ),
    );
    families.keep(
        gauge(
            "sharekeeper_ready",
            "1 while /readyz answers 200: manifests are loaded, everything that they name was observed once, and at least one account and region can be read.",
        )
        .with(&[], flag(extra.ready)),
    );
    families.keep(
        gauge(
            "sharekeeper_observe_only",
            "1 where the daemon never writes, because it runs with --observe-only.",
        )
        .with(&[], flag(board.observe_only())),
    );
    families.keep(
        gauge(
            "sharekeeper_clock_offset_seconds",
            "The clock of the access point that differs most, minus this machine's clock, according to the last replies.",
        )
        .with(&[], extra.clock_offset.num_milliseconds() as f64 / 1e3),
    );
    families.keep(
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
        )
        .with(&[], seconds(board.started())),
    );
    families.keep(
        counter(
            "sharekeeper_log_dropped_total",
            "Log lines that were dropped, because nobody read the log and its buffer was full.",
        )
        .with(&[], extra.log_dropped as f64),
    );
    let Some(process) = extra.process else {
        return;
    };
    families.keep(
        gauge(
            "process_resident_memory_bytes",
            "Memory that the process uses.",
        )
        .with(&[], process.resident_bytes as f64),
    );
    families.keep(
        counter(
            "process_cpu_seconds_total",
            "Processor time that the process has used.",
        )
        .with(&[], process.cpu.as_secs_f64()),
    );
}

fn state(families: &mut Families, state: &StateStatus) {
    families.keep(
        gauge(
            "sharekeeper_state_lost",
            "1 while the state cannot be written, and from when the state directory holds another state: sharekeeper writes nothing then.",
        )
        .with(&[], flag(state.lost.is_some())),
    );
    families.keep(
        gauge(
            "sharekeeper_state_log_held",
            "1 while another process prevents the write-ahead log of the state from being written back, and the log is large; /status.json names the process.",
        )
        .with(&[], flag(state.warning.is_some())),
    );
}

fn manifests(families: &mut Families, manifests: &ManifestsStatus) {
    families.keep(
        gauge(
            "sharekeeper_source_broken",
            "1 while the manifests or their source cannot be used. The last good manifests stay in force meanwhile.",
        )
        .with(
            &[],
            flag(manifests.broken_since.is_some()),
        ),
    );
    families.keep(
        counter(
            "sharekeeper_source_errors_total",
            "Times that the manifests or their source could not be used.",
        )
        .with(&[], manifests.errors as f64),
    );
    families.keep(
        gauge(
            "sharekeeper_source_images",
            "Images that the manifests name, in all accounts and regions.",
        )
        .with(&[], manifests.images as f64),
    );
    let mut loaded = gauge(
        "sharekeeper_source_loaded_timestamp_seconds",
        "When the manifests in force were loaded, in seconds since 1970. Missing until valid manifests were loaded once.",
    );
    if let Some(at) = manifests.loaded_at {
        loaded.add(&[], seconds(at));
    }
    families.keep(loaded);
    let mut info = gauge(
        "sharekeeper_source_info",
        "The git commit of the manifests in force. Always 1; missing where it is not known.",
    );
    if let Some(commit) = &manifests.commit {
        info.add(&[("commit", commit)], 1.0);
    }
    families.keep(info);
}

fn webhooks(families: &mut Families, webhooks: &[WebhookCounts<'_>]) {
    let each = |mut family: Family, count: fn(&WebhookCounts<'_>) -> u64| {
        for webhook in webhooks {
            family.add(&[("webhook", webhook.name)], count(webhook) as f64);
        }
        family
    };
    families.keep(each(
        counter(
            "sharekeeper_notices_sent_total",
            "Notices that a webhook accepted.",
        ),
        |webhook| webhook.sent,
    ));
    families.keep(each(
        counter(
            "sharekeeper_notices_failed_total",
            "Notices that were given up after retries, because a webhook did not accept them.",
        ),
        |webhook| webhook.failed,
    ));
    families.keep(each(
        counter(
            "sharekeeper_notices_dropped_total",
            "Notices that were never sent, because too many were already waiting for a webhook.",
        ),
        |webhook| webhook.dropped,
    ));
}

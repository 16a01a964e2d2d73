//! BOARD + CALLS → `/metrics`, in the text format 0.0.4 of Prometheus. Pure: what only the process can know, such as
//! its memory, is an argument.
//!
//! Labels come from closed sets and from what is configured: accounts, regions, access points, webhooks. Never an
//! image's id, never a message: the number of series does not grow with the images, nor with what goes wrong.

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
    /// Whether `/readyz` says yes.
    pub ready: bool,
    /// The offset of the access point's clock that is furthest off (`ApiClocks::largest_offset`).
    pub clock_offset: TimeDelta,
    /// Deliveries to each webhook. Names are unique.
    pub webhooks: &'a [WebhookCounts<'a>],
    /// Lines of the log that were dropped, because nobody read it.
    pub log_dropped: u64,
    /// What the operating system says of the process, where it says anything.
    pub process: Option<ProcessCounts>,
}

/// Deliveries to one webhook since the process began, by how they ended.
#[derive(Clone, Copy, Debug)]
pub struct WebhookCounts<'a> {
    pub name: &'a str,
    pub sent: u64,
    /// Given up after retries.
    pub failed: u64,
    /// Never tried, because too many were waiting.
    pub dropped: u64,
}

/// Everything that is measured, in the text format of Prometheus.
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
            "The version that runs, and the commit that it was built from. Always 1.",
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
            "1 where /readyz says yes: there are manifests, all that they name was looked at once, and something can be seen.",
        )
        .with(&[], flag(extra.ready)),
    );
    families.keep(
        gauge(
            "sharekeeper_observe_only",
            "1 where nothing is ever written, because the daemon runs with --observe-only.",
        )
        .with(&[], flag(board.observe_only())),
    );
    families.keep(
        gauge(
            "sharekeeper_clock_offset_seconds",
            "The clock of the access point that is furthest off minus that of this machine, as the last replies tell it.",
        )
        .with(&[], extra.clock_offset.num_milliseconds() as f64 / 1e3),
    );
    families.keep(
        gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
        )
        .with(&[], seconds(board.started())),
    );
    families.keep(
        counter(
            "sharekeeper_log_dropped_total",
            "Lines of the log that were dropped, because nobody read it and no more of them could wait.",
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
            "1 while the state cannot be written, and once it is not the one in the directory: nothing is done.",
        )
        .with(&[], flag(state.lost.is_some())),
    );
    families.keep(
        gauge(
            "sharekeeper_state_log_held",
            "1 while another process keeps the log of the state from being written back, and the log is large; /status.json names the process.",
        )
        .with(&[], flag(state.warning.is_some())),
    );
}

fn manifests(families: &mut Families, manifests: &ManifestsStatus) {
    families.keep(
        gauge(
            "sharekeeper_source_broken",
            "1 while the manifests, or where they come from, cannot be used. The last good ones are worked on meanwhile.",
        )
        .with(
            &[],
            flag(manifests.broken_since.is_some()),
        ),
    );
    families.keep(
        counter(
            "sharekeeper_source_errors_total",
            "Times that the manifests, or where they come from, could not be used.",
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
        "When the manifests that are worked on were loaded, in seconds since 1970. Missing where there were never good ones.",
    );
    if let Some(at) = manifests.loaded_at {
        loaded.add(&[], seconds(at));
    }
    families.keep(loaded);
    let mut info = gauge(
        "sharekeeper_source_info",
        "The git commit of the manifests that are worked on. Always 1; missing where it is not known.",
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
            "Notices that a webhook has taken.",
        ),
        |webhook| webhook.sent,
    ));
    families.keep(each(
        counter(
            "sharekeeper_notices_failed_total",
            "Notices that were given up, because a webhook did not take them.",
        ),
        |webhook| webhook.failed,
    ));
    families.keep(each(
        counter(
            "sharekeeper_notices_dropped_total",
            "Notices that were never tried, because too many were waiting for a webhook.",
        ),
        |webhook| webhook.dropped,
    ));
}

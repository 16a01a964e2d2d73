//! `/metrics` itself.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sharekeeper::api::CallBreakdown;
use sharekeeper::metrics::{MetricsExtra, metrics};
use sharekeeper::model::Region;
use sharekeeper::status::{Activity, Board, PassResult, Reason};

use super::boards::{board, calls, extra, now, reasons, scope};

/// Lines that are a value.
fn series(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// The value of the series that is written so.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}"))
        .parse()
        .expect("a number")
}

#[test]
fn a_small_board_is_shown_to_the_letter() {
    let shown = metrics(&board(1, 62), &calls(1), &extra(), now());
    let shown = shown.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let golden = super::path("tests/monitoring/metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &shown).expect("can be written");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(shown, expected, "set UPDATE_GOLDEN=1 to write it anew");
}

#[test]
fn o3_no_trouble_makes_the_number_of_series_grow() {
    let regions = Region::all().len();
    let few = metrics(&board(regions, 62), &calls(regions), &extra(), now());
    let many = board(regions, 2_000);
    let all: BTreeSet<_> = Reason::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&reasons(&many)).copied().collect();
    // What is in sync for these reasons, or is not decided by a guard, is no trouble.
    assert_eq!(missing, [Reason::Expired], "the board shows every trouble");
    let many = metrics(&many, &calls(regions), &extra(), now());
    let count = series(&many).len();
    assert!(count < 2_500, "{count} series");
    assert_eq!(count, series(&few).len(), "images make no series");
    for forbidden in ["img-", "lhbp-", "req-1", "Brand", "evil", "A.B", "\u{202e}"] {
        assert!(!many.contains(forbidden), "{forbidden}");
    }
    let names: BTreeSet<_> = series(&many)
        .iter()
        .map(|line| line.rsplit_once(' ').expect("a value").0)
        .collect();
    assert_eq!(names.len(), count, "each series is there once");
}

#[test]
fn every_metric_says_what_it_is() {
    let shown = metrics(&board(1, 62), &calls(1), &extra(), now());
    let mut lines = shown.lines().peekable();
    let mut families = 0;
    while let Some(line) = lines.next() {
        let Some(help) = line.strip_prefix("# HELP ") else {
            continue;
        };
        families += 1;
        let (name, help) = help.split_once(' ').expect("a name and words");
        assert!(help.ends_with('.') && help.len() > 15, "{name}: {help}");
        let kind = lines.peek().and_then(|line| line.strip_prefix("# TYPE "));
        let kind = kind
            .and_then(|kind| kind.strip_prefix(name))
            .expect("a type");
        assert_eq!(kind == " counter", name.ends_with("_total"), "{name}{kind}");
    }
    assert!(families > 40, "{families}");
}

#[test]
fn a_board_of_which_nothing_is_known_yet_shows_what_there_is() {
    let nothing = MetricsExtra {
        ready: false,
        clock_offset: TimeDelta::zero(),
        webhooks: &[],
        process: None,
    };
    let mut board = Board::new(now(), true);
    board.pass_began(&scope(Region::new("ap-tokyo").expect("a region")), now());
    board.state_lost("the state was removed".into(), now());
    let shown = metrics(&board, &CallBreakdown::default(), &nothing, now());
    let of = "{account=\"default\",region=\"ap-tokyo\"}";
    for (series, expected) in [
        ("sharekeeper_ready".to_owned(), 0.0_f64),
        ("sharekeeper_observe_only".to_owned(), 1.0),
        ("sharekeeper_source_broken".to_owned(), 0.0),
        ("sharekeeper_state_lost".to_owned(), 1.0),
        // Never is 0, not missing, so that an alert sees it.
        (format!("sharekeeper_last_sync_timestamp_seconds{of}"), 0.0),
        (format!("sharekeeper_guard_tripped{of}"), 0.0),
    ] {
        assert_eq!(
            value(&shown, &series).to_bits(),
            expected.to_bits(),
            "{series}"
        );
    }
    for missing in [
        "sharekeeper_scope_observed",
        "sharekeeper_source_info",
        "process_resident_memory_bytes",
        "sharekeeper_notices_sent_total",
    ] {
        assert!(!shown.contains(missing), "{missing}");
    }
}

#[test]
fn images_that_stand_somewhere_are_counted_once() {
    let board = board(1, 220);
    let shown = metrics(&board, &calls(1), &extra(), now());
    let sum = |start: &str| -> f64 {
        let lines = shown.lines().filter(|line| line.starts_with(start));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    };
    let state = |state: &str| {
        value(
            &shown,
            &format!(
                "sharekeeper_images{{account=\"default\",region=\"ap-bangkok\",state=\"{state}\"}}"
            ),
        )
    };
    let same = |a: f64, b: f64| assert_eq!(a.to_bits(), b.to_bits(), "{a} and {b}");
    same(sum("sharekeeper_images{"), 220.0);
    same(sum("sharekeeper_desired_shares{"), 220.0);
    same(sum("sharekeeper_blocked{"), state("blocked"));
    same(sum("sharekeeper_skipped{"), state("withheld"));
    same(sum("sharekeeper_pending_changes{"), state("pending"));
    assert!(state("unknown") > 0.0 && state("waiting") > 0.0 && state("in_sync") > 0.0);
}

#[test]
fn counters_do_not_fall_when_a_scope_is_given_up() {
    let mut board = board(2, 10);
    let count = "sharekeeper_reconcile_duration_seconds_count";
    let before = value(&metrics(&board, &calls(1), &extra(), now()), count);
    let kept = scope(Region::all().next().expect("a region"));
    board.retain_scopes(|scope| *scope == kept, now());
    let rest = Activity::Idle { next: now() };
    board.pass_ended(
        &kept,
        PassResult::Synced,
        std::time::Duration::ZERO,
        rest,
        now(),
    );
    let after = value(&metrics(&board, &calls(1), &extra(), now()), count);
    assert_eq!(
        after.to_bits(),
        (before + 1.0).to_bits(),
        "{before}, {after}"
    );
}

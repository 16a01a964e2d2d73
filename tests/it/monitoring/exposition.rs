//! Tests the text of `/metrics`: its format, its values, and a bound for the number of series.

use crate::support::cloud::live::scope;
use std::collections::BTreeSet;

use chrono::TimeDelta;
use sharekeeper::api::error::CallError;
use sharekeeper::api::protocol::wire::Action;
use sharekeeper::api::{CallBreakdown, CallStats};
use sharekeeper::metrics::{MetricsExtra, metrics};
use sharekeeper::model::{AccountName, Region, Scope};
use sharekeeper::status::{Activity, Board, Holds, PassResult, Reason};

use super::boards::{bad_day, board, calls, calm, every_kind, extra, held, now, reasons};

/// The lines that hold a value.
fn series(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// The value of the series that is written exactly like `series`.
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
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let shown = shown.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let commit = concat!("commit=\"", env!("BUILD_COMMIT"), "\"");
    let shown = shown.replace(commit, "commit=\"COMMIT\"");
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
    let few = metrics(&board(regions, 620), &calls(regions), &extra(), now());
    let many = board(regions, 2_000);
    let all: BTreeSet<_> = Reason::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&reasons(&many)).copied().collect();
    // An image with this reason is in sync or no guard decides about it, so it is not trouble.
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
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
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
        log_dropped: 0,
        process: None,
    };
    let mut board = Board::new(now(), true);
    board.pass_began(&scope("ap-tokyo"), now());
    board.state_lost("the state was removed".into(), now());
    let shown = metrics(&board, &CallBreakdown::default(), &nothing, now());
    let of = "{account=\"default\",region=\"ap-tokyo\"}";
    for (series, expected) in [
        ("sharekeeper_ready".to_owned(), 0.0_f64),
        ("sharekeeper_observe_only".to_owned(), 1.0),
        ("sharekeeper_source_broken".to_owned(), 0.0),
        ("sharekeeper_state_lost".to_owned(), 1.0),
        // A time that never occurred is 0 and not missing, so that an alert can see it.
        (format!("sharekeeper_last_sync_timestamp_seconds{of}"), 0.0),
    ] {
        assert_eq!(
            value(&shown, &series).to_bits(),
            expected.to_bits(),
            "{series}"
        );
    }
    for missing in [
        "sharekeeper_scope_observed",
        "sharekeeper_guard_tripped{",
        "sharekeeper_source_info",
        "process_resident_memory_bytes",
        "sharekeeper_notices_sent_total",
    ] {
        assert!(!shown.contains(missing), "{missing}");
    }
}

/// Suspensions are counted even if nothing is due, and whatever the verdicts of the suspended images are.
#[test]
fn n2_suspensions_are_counted_in_each_scope_that_they_reach() {
    let mut board = Board::new(now(), false);
    let [calm_scope, other] = [Region::first(), Region::all().last().expect("a region")]
        .map(|region| scope(region.as_str()));
    calm(&mut board, &calm_scope, 3, 1);
    calm(&mut board, &other, 1, 1);
    let shown = |board: &Board| metrics(board, &calls(1), &extra(), now());
    assert!(!shown(&board).contains("sharekeeper_suspensions"));
    held(&mut board);
    let text = shown(&board);
    let lines: Vec<_> = series(&text)
        .into_iter()
        .filter(|line| line.contains("_suspen") || line.contains("window_closed"))
        .collect();
    // Only the first scope has the suspended image.
    assert_eq!(
        lines,
        [
            "sharekeeper_suspensions{account=\"default\",region=\"ap-bangkok\"} 1",
            "sharekeeper_window_closed{account=\"default\",cause=\"pruned\"} 1",
        ]
    );
    board.holds_now(Holds::default());
    assert!(!shown(&board).contains("sharekeeper_suspensions"));
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
    let kept = scope(Region::first().as_str());
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
    let of_account = |name: &str, labels: &str| {
        let shown = metrics(&board, &calls(1), &extra(), now());
        value(&shown, &format!("{name}{{account=\"default\",{labels}}}"))
    };
    let synced = of_account("sharekeeper_reconcile_total", "result=\"synced\"");
    assert_eq!(
        synced.to_bits(),
        3.0_f64.to_bits(),
        "of both scopes, and one more"
    );
    let labels = "action=\"CANCEL\",cause=\"expired\"";
    let applied = of_account("sharekeeper_applied_changes_total", labels);
    assert_eq!(applied.to_bits(), 2.0_f64.to_bits());
}

/// The series of a scope: those with its account and its region as labels.
fn of_scope<'t>(text: &'t str, account: &str, region: &str) -> Vec<&'t str> {
    let labels = format!("{{account=\"{account}\",region=\"{region}\"");
    let series = series(text).into_iter();
    series.filter(|line| line.contains(&labels)).collect()
}

#[test]
fn n3_a_scope_has_few_series_and_as_many_as_things_are_wrong() {
    let mut board = Board::new(now() - TimeDelta::hours(6), false);
    let calm_scope = scope(Region::first().as_str());
    calm(&mut board, &calm_scope, 2_000, 1);
    let shown = metrics(&board, &CallBreakdown::default(), &extra(), now());
    let at_rest = of_scope(&shown, "default", "ap-bangkok");
    let bytes: usize = at_rest.iter().map(|line| line.len() + 1).sum();
    assert!(at_rest.len() <= 20, "{}: {at_rest:#?}", at_rest.len());
    assert!(bytes <= 1_800, "{bytes} bytes");
    // Images that should be shared and images that should not be are blocked, withheld, pending and drifted at the
    // same time.
    let mut board = Board::new(now() - TimeDelta::hours(6), false);
    bad_day(&mut board, &calm_scope);
    held(&mut board);
    let shown = metrics(&board, &CallBreakdown::default(), &extra(), now());
    let on_a_bad_day = of_scope(&shown, "default", "ap-bangkok");
    assert!(
        on_a_bad_day.len() <= 25,
        "{}: {on_a_bad_day:#?}",
        on_a_bad_day.len()
    );
    // This board has every reason, every owner and every hour at once, which is impossible for a real scope.
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let worst = of_scope(&shown, "default", "ap-bangkok");
    assert!(worst.len() <= 60, "{}: {worst:#?}", worst.len());
}

#[test]
fn n3_what_is_said_of_a_scope_has_its_account_and_its_region() {
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let mut names = BTreeSet::new();
    for line in series(&shown) {
        let (name, labels) = line.split_once(['{', ' ']).expect("a value");
        names.insert(name);
        // These metrics are about an account in all regions, a region of all accounts, or the process.
        let is_of_scope = !name.starts_with("process_")
            && ![
                "account_info",
                "account_requests",
                "api_re",
                "applied_changes",
                "build_info",
                "clock_offset",
                "log_dropped",
                "notices_",
                "observe_only",
                "queue_depth",
                "rate_limiter",
                "ready",
                "log_dropped_",
                "reconcile_",
                "retries_total",
                "source_",
                "state_",
                "throttled_total",
                "window_closed",
            ]
            .iter()
            .any(|start| name["sharekeeper_".len()..].starts_with(start));
        let has_both = labels.starts_with("account=\"") && labels.contains("\",region=\"");
        assert_eq!(is_of_scope, has_both, "{line}");
    }
    for name in ["changes_total", "blocked", "skipped", "expiring_shares"] {
        assert!(names.contains(&*format!("sharekeeper_{name}")), "{name}");
    }
}

#[test]
fn n3_calls_are_counted_for_each_account_from_0_on_and_for_no_scope() {
    let [busy, failing, gone] =
        ["busy", "failing", "gone"].map(|name| AccountName::new(name).expect("a name"));
    let regions = [Region::first(), Region::new("ap-tokyo").expect("a region")];
    let mut board = Board::new(now(), false);
    for account in [&busy, &failing] {
        let scopes = regions.map(|region| Scope {
            account: account.clone(),
            region,
        });
        board.add_scopes(scopes.iter());
    }
    let stats = CallStats::default();
    let lines = |stats: &CallStats| {
        let shown = metrics(&board, &stats.breakdown(), &extra(), now());
        let start = "sharekeeper_account_requests_total{";
        let of_accounts = series(&shown).into_iter();
        let of_accounts = of_accounts.filter_map(|line| line.strip_prefix(start));
        of_accounts.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = |counts: [(&str, [u64; 4]); 2]| {
        let results = ["ok", "refused", "throttled", "failed"];
        let of = |(account, counts): (&str, [u64; 4])| {
            let account = account.to_owned();
            results.into_iter().zip(counts).map(move |(result, count)| {
                format!("account=\"{account}\",result=\"{result}\"}} {count}")
            })
        };
        counts.into_iter().flat_map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&stats),
        expected([("busy", [0; 4]), ("failing", [0; 4])])
    );
    for region in regions {
        let action = Action::DescribeBlueprints;
        let lost = CallError::Unclear("no reply".into());
        stats.ended(&busy, action, region, None);
        stats.ended(&failing, action, region, Some(&lost));
        // No manifest names this account any longer.
        stats.ended(&gone, action, region, None);
    }
    assert_eq!(
        lines(&stats),
        expected([("busy", [2, 0, 0, 0]), ("failing", [0, 0, 0, 2])])
    );
}

#[test]
fn n3_actual_shares_are_missing_where_nothing_was_seen() {
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let of = |account: &str| {
        let metric = "sharekeeper_actual_shares{";
        let lines = of_scope(&shown, account, "ap-bangkok").into_iter();
        lines.filter(|line| line.starts_with(metric)).count()
    };
    let counts = ["calm", "denied", "default", "lost"].map(of);
    assert_eq!(counts, [1, 0, 0, 0]);
}

#[test]
fn r10_counts_of_known_kinds_begin_at_0_in_each_region_of_the_manifests() {
    let mut board = Board::new(now(), false);
    let named = ["ap-tokyo", "ap-seoul"].map(scope);
    board.add_scopes(named.iter());
    let shown = metrics(&board, &CallBreakdown::default(), &extra(), now());
    let zeros: BTreeSet<_> = series(&shown)
        .into_iter()
        .filter_map(|line| line.strip_suffix(" 0"))
        .collect();
    // Later events in a region that manifests name must not create new series.
    let mut later = Board::new(now(), false);
    later.add_scopes(named.iter());
    for scope in &named {
        super::boards::every_change(&mut later, scope);
        for result in PassResult::ALL {
            let rest = Activity::Idle { next: now() };
            later.pass_ended(scope, result, std::time::Duration::ZERO, rest, now());
        }
    }
    let calls = super::boards::calls_of(&[named[0].region, named[1].region]);
    let shown = metrics(&later, &calls, &extra(), now());
    let mut counted = 0;
    for line in series(&shown) {
        let (series, _) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        let of_process = ["process_", "_notices_", "_log_dropped_"]
            .iter()
            .any(|part| name.contains(part));
        if name.ends_with("_total") && !of_process {
            assert!(zeros.contains(series), "{series} does not begin at 0");
            counted += usize::from(!line.ends_with(" 0"));
        }
    }
    assert!(counted > 150, "{counted}");
    let all: f64 = [
        "sharekeeper_changes_total",
        "sharekeeper_applied_changes_total",
    ]
    .map(|name| {
        let lines = shown.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    })
    .iter()
    .sum();
    // For each of the two scopes: seven kinds with four results, of which CANCEL has only three, and seven
    // acknowledged writes.
    assert_eq!(
        all.to_bits(),
        f64::from(2 * (2 * 4 + 5 * 3 + 7)).to_bits(),
        "{all}"
    );
}

#[test]
fn n3_a_fleet_of_3000_scopes_is_shown_in_few_bytes() {
    const SCOPES: usize = 3_000;
    let mut board = Board::new(now() - TimeDelta::hours(6), false);
    for account in 0..SCOPES / Region::all().len() {
        for region in Region::all() {
            let scope = Scope {
                account: AccountName::new(&format!("team-{account}")).expect("a name"),
                region,
            };
            calm(&mut board, &scope, 5, 1);
        }
    }
    let shown = metrics(&board, &calls(Region::all().len()), &extra(), now());
    let per_scope = shown.len() / SCOPES;
    assert!(per_scope <= 2_000, "{per_scope} bytes for each scope");
    assert!(series(&shown).len() <= SCOPES * 22 + 2_000);
}

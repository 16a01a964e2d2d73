//! Tests the counters that the real HTTP clients increment while they work.

use std::cell::Cell;

use chrono::TimeDelta;
use sharekeeper::api::CallResult;
use sharekeeper::api::protocol::wire::Action;
use sharekeeper::host::Clock;
use sharekeeper::metrics::{MetricsExtra, metrics};
use sharekeeper::model::{AccountName, Region};
use sharekeeper::status::Board;

use super::boards::{extra, now};
use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, desired};

#[tokio::test(start_paused = true)]
async fn each_call_is_counted_once_by_its_answer() {
    let world = World::new(1, REGIONAL);
    for n in 0..40 {
        world.cloud().add("ap-tokyo", &id(n), false);
    }
    let (reads, writes) = (Cell::new(0), Cell::new(0));
    let nth = |count: &Cell<u32>| count.replace(count.get() + 1);
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| match action {
            "DescribeBlueprints" if nth(&reads) == 0 => Some("InternalError.Brand.New"),
            "ModifyImageSharePermission" if nth(&writes) == 2 => Some("RequestLimitExceeded"),
            _ => None,
        }),
        ..Behaviour::default()
    });
    let wanted = desired((0..40).map(|n| ("ap-tokyo", id(n), true)));
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);

    let calls = &world.context.calls;
    let (breakdown, region) = (
        calls.breakdown(),
        Region::new("ap-tokyo").expect("a region"),
    );
    let (read, write) = (
        Action::DescribeBlueprints,
        Action::ModifyImageSharePermission,
    );
    let ended = |action, code| breakdown.requests.get(&(action, region, code)).copied();
    assert_eq!(ended(read, "InternalError"), Some(1));
    assert_eq!(ended(write, "RequestLimitExceeded"), Some(1));
    assert_eq!(ended(write, "ok"), Some(40));
    assert_eq!(breakdown.retries, 1, "the listing; writes are no reads");
    assert_eq!(
        (calls.throttled.get(), breakdown.actions[&write].throttled),
        (1, 1)
    );
    assert_eq!(breakdown.actions[&read].throttled, 0);
    let of_account = |result| {
        let key = (AccountName::default(), result);
        breakdown.accounts.get(&key).copied().unwrap_or_default()
    };
    let of_account = CallResult::ALL.map(of_account);
    let all: u64 = breakdown.requests.values().sum();
    assert_eq!(of_account, [all - 2, 0, 1, 1]);
    assert_eq!(all, calls.reads.get() + calls.writes.get());
    for (action, breakdown) in &breakdown.actions {
        assert_eq!(breakdown.queue, 0, "{action:?}: nobody waits any longer");
        assert_eq!(breakdown.took.count, breakdown.waited.count, "{action:?}");
    }
    let waited = &breakdown.actions[&write].waited;
    assert_eq!(waited.count, calls.writes.get());
    assert!(!waited.sum.is_zero(), "41 writes do not leave at once");
}

#[tokio::test(start_paused = true)]
async fn r6_the_offset_of_the_clock_is_what_replies_say_however_small() {
    for seconds in [0, 10, -10, 120, 290, -120, 310] {
        let world = World::new(1, REGIONAL);
        world.cloud().add("ap-tokyo", &id(0), false);
        world.behave(Behaviour {
            clock_offset: TimeDelta::seconds(seconds),
            ..Behaviour::default()
        });
        let wanted = desired([("ap-tokyo", id(0), true)]);
        world.reconcile(&wanted).await;
        let (context, cloud) = (&world.context, world.cloud());
        let extra = MetricsExtra {
            clock_offset: context
                .clocks
                .largest_offset(context.now(), cloud.monotonic()),
            ..extra()
        };
        let shown = metrics(
            &Board::new(now(), false),
            &context.calls.breakdown(),
            &extra,
            now(),
        );
        let line = shown
            .lines()
            .find_map(|line| line.strip_prefix("sharekeeper_clock_offset_seconds "));
        let offset: f64 = line.expect("is shown").parse().expect("a number");
        assert!(
            (offset - seconds as f64).abs() <= 1.0,
            "{seconds}: {offset}"
        );
    }
}

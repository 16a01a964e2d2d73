//! Tests when `/readyz` succeeds: as soon as all scopes were observed, however long the writes take, and whatever is
//! added to the manifests later.

use super::scrapes::shown;
use crate::support::cloud::live::{Live, reconciling, scope};
use crate::support::cloud::world::{REGIONAL, World};
use crate::support::cloud::{Behaviour, Fault};

const TOKYO: &str = "ap-tokyo";
const SEOUL: &str = "ap-seoul";
const WRITE: &str = "ModifyImageSharePermission";

fn ready(live: &Live<'_>) -> Result<(), Vec<String>> {
    live.publisher.board(|board| board.ready())
}

/// A cloud that refuses every write with `code`. The listing of Seoul fails if `seoul_fails`.
fn refusing(code: Option<&'static str>, seoul_fails: bool) -> Behaviour {
    Behaviour {
        refuse: Box::new(move |action, _, _| code.filter(|_| action == WRITE)),
        fault: Box::new(move |action, region, _| {
            let fails = seoul_fails && action == "DescribeBlueprints" && region == SEOUL;
            fails.then_some(Fault::NotSent)
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn r3_it_is_ready_after_the_first_observation_before_the_pass_ends() {
    let world = World::new(1, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO, SEOUL], 2_000);
    world.behave(Behaviour {
        hung: vec!["lighthouse.ap-seoul".to_owned()],
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        assert_eq!(
            ready(live),
            Err(vec!["the manifests have not been read yet".to_owned()])
        );
        live.load(wanted).await;
        live.pass(3).await;
        let why = ready(live).expect_err("Seoul has not answered");
        assert_eq!(why, ["default/ap-seoul: not observed yet"]);
        world.behave(Behaviour::default());
        live.until(|live| ready(live).is_ok()).await;
        live.publisher.board(|board| {
            let mut scopes = board.scopes().values();
            assert!(scopes.all(|scope| scope.passed_at.is_none() && scope.seen_at.is_some()));
        });
        for _ in 0..60 {
            live.pass(1).await;
            assert_eq!(ready(live), Ok(()));
            assert!(shown(live).contains("sharekeeper_ready 1"));
        }
        assert!(!live.in_sync(TOKYO), "the pass goes on");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn r3_a_region_that_is_added_later_does_not_make_it_unready() {
    let world = World::new(1, REGIONAL);
    let (before, after) = (
        world.add_to_share(&[TOKYO], 5),
        world.add_to_share(&[TOKYO, SEOUL], 500),
    );
    reconciling(&world, async |live| {
        live.load(before.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        for seoul_fails in [false, true] {
            world.behave(refusing(None, seoul_fails));
            live.load(after.clone()).await;
            for _ in 0..120 {
                assert_eq!(ready(live), Ok(()), "{seoul_fails}");
                live.pass(1).await;
            }
            live.load(before.clone()).await;
            live.until(|live| live.publisher.board(|board| board.scopes().len() == 1))
                .await;
        }
        // If this region replaces all others and cannot be observed, no scope is observed.
        let mut only = after;
        only.images
            .retain(|image, _| image.scope.region.as_str() == SEOUL);
        live.load(only).await;
        live.until(|live| ready(live).is_err()).await;
        let why = ready(live).expect_err("nothing is seen");
        assert!(
            why[0].starts_with("default/ap-seoul: not observed: "),
            "{why:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn r3_a_region_whose_writes_all_fail_is_ready() {
    for code in [
        "RequestLimitExceeded",
        "UnauthorizedOperation",
        "InternalError",
    ] {
        let world = World::new(1, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO, SEOUL], 50);
        world.behave(refusing(Some(code), false));
        reconciling(&world, async |live| {
            live.load(wanted).await;
            let took = live.until(|live| ready(live).is_ok()).await;
            assert!(took < 10, "{code}: {took} s");
            for _ in 0..600 {
                live.pass(1).await;
                assert_eq!(ready(live), Ok(()), "{code}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn r3_what_was_never_observed_is_reported_until_something_is() {
    let world = World::new(1, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO, SEOUL], 3);
    world.behave(Behaviour {
        fault: Box::new(|action, _, _| (action == "DescribeBlueprints").then_some(Fault::NotSent)),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(1_800).await;
        let why = ready(live).expect_err("nothing is seen");
        assert_eq!(why.len(), 2, "{why:?}");
        assert!(
            why.iter().all(|why| why.contains("not observed")),
            "{why:?}"
        );
        // One observed region is enough for readiness. An alert reports the other region.
        world.behave(refusing(None, true));
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(ready(live), Ok(()));
        let seoul = scope(SEOUL);
        let is_seen = live
            .publisher
            .board(|board| board.scopes()[&seoul].seen_at.is_some());
        assert!(!is_seen);
    })
    .await;
}

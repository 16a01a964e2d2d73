//! A day in which the API fails in every way, and a machine that sleeps or whose clock jumps.

use super::*;

/// The faults in one hour of the day that is simulated below.
fn fault_plan(hour: u64) -> Behaviour {
    fn refusing(code: &'static str, action: &'static str) -> Behaviour {
        Behaviour {
            refuse: Box::new(move |asked, region, _| {
                ((action.is_empty() || asked == action) && region != BANGKOK).then_some(code)
            }),
            ..Behaviour::default()
        }
    }
    const MODIFY: &str = "ModifyImageSharePermission";
    const LIST: &str = "DescribeBlueprints";
    let kinds = Fault::ALL.len() as u64;
    match hour {
        hour if hour < kinds => Behaviour {
            fault: Box::new(move |_, _, rng| {
                let fault = Fault::ALL[usize::try_from(hour).expect("small")];
                (rng.f64() < 0.4).then_some(fault)
            }),
            ..Behaviour::default()
        },
        7 => refusing("InternalError", ""),
        8 => refusing("RequestLimitExceeded", ""),
        9 => refusing("AuthFailure.SecretIdNotFound", ""),
        10 => refusing("UnauthorizedOperation.NoPermission", MODIFY),
        11 => refusing("ResourceNotFound.RoleNotFound", MODIFY),
        12 => refusing("FailedOperation.DescribeBlueprintsFailed", LIST),
        13 => refusing("UnauthorizedOperation", LIST),
        14 => refusing("UnsupportedOperation.ImageOccupied", MODIFY),
        15 => refusing("UnsupportedOperation.ImageUnableToShare", MODIFY),
        16 => refusing("Brand.NewCode", ""),
        17 => refusing("UnsupportedRegion", ""),
        18 => Behaviour {
            lag: Duration::from_secs(40),
            ..Behaviour::default()
        },
        19 => Behaviour {
            clock_offset: chrono::TimeDelta::minutes(7),
            ..Behaviour::default()
        },
        20 => Behaviour {
            write_limit: 3,
            ..Behaviour::default()
        },
        21 => Behaviour {
            tamper: Box::new(|_, _, page| page["TotalCount"] = 0.into()),
            ..Behaviour::default()
        },
        22 => Behaviour {
            image_state: "SYNCING",
            ..Behaviour::default()
        },
        _ => Behaviour {
            latency: Duration::from_secs(9),
            ..Behaviour::default()
        },
    }
}

#[tokio::test(start_paused = true)]
async fn c5_p5_s4_after_eight_hours_of_sleep_it_observes_before_it_writes() {
    let world = World::new(31, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 400);
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) >= 40).await;
        // The monotonic clock stands still during the sleep, so that only the wall clock jumps.
        world.cloud().jumped.set(chrono::TimeDelta::hours(8));
        let before = world.cloud().calls.borrow().len();
        live.until(|live| live.in_sync(TOKYO)).await;
        let calls = world.cloud().calls.borrow()[before..].to_vec();
        let writes_first = calls
            .iter()
            .take_while(|call| call.action.starts_with("Modify"));
        assert!(
            writes_first.count() <= 4,
            "only what was on the wire may arrive before the observation"
        );
        let refused = calls.iter().filter(|call| call.answer != "ok");
        assert!(
            refused.count() <= 4,
            "what was on the wire was signed long ago, and nothing else was"
        );
        let most = world.cloud().most_in_a_second("ModifyImageSharePermission");
        assert!(most <= 20, "no burst was saved up: {most} in a second");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_a_wall_clock_that_jumps_mid_run_changes_neither_waits_nor_limits() {
    for minutes in [-1440, -10, -2, 2, 10] {
        let world = World::new(32, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO], 200);
        reconciling(&world, async |live| {
            live.load(wanted).await;
            live.until(|live| writes(live) >= 40).await;
            let jump = chrono::TimeDelta::minutes(minutes);
            world.cloud().jumped.set(jump);
            world.behave(Behaviour {
                clock_offset: -jump,
                ..Behaviour::default()
            });
            if minutes.abs() > 15 {
                // No call can be signed with a clock that is off by a day, so that a person sets it right again.
                live.pass(60).await;
                world.cloud().jumped.set(chrono::TimeDelta::zero());
                world.behave(Behaviour::default());
            }
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 120, "{minutes} min: {took} s");
            let most = world.cloud().most_in_a_second("ModifyImageSharePermission");
            assert!(most <= 20, "{minutes} min: {most} in a second");
            let at_rest = world.cloud().calls.borrow().len();
            live.pass(3600).await;
            let observations = world.cloud().calls.borrow().len() - at_rest;
            assert!(
                (10..=40).contains(&observations),
                "{minutes} min: {observations} observations in an hour"
            );
            let applied = world.cloud().writes().into_iter();
            let applied = applied.filter(|call| call.answer == "ok").count();
            assert_eq!(applied, 200, "{minutes} min: each was shared once");
        })
        .await;
    }
}

/// The desired state in an hour: most of it stays the same, and some of it changes.
fn asked(hour: u64, images: usize) -> Desired {
    let all = [TOKYO, BANGKOK, "eu-frankfurt"];
    let shared = |n: usize| n % 6 != usize::try_from(hour).expect("small") % 6;
    desired(
        all.iter()
            .flat_map(|&region| (0..images).map(move |n| (region, id(n), shared(n)))),
    )
}

#[tokio::test(start_paused = true)]
async fn l1_a_day_with_faults_of_every_class_ends_each_hour_in_sync() {
    const IMAGES: usize = 24;
    const ALL: [&str; 3] = [TOKYO, BANGKOK, "eu-frankfurt"];
    let world = World::new(18, REGIONAL);
    world.add_to_share(&ALL, IMAGES);
    let mut rng = fastrand::Rng::with_seed(18);
    reconciling(&world, async |live| {
        let (mut repaired, mut most_recent) = (0, 0);
        for hour in 0..24 {
            let full = hour == 5;
            world.ledger.full.set(full);
            world.behave(fault_plan(hour));
            live.load(asked(hour, IMAGES)).await;
            for _ in 0..10 {
                live.pass(120).await;
                let region = ALL[rng.usize(..ALL.len())];
                let image = id(rng.usize(..IMAGES));
                let state = world.cloud().is_shared(region, &image);
                world.cloud().external_change(region, &image, !state);
                // At most one image stays changed in an hour. More changes would be a fight, and the daemon parks fights.
                if rng.f64() < 0.5 {
                    break;
                }
                world.cloud().external_change(region, &image, state);
            }
            world.ledger.full.set(false);
            world.behave(Behaviour::default());
            live.pass(42 * 60).await;
            let unsettled: Vec<_> = live.publisher.board(|board| {
                let images = board
                    .scopes()
                    .values()
                    .flat_map(|scope| scope.images.iter());
                images
                    .filter(|(_, image)| !image.ready.holds())
                    .map(|(id, image)| (id.clone(), image.reason, image.details.clone()))
                    .collect()
            });
            assert!(unsettled.is_empty(), "hour {hour}: {unsettled:?}");
            for (key, image) in &asked(hour, IMAGES).images {
                let is = world
                    .cloud()
                    .is_shared(key.scope.region.as_str(), key.image.as_str());
                let (wanted, _) = image.share.at(world.cloud().now());
                assert_eq!(is, wanted.as_str() == "shared", "hour {hour}: {key}");
            }
            let settled = writes(live);
            live.pass(15 * 60).await;
            assert_eq!(writes(live), settled, "hour {hour}: no write while in sync");
            repaired += settled;
            live.publisher.board(|board| {
                assert!(board.changes().len() <= RECENT_MAX);
                assert!(board.transitions().len() <= RECENT_MAX);
                most_recent = most_recent.max(board.changes().len());
            });
        }
        assert!(
            repaired > 0 && most_recent == RECENT_MAX,
            "the bound was reached"
        );
    })
    .await;
    assert!(world.cloud().most_in_a_second("ModifyImageSharePermission") <= 19);
}

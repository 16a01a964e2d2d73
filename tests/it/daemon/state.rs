//! The daemon when its state is lost or slow, the summary that it leaves, and its end.

use super::*;

#[tokio::test(start_paused = true)]
async fn b5_c7_a_state_that_is_lost_ends_all_work_and_fails_health() {
    let world = World::new(3, REGIONAL);
    let before = world.add_to_share(&[TOKYO], 5);
    world.cloud().add(BANGKOK, "img-new", false);
    reconciling(&world, async |live| {
        live.load(before.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.transitions();
        assert_eq!(live.publisher.board(|board| board.alive()), Ok(()));
        // The daemon notices the loss while it writes nothing, by a check that it makes every few seconds.
        world.ledger.lose("the state was removed");
        live.pass(1).await;
        let calls = world.cloud().calls.borrow().len();
        let mut after = before;
        let added = desired([(BANGKOK, "img-new".to_owned(), true)]);
        after.images.extend(added.images);
        live.load(after).await;
        live.update(Update::Asked).await;
        live.pass(3600).await;
        assert_eq!(
            world.cloud().calls.borrow().len(),
            calls,
            "not even an observation"
        );
        live.publisher.board(|board| {
            let why = "the state was removed".to_owned();
            assert_eq!(board.alive(), Err(why.clone()));
            assert!(board.ready().is_err_and(|reasons| reasons.contains(&why)));
            assert!(board.summary().contains("the state"), "{}", board.summary());
        });
        assert_eq!(
            live.transitions(),
            [(TransitionKind::Stalled, "state".to_owned())]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c7_a_state_that_can_be_written_again_goes_on_by_itself() {
    let world = World::new(3, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 30);
    world.ledger.lost_after.set(Some(7));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        // The state may be lost more than once.
        for next_loss in [Some(19), None] {
            let is_alive = |live: &Live| live.publisher.board(|board| board.alive().is_ok());
            live.until(|live| !is_alive(live)).await;
            live.pass(60).await;
            let sent = writes(live);
            live.pass(3600).await;
            assert_eq!(writes(live), sent, "nothing is sent meanwhile");
            world.ledger.lost_after.set(next_loss);
            world.ledger.recover();
        }
        live.until(|live| live.in_sync(TOKYO)).await;
        let mut transitions = live.transitions();
        transitions.retain(|(_, of)| of == "state");
        let (stalled, recovered) = (TransitionKind::Stalled, TransitionKind::Recovered);
        let expected = [stalled, recovered, stalled, recovered];
        assert_eq!(kinds(&transitions), expected);
        assert_eq!(live.publisher.board(|board| board.alive()), Ok(()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b5_a_state_that_is_lost_in_a_pass_fails_health_at_once() {
    let world = World::new(3, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 30);
    world.ledger.lost_after.set(Some(7));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        let took = live.until(|live| live.publisher.board(|board| board.alive().is_err()));
        assert!(took.await < 10);
        live.pass(3600).await;
        assert!(writes(live) < 7, "{}", writes(live));
        assert_eq!(
            live.transitions(),
            [(TransitionKind::Stalled, "state".to_owned())]
        );
        let asked = world.cloud().calls_of("DescribeBlueprints").len();
        assert!(asked < 5, "{asked}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l7_the_end_lets_calls_in_flight_settle_and_starts_no_other() {
    let world = World::new(17, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 400);
    let at_the_end = Cell::new((0, Duration::ZERO));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) >= 40).await;
        at_the_end.set((writes(live), world.cloud().monotonic().since_start()));
    })
    .await;
    let (count, then) = at_the_end.get();
    assert!(world.cloud().writes().len() <= count + 4);
    let took = world.cloud().monotonic().since_start() - then;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(world.ledger.intents().len(), world.ledger.outcomes().len());
}

#[tokio::test(start_paused = true)]
async fn c15_l7_a_stop_waits_only_so_long_for_a_store_that_hangs() {
    let world = World::new(73, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 30);
    world.ledger.outcome_takes.set(Duration::from_secs(600));
    let stopped = Cell::new(Monotonic::default());
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) > 3).await;
        stopped.set(world.cloud().monotonic());
    })
    .await;
    let took = world.cloud().monotonic().since(stopped.get());
    assert!(took < Duration::from_secs(9), "{took:?}");
    let (intents, outcomes) = (world.ledger.intents(), world.ledger.outcomes());
    assert!(
        intents.len() > outcomes.len(),
        "some stay open for the next run"
    );
}

#[tokio::test(start_paused = true)]
async fn nm3_a_summary_is_left_at_most_once_a_second_and_at_each_heartbeat() {
    let world = World::new(3, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 100);
    reconciling(&world, async |live| {
        let clock = &live.world.context.host;
        let left = RefCell::new(Vec::new());
        let keep = keep_summary(clock, &live.publisher, async |board, _| {
            left.borrow_mut().push((clock.monotonic(), board.version()));
        });
        let script = async {
            live.load(wanted).await;
            live.until(|live| live.in_sync(TOKYO)).await;
            live.pass(2).await;
            let newest = live.publisher.board(|board| board.version());
            let (_, version) = *left.borrow().last().expect("some");
            assert_eq!(version, newest, "nothing that happened is missing");
            let before = left.borrow().len();
            assert!((4..=9).contains(&before), "six seconds of writes: {before}");
            live.pass(60).await;
            let quiet = left.borrow().len() - before;
            assert!((5..=7).contains(&quiet), "one each ten seconds: {quiet}");
        };
        tokio::select! {
            never = keep => match never {},
            () = script => {}
        }
        let times = left.into_inner();
        for pair in times.windows(2) {
            let gap = pair[1].0.since(pair[0].0);
            assert!(gap >= Duration::from_secs(1), "{gap:?}");
        }
    })
    .await;
}

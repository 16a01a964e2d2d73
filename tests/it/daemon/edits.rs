//! What new, broken and missing manifests do to the passes of the daemon.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_edit_leads_to_a_write_after_one_observation() {
    let world = World::new(3, REGIONAL);
    let before = world.add_to_share(&[TOKYO], 5);
    world.cloud().add(TOKYO, "img-new", false);
    reconciling(&world, async |live| {
        live.load(before.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.pass(60).await;
        let calls = world.cloud().calls.borrow().len();
        let mut after = before;
        let added = desired([(TOKYO, "img-new".to_owned(), true)]);
        after.images.extend(added.images);
        live.load(after).await;
        live.until(|_| world.cloud().is_shared(TOKYO, "img-new"))
            .await;
        let calls = world.cloud().calls.borrow()[calls..].to_vec();
        let actions: Vec<_> = calls.iter().map(|call| call.action.as_str()).collect();
        assert_eq!(
            actions[..3],
            [
                "DescribeBlueprints",
                "DescribeImagesToShare",
                "ModifyImageSharePermission"
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s5_newer_manifests_drop_the_rest_of_the_plan() {
    let world = World::new(4, REGIONAL);
    let many = world.add_to_share(&[TOKYO], 400);
    reconciling(&world, async |live| {
        live.load(many).await;
        live.until(|live| writes(live) >= 40).await;
        // The manifests now ask for the first ten images only.
        live.load(to_share(&[TOKYO], 10)).await;
        let at_the_edit = writes(live);
        live.pass(600).await;
        assert!(
            writes(live) <= at_the_edit + 4,
            "those on the wire at most: {} after {at_the_edit}",
            writes(live)
        );
        assert!(live.in_sync(TOKYO));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_an_edit_does_not_concern_goes_on() {
    let world = World::new(5, REGIONAL);
    let tokyo = world.add_to_share(&[TOKYO], 200);
    world.cloud().add(BANGKOK, "img-b", false);
    reconciling(&world, async |live| {
        live.load(tokyo.clone()).await;
        live.until(|live| writes(live) >= 40).await;
        let observations = world.cloud().calls_of("DescribeBlueprints").len();
        let mut both = tokyo;
        // The source lines move too, which does not change the desired state.
        for image in both.images.values_mut() {
            image.source.line += 1;
        }
        both.images
            .extend(desired([(BANGKOK, "img-b".to_owned(), true)]).images);
        live.load(both).await;
        live.until(|live| live.in_sync(TOKYO) && live.in_sync(BANGKOK))
            .await;
        let listings = world.cloud().calls_of("DescribeBlueprints");
        let tokyo = listings[observations..]
            .iter()
            .filter(|call| call.region == TOKYO && call.body["Offset"] == 0);
        assert_eq!(tokyo.count(), 1, "the observation after its own pass");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s4_a_pass_that_is_cut_short_hands_its_writes_on() {
    let world = World::new(6, REGIONAL);
    world.behave(Behaviour {
        lag: Duration::from_secs(20),
        ..Behaviour::default()
    });
    let wanted = world.add_to_share(&[TOKYO], 40);
    world.cloud().add(TOKYO, "img-new", false);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| writes(live) >= 30).await;
        let mut more = wanted;
        more.images
            .extend(desired([(TOKYO, "img-new".to_owned(), true)]).images);
        live.load(more).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(writes(live), 41, "none was made twice");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_share_ends_at_its_instant_while_no_manifests_can_be_had() {
    let world = World::new(12, REGIONAL);
    let mut wanted = world.add_to_share(&[TOKYO], 2);
    let ends = world.cloud().now() + Duration::from_secs(7 * 3600 + 17);
    let first = wanted.images.values_mut().next().expect("an image");
    first.share = DesiredShare::Shared {
        from: None,
        until: Some(ends),
    };
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.update(Update::Broken(vec![ManifestProblem::Repository(
            "the repository cannot be reached".into(),
        )]))
        .await;
        live.pass(6 * 3600).await;
        assert!(world.cloud().is_shared(TOKYO, &id(0)));
        live.until(|_| !world.cloud().is_shared(TOKYO, &id(0)))
            .await;
        let late = (world.cloud().now() - ends).num_seconds();
        assert!((0..=4).contains(&late), "{late} s after its end");
        assert!(world.cloud().is_shared(TOKYO, &id(1)));
        let transitions = live.transitions();
        assert_eq!(
            kinds(&transitions),
            [TransitionKind::Stalled, TransitionKind::ExpiringSoon],
            "{transitions:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn m1_s3_manifests_that_cannot_be_used_change_nothing() {
    let world = World::new(13, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 5);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.transitions();
        for _ in 0..5 {
            live.update(Update::Broken(vec![ManifestProblem::Repository(
                "manifests: holds no manifests".into(),
            )]))
            .await;
            live.pass(1200).await;
        }
        assert_eq!(writes(live), 5);
        world.cloud().external_change(TOKYO, &id(1), false);
        live.until(|_| world.cloud().is_shared(TOKYO, &id(1))).await;
        live.pass(10).await;
        live.load(wanted).await;
        live.pass(10).await;
        let transitions = live.transitions();
        let manifests: Vec<_> = transitions
            .iter()
            .filter(|(_, subject)| subject == "manifests")
            .collect();
        assert_eq!(
            manifests.len(),
            2,
            "once when it began, once when it ended: {transitions:?}"
        );
        live.publisher
            .board(|board| assert_eq!(board.manifests().errors, 5));
    })
    .await;
}

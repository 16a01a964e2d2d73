//! What a broken account, a missing role or credential, and a denied scope cost the daemon, and when it tries again.

use super::*;

#[tokio::test(start_paused = true)]
async fn l8_a_broken_account_is_probed_once_a_step_and_works_again_by_itself() {
    let world = World::new(7, REGIONAL);
    let mut wanted = world.add_to_share(&[TOKYO], 20);
    for region in regions(10) {
        world.cloud().add(region, "img-r", false);
        wanted
            .images
            .extend(desired([(region, "img-r".to_owned(), true)]).images);
    }
    world.behave(Behaviour {
        refuse: Box::new(|_, _, _| Some("AuthFailure.SecretIdNotFound")),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        let calls = world.cloud().calls.borrow().len();
        assert!(
            (10..=30).contains(&calls),
            "{calls} calls in an hour for 11 scopes"
        );
        assert_eq!(
            live.transitions(),
            [(TransitionKind::Stalled, "account default".to_owned())],
            "once, and not for each scope or probe"
        );
        assert_eq!(live.image(TOKYO, &id(0)).reason, Reason::AccountBroken);
        world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 310, "{took} s");
        live.pass(60).await;
        assert_eq!(
            live.transitions(),
            [(TransitionKind::Recovered, "account default".to_owned())]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_missing_service_role_costs_one_write_a_step_for_the_whole_account() {
    let world = World::new(8, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 50);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("ResourceNotFound.RoleNotFound")
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        assert!((8..=25).contains(&writes(live)), "{}", writes(live));
        let reasons = [7, 5].map(|n| live.image(TOKYO, &id(n)).reason);
        assert_eq!(reasons, [Reason::NotTried, Reason::RoleMissing]);
        world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 320, "{took} s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_scope_that_denies_writing_is_probed_by_a_few_images() {
    let world = World::new(9, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 50);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(10).await;
        let first = writes(live);
        assert_eq!(first, 5);
        assert_eq!(live.image(TOKYO, &id(5)).reason, Reason::NoPermission);
        assert_eq!(live.image(TOKYO, &id(7)).reason, Reason::NotTried);
        live.pass(6 * 3600).await;
        let later = writes(live) - first;
        assert!((100..=420).contains(&later), "{later} in six hours");
        world.behave(Behaviour::default());
        live.update(Update::Asked).await;
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(
            took <= 10,
            "a person who has mended it does not wait: {took} s"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_missing_hold_the_account_until_they_are_there() {
    let world = World::new(10, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 3);
    let keys = Keys {
        world: &world,
        missing: RefCell::new(Some("no credentials".into())),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    run_with(
        &world,
        &work,
        &keys,
        settings(Policy::default()),
        async |live| {
            live.load(wanted).await;
            live.pass(3600).await;
            assert!(world.cloud().calls.borrow().is_empty());
            let image = live.image(TOKYO, &id(0));
            assert_eq!(image.reason, Reason::AccountBroken);
            assert!(
                image
                    .details
                    .is_some_and(|details| details.message.contains("no credentials"))
            );
            *keys.missing.borrow_mut() = None;
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 310, "{took} s");
        },
    )
    .await;
}

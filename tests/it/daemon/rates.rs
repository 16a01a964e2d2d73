//! Rates of writes that the manifests change while the daemon runs.

use super::*;

/// The highest number of writes that arrived within any sliding second since `from`.
fn most_in_a_second(world: &World, from: Monotonic) -> usize {
    let writes = world.cloud().writes();
    let at: Vec<_> = writes
        .iter()
        .map(|call| call.at)
        .filter(|at| *at >= from)
        .collect();
    let within = |start: &Monotonic| {
        let rest = at.iter().filter(|at| **at >= *start);
        rest.filter(|at| at.since(*start) < Duration::from_secs(1))
            .count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn c6_a_changed_rate_holds_from_the_next_call() {
    let world = World::new(71, REGIONAL);
    let keys = Keys {
        world: &world,
        missing: RefCell::default(),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    world.add_to_share(&[TOKYO], 700);
    let settings = settings(Policy::default());
    run_with(&world, &work, &keys, settings, async |live| {
        let start = world.cloud().monotonic();
        live.load(with_rate(to_share(&[TOKYO], 700), 1)).await;
        live.pass(20).await;
        let slow = writes(live);
        assert!((15..=21).contains(&slow), "{slow}");
        assert!(most_in_a_second(&world, start) <= 1);
        let raised = world.cloud().monotonic();
        live.load(with_rate(to_share(&[TOKYO], 700), 19)).await;
        live.pass(20).await;
        let fast = writes(live) - slow;
        assert!(fast > 300, "{fast} in 20 s");
        let most = most_in_a_second(&world, raised);
        assert!((18..=19).contains(&most), "{most}");
        live.load(with_rate(to_share(&[TOKYO], 700), 2)).await;
        live.pass(2).await;
        let (lowered, before) = (world.cloud().monotonic(), writes(live));
        live.pass(20).await;
        let slow = writes(live) - before;
        assert!((30..=42).contains(&slow), "{slow} in 20 s");
        assert!(most_in_a_second(&world, lowered) <= 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c6_of_documents_with_one_key_the_lowest_rate_counts() {
    let world = World::new(72, GLOBAL);
    let keys = Keys {
        world: &world,
        missing: RefCell::default(),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let alone = with_rate(world.add_to_share(&[TOKYO], 700), 19);
    world.cloud().add(BANGKOK, &id(9_000), true);
    // The document of another account. It only says how fast the key may be used.
    let other = AccountName::new("other").expect("a name");
    let mut both = alone.clone();
    let mut account = alone.accounts[&AccountName::default()].clone();
    account.rate = Some(2);
    both.accounts.insert(other.clone(), account);
    for (mut key, image) in desired([(BANGKOK, id(9_000), true)]).images {
        key.scope.account = other.clone();
        both.images.insert(key, image);
    }
    let settings = settings(Policy::default());
    run_with(&world, &work, &keys, settings, async |live| {
        let written = async |seconds| {
            let before = writes(live);
            live.pass(seconds).await;
            writes(live) - before
        };
        live.load(both).await;
        live.pass(2).await;
        let shared = written(20).await;
        assert!((30..=42).contains(&shared), "{shared} in 20 s");
        live.load(alone).await;
        let own = written(20).await;
        assert!(own > 300, "{own} in 20 s");
    })
    .await;
}

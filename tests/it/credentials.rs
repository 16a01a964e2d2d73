//! Whole runs during which the credentials change. A key that is replaced costs one failed call, and a key that stays
//! refused stops all calls of its account.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use crate::support::cloud::world::{GLOBAL, World, id};
use crate::support::cloud::{Behaviour, desired};
use sharekeeper::api::{CredentialProvider, Environment, ProviderCache};
use sharekeeper::desired::CredentialSource;
use sharekeeper::model::Endpoint;

fn rotate(path: &Path, id: &str) {
    let beside = path.with_extension("new");
    let text = format!("[default]\nsecret_id = {id}\nsecret_key = key\n");
    fs::write(&beside, text).expect("is written");
    fs::rename(&beside, path).expect("is renamed");
}

fn keys(path: &Path) -> Rc<CredentialProvider> {
    let source = CredentialSource::File {
        path: Some(path.to_owned()),
        section: None,
    };
    ProviderCache::new(Environment::new(|_| None)).provider(&source, &Endpoint::default())
}

#[tokio::test(start_paused = true)]
async fn c6_a_key_that_is_replaced_mid_plan_costs_one_call_and_the_plan_goes_on() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("credentials");
    rotate(&path, "OLD");
    let mut world = World::new(1, GLOBAL);
    world.keys = Some(keys(&path));
    for n in 0..12 {
        world.cloud().add("ap-tokyo", &id(n), false);
    }
    let count = Cell::new(0);
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| {
            if action != "ModifyImageSharePermission" {
                return None;
            }
            count.set(count.get() + 1);
            // The fourth write rotates the key and is refused, so that the key changes in the middle of the plan.
            (count.get() == 4).then(|| {
                rotate(&path, "NEW");
                "AuthFailure.SecretIdNotFound"
            })
        }),
        ..Behaviour::default()
    });
    let images = (0..12).map(|n| ("ap-tokyo", id(n), true));
    let ended = world.reconcile(&desired(images)).await;
    assert_eq!(ended.exit(), 0, "{}", ended.json);
    assert_eq!(
        world.cloud().writes().len(),
        13,
        "one failed, and was made again"
    );
    let failed = world.cloud().writes().into_iter();
    assert_eq!(failed.filter(|call| call.answer != "ok").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn c6_c9_a_key_that_is_not_replaced_ends_the_account_after_a_call_or_two() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("credentials");
    rotate(&path, "OLD");
    let mut world = World::new(1, GLOBAL);
    world.keys = Some(keys(&path));
    for n in 0..12 {
        world.cloud().add("ap-tokyo", &id(n), false);
    }
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("AuthFailure.TokenFailure")
        }),
        ..Behaviour::default()
    });
    let images = (0..12).map(|n| ("ap-tokyo", id(n), true));
    let ended = world.reconcile(&desired(images)).await;
    assert_eq!(ended.exit(), 4, "{}", ended.json);
    assert!(world.cloud().writes().len() <= 2);
}

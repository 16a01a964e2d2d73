//! Listings of instances, of the account's own images and of CVM's images. Each listing is whole or unknown, and a
//! refusal of one listing stops no other call.

use std::cell::Cell;
use std::rc::Rc;

use crate::support::cloud::live::scope;
use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, Instance};
use serde_json::{Value, json};
use sharekeeper::api::ProbeTarget;
use sharekeeper::api::protocol::wire::Action;
use sharekeeper::listing::{cvm_images, instances, observe, own_images};
use sharekeeper::model::Region;
use sharekeeper::observation::{CvmImages, Instances, Observation, OwnImages};

const TOKYO: &str = "ap-tokyo";
const INSTANCES: &str = "DescribeInstances";
const OWN: &str = "DescribeImagesToShare";
const CVM: &str = "DescribeImages";

/// A world with `count` own images in Tokyo, and as many instances, all of which use one blueprint.
fn tokyo(count: usize) -> World {
    let world = World::new(2, REGIONAL);
    for n in 0..count {
        world.cloud().add(TOKYO, &id(n), false);
    }
    let servers = (0..count).map(|n| Instance {
        region: TOKYO,
        id: format!("lhins-{n:04}"),
        blueprint: "lhbp-1".into(),
    });
    world.cloud().instances.borrow_mut().extend(servers);
    world
}

/// The number of rows in a listing of `action`. The error says why the number is unknown.
async fn listed(world: &World, action: &str) -> Result<usize, String> {
    let (client, scope) = (world.client(), scope(TOKYO));
    match action {
        INSTANCES => match instances(&client, &scope).await {
            Instances::Known(by) => Ok(by.values().map(Vec::len).sum()),
            Instances::Unknown(why) => Err(why),
            Instances::NotAsked => panic!("they were asked for"),
        },
        OWN => match own_images(&client, &scope).await {
            OwnImages::Known(own) => Ok(own.len()),
            OwnImages::Unknown(why) => Err(why.reason),
            OwnImages::NotAsked => panic!("they were asked for"),
        },
        CVM => match cvm_images(&client, &scope).await {
            CvmImages::Known(images) => Ok(images.len()),
            CvmImages::Unknown(why) => Err(why),
            CvmImages::NotAsked => panic!("they were asked for"),
        },
        other => panic!("{other} lists nothing"),
    }
}

/// Changes the replies of one action. `change` gets the number of the reply, which starts at 0.
fn replies(action: &'static str, change: impl Fn(u32, &mut Value) + 'static) -> Behaviour {
    let count = Cell::new(0);
    Behaviour {
        reword: Box::new(move |called, _, reply| {
            if called == action {
                change(count.replace(count.get() + 1), &mut reply["Response"]);
            }
        }),
        ..Behaviour::default()
    }
}

fn rows(action: &str) -> &'static str {
    match action {
        INSTANCES => "InstanceSet",
        _ => "ImageSet",
    }
}

fn calls(world: &World, action: &str) -> usize {
    world.cloud().calls_of(action).len()
}

#[tokio::test(start_paused = true)]
async fn a2_lists_are_read_to_their_end_page_by_page() {
    for (action, count, pages) in [
        (INSTANCES, 0, 1),
        (INSTANCES, 100, 1),
        (INSTANCES, 101, 2),
        (OWN, 730, 8),
        (CVM, 730, 8),
    ] {
        let world = tokyo(count);
        assert_eq!(listed(&world, action).await, Ok(count), "{action}");
        assert_eq!(calls(&world, action), pages, "{action}: {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a2_a3_a_list_that_does_not_add_up_is_read_again_and_then_unknown() {
    for action in [INSTANCES, OWN, CVM] {
        type Change = fn(&str, &mut Value);
        let changes: [(&str, Change); 5] = [
            ("the total changes", |_, page| {
                page["TotalCount"] = json!(251);
            }),
            ("a page is empty", |rows, page| page[rows] = json!([])),
            ("a row is missing", |rows, page| {
                page[rows].as_array_mut().expect("a list").pop();
            }),
            ("a row is there twice", |rows, page| {
                page[rows][1] = page[rows][0].clone();
            }),
            ("a row is too many", |rows, page| {
                let first = page[rows][0].clone();
                page[rows].as_array_mut().expect("a list").push(first);
            }),
        ];
        for (how, change) in changes {
            let world = tokyo(250);
            // Reply 1 is the second page of the first listing.
            world.behave(replies(action, move |nth, page| {
                if nth == 1 {
                    change(rows(action), page);
                }
            }));
            assert_eq!(listed(&world, action).await, Ok(250), "{action}: {how}");
            world.behave(replies(action, move |_, page| {
                if page[rows(action)][0] != json!(null) {
                    page["TotalCount"] = json!(249);
                }
            }));
            let why = listed(&world, action).await.expect_err(how);
            assert!(why.contains("4 inconsistent listings"), "{action}: {why}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s21_a_list_that_does_not_end_costs_one_page_a_listing() {
    for action in [INSTANCES, OWN, CVM] {
        let world = tokyo(100);
        world.behave(replies(action, |_, page| {
            page["TotalCount"] = json!(100_001);
        }));
        let why = listed(&world, action).await.expect_err(action);
        assert!(why.contains("beyond 1000 pages"), "{action}: {why}");
        assert_eq!(calls(&world, action), 4, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn c14_t2_a_null_where_it_is_needed_makes_a_list_unknown() {
    for (action, field, value, is_known) in [
        (INSTANCES, "BlueprintId", json!(null), false),
        (INSTANCES, "BlueprintId", json!(7), false),
        (INSTANCES, "InstanceId", json!(null), false),
        (INSTANCES, "InstanceId", json!(7), false),
        (INSTANCES, "InstanceName", json!(null), true),
        (INSTANCES, "InstanceState", json!(["RUNNING"]), true),
        (OWN, "ImageId", json!(null), false),
        (OWN, "ImageName", json!(null), true),
        (OWN, "CreatedTime", json!(1_790_000_000), true),
        (CVM, "ImageId", json!(7), false),
        (CVM, "ImageFamily", json!(null), true),
        (CVM, "ImageFamily", json!(7), false),
        (CVM, "ImageDeprecated", json!(null), true),
        (CVM, "ImageDeprecated", json!("true"), false),
        (CVM, "Tags", json!(null), true),
        (CVM, "Tags", json!({"release": "stable"}), false),
        (CVM, "Tags", json!([{"Key": null, "Value": "x"}]), false),
        (CVM, "Tags", json!([{"Key": "x", "Value": null}]), true),
        (CVM, "ImageName", json!(null), true),
    ] {
        let (world, what) = (tokyo(3), format!("{action} {field}: {value}"));
        world.behave(replies(action, move |_, page| {
            page[rows(action)][1][field] = value.clone();
        }));
        let listed = listed(&world, action).await;
        assert_eq!(listed.is_ok(), is_known, "{what}: {listed:?}");
        if let Err(why) = listed {
            assert!(why.starts_with(action), "{what}: {why}");
        }
    }
    for action in [INSTANCES, OWN, CVM] {
        for (field, value) in [
            ("TotalCount", json!("3")),
            ("TotalCount", json!(null)),
            (rows(action), json!(null)),
        ] {
            let world = tokyo(3);
            let what = format!("{action} {field}: {value}");
            world.behave(replies(action, move |_, page| page[field] = value.clone()));
            assert!(listed(&world, action).await.is_err(), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_refusal_of_cvm_or_of_instances_stops_no_other_call() {
    for refused in [INSTANCES, CVM] {
        for code in [
            "UnauthorizedOperation.NoPermission",
            "AuthFailure.UnauthorizedOperation",
            "AuthFailure.SecretIdNotFound",
            "AuthFailure.SignatureFailure",
            "AuthFailure.SignatureExpire",
            "AuthFailure.MFAFailure",
            "ResourceNotFound.RoleNotFound",
            "IpNotInWhitelist",
            "InvalidAction",
        ] {
            let world = tokyo(3);
            world.behave(Behaviour {
                refuse: Box::new(move |action, _, _| (action == refused).then_some(code)),
                ..Behaviour::default()
            });
            let (client, scope) = (world.client(), scope(TOKYO));
            // The refused call is the first call of the client, and all other calls wait for it.
            let why = match refused {
                CVM => match cvm_images(&client, &scope).await {
                    CvmImages::Unknown(why) => why,
                    other => panic!("{other:?}"),
                },
                _ => match instances(&client, &scope).await {
                    Instances::Unknown(why) => why,
                    other => panic!("{other:?}"),
                },
            };
            assert!(why.contains(code) && why.contains(refused), "{why}");
            assert_eq!(client.broken(), None, "{refused}: {code}");
            let seen = observe(&client, &scope).await;
            assert!(matches!(seen, Observation::Seen(_)), "{refused}: {code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t2_a_probe_of_a_list_makes_the_very_call_that_a_listing_makes() {
    let region = Region::new(TOKYO).expect("a region");
    for (action, target) in [
        (INSTANCES, ProbeTarget::Instances),
        (OWN, ProbeTarget::OwnImages),
        (CVM, ProbeTarget::CvmImages),
    ] {
        let world = tokyo(3);
        assert_eq!(listed(&world, action).await, Ok(3));
        let probe = world.client().probe(target, region).await;
        probe.expect("an answer");
        let calls = world.cloud().calls_of(action);
        let bodies: Vec<_> = calls.iter().map(|call| &call.body).collect();
        assert_eq!(bodies.len(), 2, "{action}");
        assert_eq!(bodies[0], bodies[1], "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn cvm_is_asked_at_its_own_host_and_each_list_has_its_own_bucket() {
    let world = tokyo(3);
    for action in [INSTANCES, OWN, CVM] {
        assert_eq!(listed(&world, action).await, Ok(3));
    }
    for (action, host) in [
        (INSTANCES, "lighthouse.ap-tokyo.tencentcloudapi.com"),
        (OWN, "lighthouse.ap-tokyo.tencentcloudapi.com"),
        (CVM, "cvm.tencentcloudapi.com"),
    ] {
        for call in world.cloud().calls_of(action) {
            assert_eq!((&*call.host, &*call.region), (host, TOKYO), "{action}");
        }
    }
    let (client, region) = (world.client(), Region::new(TOKYO).expect("a region"));
    let bucket = |action| client.bucket(action, region);
    let (instances, own) = (Action::DescribeInstances, Action::DescribeImagesToShare);
    assert_ne!(bucket(instances), bucket(own));
    assert_eq!(bucket(instances).host, bucket(own).host);
    let cvm: Rc<str> = bucket(Action::DescribeImages).host;
    assert_eq!(&*cvm, "cvm.tencentcloudapi.com");
}

//! An API whose replies do not match its documentation, tested through the whole engine. A probe must succeed and fail in
//! the same cases as an observation.

use std::time::Duration;

use crate::support::cloud::live::scope;
use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, Reword, desired};
use serde_json::{Value, json};
use sharekeeper::api::ProbeTarget;
use sharekeeper::desired::Desired;
use sharekeeper::doctor::{Answer, DoctorDocument, access_point};
use sharekeeper::listing::observe;
use sharekeeper::model::{ImageId, Region};
use sharekeeper::observation::Observation;

const TOKYO: &str = "ap-tokyo";
const BLUEPRINTS: &str = "DescribeBlueprints";
const IMAGES: &str = "DescribeImagesToShare";
const MODIFY: &str = "ModifyImageSharePermission";

/// Values that can stand in a field where the documentation promises something else.
fn odd() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(1),
        json!(20.5),
        json!(""),
        json!("23"),
        json!([]),
        json!({"a": null}),
    ]
}

/// A world with images in Tokyo, of which the first `shared` are shared, and manifests that share all of them.
fn tokyo(count: usize, shared: usize) -> (World, Desired) {
    let world = World::new(2, REGIONAL);
    for n in 0..count {
        world.cloud().add(TOKYO, &id(n), n < shared);
    }
    (world, desired((0..count).map(|n| (TOKYO, id(n), true))))
}

/// Puts `value` into `field` of one row in each page of `action`, and changes nothing else.
fn spoil(action: &'static str, row: usize, field: &'static str, value: Value) -> Reword {
    Box::new(move |called, _, reply| {
        let list = match action {
            BLUEPRINTS => "BlueprintSet",
            _ => "ImageSet",
        };
        if called == action
            && let Some(row) = reply.pointer_mut(&format!("/Response/{list}/{row}"))
        {
            row[field] = value.clone();
        }
    })
}

fn reworded(reword: Reword) -> Behaviour {
    Behaviour {
        reword,
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn c14_t2_r25_a_field_that_nobody_uses_hides_no_region() {
    for field in [
        "SceneIdSet",
        "DisplayVersion",
        "CommunityUrl",
        "RequiredMemorySize",
        "BlueprintShared",
        "BlueprintName",
        "BlueprintType",
        "New",
    ] {
        for value in odd() {
            let (world, wanted) = tokyo(60, 60);
            let what = format!("{field}: {value}");
            world.behave(reworded(spoil(BLUEPRINTS, 57, field, value)));
            let ended = world.reconcile(&wanted).await;
            assert_eq!(ended.exit(), 0, "{what}");
            let calls = (
                world.cloud().calls_of(BLUEPRINTS).len(),
                world.cloud().writes().len(),
            );
            assert_eq!(calls, (1, 0), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t8_t10_one_row_without_an_id_that_can_be_read_holds_its_region() {
    for (field, value) in [
        ("BlueprintId", json!(null)),
        ("BlueprintId", json!(7)),
        ("ImageId", json!(7)),
        ("ImageId", json!(["img-0057"])),
    ] {
        let (world, mut wanted) = tokyo(60, 60);
        wanted
            .images
            .extend(desired([(TOKYO, id(57), false)]).images);
        world.behave(reworded(spoil(BLUEPRINTS, 57, field, value)));
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 1, "{field}");
        assert_eq!(world.cloud().writes().len(), 0, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn c14_t2_what_an_image_does_not_say_keeps_nobody_from_sharing_it() {
    for field in [
        "ImageName",
        "ImageSize",
        "ImageState",
        "ImageSource",
        "ImageClass",
        "IsSupportCloudinit",
        "UnshareableReason",
    ] {
        for value in odd() {
            let (world, wanted) = tokyo(3, 0);
            let what = format!("{field}: {value}");
            world.behave(reworded(spoil(IMAGES, 1, field, value)));
            let ended = world.reconcile(&wanted).await;
            assert_eq!(ended.exit(), 0, "{what}");
            assert_eq!(world.cloud().calls_of(IMAGES).len(), 1, "{what}");
        }
    }
}

/// The image is shared already, so that the API reports it as not shareable, but a lagging list does not show the share
/// yet.
#[tokio::test(start_paused = true)]
async fn c14_t2_a_shared_image_is_not_blocked_for_a_missing_field() {
    for field in [
        "ImageState",
        "ImageSource",
        "ImageClass",
        "IsSupportCloudinit",
    ] {
        let (world, wanted) = tokyo(1, 0);
        world.pass(Duration::from_secs(60)).await;
        world.cloud().external_change(TOKYO, &id(0), true);
        world.behave(Behaviour {
            lag: Duration::from_secs(4),
            reword: spoil(IMAGES, 0, field, json!(null)),
            ..Behaviour::default()
        });
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 0, "{field}: {:?}", ended.outcomes());
    }
}

#[tokio::test(start_paused = true)]
async fn t2_e25_a_refusal_without_a_message_costs_one_write_and_is_clear() {
    for value in odd() {
        for field in ["/Response/Error/Message", "/Response/RequestId"] {
            let (world, wanted) = tokyo(1, 0);
            let (what, value) = (format!("{field}: {value}"), value.clone());
            world.behave(Behaviour {
                reword: Box::new(move |action, _, reply| {
                    if action == MODIFY {
                        *reply.pointer_mut(field).expect("is there") = value.clone();
                    }
                }),
                ..Behaviour::denying(vec![id(0)])
            });
            let ended = world.reconcile(&wanted).await;
            assert_eq!(world.cloud().writes().len(), 1, "{what}");
            let report = &ended.json["images"][0];
            assert_eq!(report["outcome"], "blocked", "{what}");
            assert_eq!(
                report["error_code"], "UnauthorizedOperation.NoPermission",
                "{what}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t2_e25_a_success_with_an_odd_request_id_is_one() {
    for value in odd() {
        let (world, wanted) = tokyo(1, 0);
        world.behave(reworded(Box::new(move |_, _, reply| {
            reply["Response"]["RequestId"] = value.clone();
        })));
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 0);
        assert_eq!(world.cloud().writes().len(), 1);
    }
}

/// The request bodies of all calls of one action.
fn asked(world: &World, action: &str) -> Vec<Value> {
    let calls = world.cloud().calls_of(action);
    calls.into_iter().map(|call| call.body).collect()
}

#[tokio::test(start_paused = true)]
async fn t2_a_probe_makes_the_same_call_as_an_observation() {
    let (world, wanted) = tokyo(3, 0);
    world.reconcile(&wanted).await;
    let (observations, images) = (asked(&world, BLUEPRINTS), asked(&world, IMAGES));
    world.cloud().calls.borrow_mut().clear();
    let (client, region) = (world.client(), Region::new(TOKYO).expect("a region"));
    let ids: Vec<_> = (0..3)
        .map(|n| ImageId::new(&id(n)).expect("an id"))
        .collect();
    for target in [ProbeTarget::Blueprints, ProbeTarget::Images(&ids)] {
        client.probe(target, region).await.expect("an answer");
    }
    assert_eq!(asked(&world, BLUEPRINTS), observations[..1]);
    assert_eq!(asked(&world, IMAGES), images);
}

#[tokio::test(start_paused = true)]
async fn t2_a_probe_fails_where_an_observation_does() {
    let region = Region::new(TOKYO).expect("a region");
    for (row, value, is_good) in [
        (0, json!(7), false),
        (57, json!(7), false),
        (99, json!(null), false),
        (57, json!("lhbp-other"), true),
    ] {
        let (world, _) = tokyo(100, 100);
        world.behave(reworded(spoil(BLUEPRINTS, row, "BlueprintId", value)));
        let client = world.client();
        let seen = observe(&client, &scope(TOKYO)).await;
        assert_eq!(matches!(seen, Observation::Seen(_)), is_good, "{row}");
        let took = client.probe(ProbeTarget::Blueprints, region).await;
        let check = access_point("host", &Answer { region, took });
        let document = json!(DoctorDocument::new(vec![check]));
        assert_eq!(document["exit_code"] == 0, is_good, "{document}");
        let message = document["checks"][0]["message"].as_str().expect("words");
        assert_eq!(message.contains("unexpected shape"), !is_good, "{message}");
        let remedy = document["checks"][0]["remedy"].as_str().unwrap_or_default();
        assert_eq!(remedy.contains("please report"), !is_good, "{remedy}");
    }
    // The probe also fails where the call that describes the images fails.
    let (world, _) = tokyo(3, 0);
    world.behave(reworded(spoil(IMAGES, 2, "IsShareable", json!(null))));
    let ids: Vec<_> = (0..3)
        .map(|n| ImageId::new(&id(n)).expect("an id"))
        .collect();
    let client = world.client();
    assert!(client.describe_images(region, &ids, None).await.is_err());
    assert!(
        client
            .probe(ProbeTarget::Images(&ids), region)
            .await
            .is_err()
    );
}

//! Tests calls of Lighthouse against a cloud: its states, codes, pages, limits and faults, and the checks of a world
//! file.

use chrono::{DateTime, Utc};

use super::*;
use crate::api::protocol::sign::{CONTENT_TYPE, Credentials, ToSign};
use crate::api::protocol::wire::Service;
use crate::model::Secret;
use crate::model::fixtures_tests::elapsed_ms;
use crate::sim::faults::FaultTiming;

#[path = "cloud_images_tests.rs"]
mod images;

const HOST: &str = "ap-tokyo.localhost:7980";

fn real() -> Timestamp {
    DateTime::<Utc>::from_timestamp(1_790_000_000, 0).expect("a date")
}

fn cloud(yaml: &str) -> Cloud {
    Cloud::new(World::parse(yaml).expect("a world"))
}

/// A call of Lighthouse, signed with the default account's key.
pub(in crate::sim) fn signed_call(action: &str, body: &Value, timestamp: i64) -> IncomingCall {
    signed_call_to(Service::Lighthouse, action, body, timestamp)
}

fn signed_call_to(service: Service, action: &str, body: &Value, timestamp: i64) -> IncomingCall {
    let body = body.to_string().into_bytes();
    let to_sign = ToSign {
        service: service.as_str(),
        host: HOST,
        content_type: CONTENT_TYPE,
        timestamp,
        body: &body,
        extra_headers: &[],
    };
    let account = Account::default();
    let credentials = Credentials::new(account.secret_id, Secret::new(account.secret_key), None);
    let authorization = to_sign.authorization(&credentials).expect("a date");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", CONTENT_TYPE),
        ("x-tc-action", action),
        ("x-tc-version", service.version()),
        ("x-tc-region", "ap-tokyo"),
        ("x-tc-timestamp", &timestamp.to_string()),
        ("x-tc-language", "en-US"),
    ];
    let headers = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    IncomingCall {
        host: HOST.into(),
        headers,
        body,
    }
}

fn send(cloud: &mut Cloud, signed_call: &IncomingCall, milliseconds: u64) -> Value {
    cloud
        .answer(signed_call, elapsed_ms(milliseconds), real())
        .body["Response"]
        .take()
}

fn call(cloud: &mut Cloud, action: &str, body: Value, milliseconds: u64) -> Value {
    send(
        cloud,
        &signed_call(action, &body, real().timestamp()),
        milliseconds,
    )
}

fn modify(cloud: &mut Cloud, image: &str, permission: &str) -> Value {
    call(
        cloud,
        "ModifyImageSharePermission",
        json!({"ImageId": image, "Permission": permission}),
        0,
    )
}

fn code(reply: &Value) -> &str {
    reply["Error"]["Code"].as_str().unwrap_or("ok")
}

#[test]
fn share_and_cancel_show_in_the_list_of_blueprints() {
    let mut cloud = cloud("accounts: [{images: [{id: img-a, regions: [ap-tokyo]}]}]");
    let shared = modify(&mut cloud, "img-a", "SHARE");
    let blueprint = shared["BlueprintId"].as_str().expect("a blueprint");
    let filter = json!({"Filters": [{"Name": "blueprint-type", "Values": ["PRIVATE", "SHARED"]}]});
    let list = call(&mut cloud, "DescribeBlueprints", filter.clone(), 1);
    assert_eq!(list["TotalCount"], 1);
    assert_eq!(
        (
            &list["BlueprintSet"][0]["BlueprintId"],
            &list["BlueprintSet"][0]["ImageId"]
        ),
        (&json!(blueprint), &json!("img-a"))
    );
    assert_eq!(
        code(&modify(&mut cloud, "img-a", "SHARE")),
        "UnsupportedOperation.ImageAlreadyShared"
    );
    let cancelled = modify(&mut cloud, "img-a", "CANCEL");
    assert_eq!(
        (code(&cancelled), &cancelled["BlueprintId"]),
        ("ok", &Value::Null)
    );
    assert_eq!(
        call(&mut cloud, "DescribeBlueprints", filter, 1)["TotalCount"],
        0
    );
    let everything = call(&mut cloud, "DescribeBlueprints", json!({}), 1);
    assert_eq!(
        everything["BlueprintSet"][0]["ImageId"], "",
        "a public blueprint has no shared image"
    );
}

#[test]
fn each_precondition_and_error_code_has_a_test_image() {
    let mut cloud = cloud(
        "accounts: [{images: [
            {id: img-ok, regions: [ap-tokyo]}, {id: img-imported, regions: [ap-tokyo], source: EXTERNAL_IMPORT}, {id: img-whole, regions: [ap-tokyo], class: InstanceImage},
            {id: img-nocloudinit, regions: [ap-tokyo], cloudInit: false}, {id: img-os, regions: [ap-tokyo], osAccepted: false}, {id: img-creating, regions: [ap-tokyo], state: CREATING},
            {id: img-busy, regions: [ap-tokyo], occupiedCalls: 1}, {id: img-inuse, regions: [ap-tokyo], shared: true, inUse: true},
            {id: img-internal, regions: [ap-tokyo], error: InternalError.RequestError},
        ]}]",
    );
    for image in ["imported", "whole", "nocloudinit", "os", "creating"] {
        let reply = modify(&mut cloud, &format!("img-{image}"), "SHARE");
        assert_eq!(
            code(&reply),
            "UnsupportedOperation.ImageUnableToShare",
            "{image}"
        );
        let ids = json!({"ImageIds": [format!("img-{image}")]});
        let row = call(&mut cloud, "DescribeImagesToShare", ids, 0)["ImageSet"][0].take();
        assert_eq!(row["IsShareable"], false, "{image}");
        assert_ne!(row["UnshareableReason"], "", "{image}");
    }
    for (image, permission, expected) in [
        ("img-busy", "SHARE", "UnsupportedOperation.ImageOccupied"),
        ("img-busy", "SHARE", "ok"),
        ("img-inuse", "CANCEL", "ResourceInUse.ImageInUse"),
        ("img-internal", "SHARE", "InternalError.RequestError"),
        ("img-gone", "SHARE", "ResourceNotFound.ImageIdNotFound"),
        (
            "img_bad",
            "SHARE",
            "InvalidParameterValue.InvalidImageIdMalformed",
        ),
        (
            "img-ok",
            "CANCEL",
            "UnsupportedOperation.BlueprintHasNotShared",
        ),
        ("img-ok", "CANEL", "InvalidParameterValue"),
        ("img-ok", "SHARE", "ok"),
    ] {
        assert_eq!(
            code(&modify(&mut cloud, image, permission)),
            expected,
            "{image} {permission}"
        );
    }
}

#[test]
fn roles_and_denials_apply_to_the_account() {
    let mut missing =
        cloud("accounts: [{role: missing, images: [{id: img-a, regions: [ap-tokyo]}]}]");
    assert_eq!(
        code(&modify(&mut missing, "img-a", "SHARE")),
        "ResourceNotFound.RoleNotFound"
    );
    let mut denied =
        cloud("accounts: [{role: denied, images: [{id: img-a, regions: [ap-tokyo]}]}]");
    assert_eq!(
        code(&modify(&mut denied, "img-a", "SHARE")),
        "UnsupportedOperation.AssumeRoleFailed"
    );
    let mut read_denied = cloud(
        "accounts: [{deny: [DescribeBlueprints], images: [{id: img-a, regions: [ap-tokyo]}]}]",
    );
    assert_eq!(
        code(&call(&mut read_denied, "DescribeBlueprints", json!({}), 0)),
        "UnauthorizedOperation.NoPermission"
    );
    assert_eq!(code(&modify(&mut read_denied, "img-a", "SHARE")), "ok");
}

#[test]
fn wrong_signatures_get_their_own_error_codes() {
    let mut cloud = cloud("{}");
    let now = real().timestamp();
    let good = signed_call("DescribeBlueprints", &json!({}), now);
    assert_eq!(code(&send(&mut cloud, &good, 0)), "ok");
    let changed = |name: &str, value: &str| {
        let mut call = good.clone();
        call.headers.retain(|(known, _)| known != name);
        call.headers.push((name.into(), value.into()));
        call
    };
    let authorization = good.header("authorization").expect("signed").to_owned();
    for (call, expected) in [
        (
            IncomingCall {
                body: b"{ }".to_vec(),
                ..good.clone()
            },
            "AuthFailure.SignatureFailure",
        ),
        (
            IncomingCall {
                host: "elsewhere".into(),
                ..good.clone()
            },
            "AuthFailure.SignatureFailure",
        ),
        (
            changed("content-type", "text/plain"),
            "AuthFailure.SignatureFailure",
        ),
        (
            changed(
                "authorization",
                &authorization.replace("AKIDsim", "AKIDsom"),
            ),
            "AuthFailure.SecretIdNotFound",
        ),
        (
            changed("authorization", "Basic eDp5"),
            "AuthFailure.InvalidAuthorization",
        ),
        (changed("x-tc-token", "t"), "AuthFailure.TokenFailure"),
        (changed("x-tc-version", "2017-03-12"), "NoSuchVersion"),
        (changed("x-tc-action", "RunInstances"), "InvalidAction"),
        (changed("x-tc-region", ""), "MissingParameter"),
        (changed("x-tc-region", "ap-mumbai"), "UnsupportedRegion"),
        (
            signed_call("DescribeBlueprints", &json!({}), now - 301),
            "AuthFailure.SignatureExpire",
        ),
        (
            signed_call("DescribeBlueprints", &json!({"Extra": 1}), now),
            "UnknownParameter",
        ),
        (
            signed_call(
                "ModifyImageSharePermission",
                &json!({"ImageId": "img-a"}),
                now,
            ),
            "MissingParameter",
        ),
        (
            signed_call("DescribeBlueprints", &json!({"Limit": 101}), now),
            "InvalidParameterValue.OutOfRange",
        ),
        (
            signed_call("DescribeBlueprints", &json!({"Offset": -1}), now),
            "InvalidParameterValue.Negative",
        ),
    ] {
        assert_eq!(code(&send(&mut cloud, &call, 60_000)), expected);
        cloud.limiter = Limiter::default();
    }
    assert_eq!(
        code(&send(
            &mut cloud,
            &signed_call("DescribeBlueprints", &json!({}), now - 299),
            90_000
        )),
        "ok"
    );
}

#[test]
fn s13_sts_identifies_the_key_at_its_own_rate() {
    let mut cloud = cloud("accounts: [{uin: '100000000007'}]");
    let now = real().timestamp();
    let ask = |body: Value| signed_call_to(Service::Sts, "GetCallerIdentity", &body, now);
    let identity = send(&mut cloud, &ask(json!({})), 0);
    assert_eq!(
        (
            &identity["AccountId"],
            &identity["Arn"],
            &identity["Type"],
            identity["RequestId"].is_string()
        ),
        (
            &json!("100000000007"),
            &json!("qcs::cam:100000000007:uin/100000000007"),
            &json!("CAMUser"),
            true
        )
    );
    let extra = send(&mut cloud, &ask(json!({"Extra": 1})), 0);
    assert_eq!(code(&extra), "UnknownParameter");
    for _ in 2..20 {
        assert_eq!(code(&send(&mut cloud, &ask(json!({})), 0)), "ok");
    }
    let one_more = send(&mut cloud, &ask(json!({})), 999);
    assert_eq!(code(&one_more), "RequestLimitExceeded");
    let other = call(&mut cloud, "DescribeBlueprints", json!({}), 999);
    assert_eq!(code(&other), "ok", "another action has another window");
}

#[test]
fn an_action_belongs_to_one_service_and_version() {
    let mut cloud = cloud("{}");
    let now = real().timestamp();
    for (service, action, version, expected) in [
        (Service::Sts, "GetCallerIdentity", "2018-08-13", "ok"),
        (
            Service::Sts,
            "GetCallerIdentity",
            "2020-03-24",
            "NoSuchVersion",
        ),
        (
            Service::Sts,
            "DescribeBlueprints",
            "2018-08-13",
            "InvalidAction",
        ),
        (
            Service::Lighthouse,
            "GetCallerIdentity",
            "2020-03-24",
            "InvalidAction",
        ),
        (
            Service::Lighthouse,
            "DescribeBlueprints",
            "2018-08-13",
            "NoSuchVersion",
        ),
    ] {
        let mut call = signed_call_to(service, action, &json!({}), now);
        call.headers.retain(|(name, _)| name != "x-tc-version");
        call.headers.push(("x-tc-version".into(), version.into()));
        let reply = send(&mut cloud, &call, 0);
        assert_eq!(code(&reply), expected, "{service:?} {action} {version}");
    }
    // The scope names a different service than the signature.
    let mut forged = signed_call("DescribeBlueprints", &json!({}), now);
    for (name, value) in &mut forged.headers {
        if name == "authorization" {
            *value = value.replace("/lighthouse/", "/sts/");
        }
    }
    let reply = send(&mut cloud, &forged, 0);
    assert_eq!(code(&reply), "AuthFailure.SignatureFailure");
}

#[test]
fn c1_the_worlds_clock_counts() {
    let mut cloud = cloud("{clockOffset: -10m}");
    assert_eq!(
        code(&call(&mut cloud, "DescribeBlueprints", json!({}), 0)),
        "AuthFailure.SignatureExpire"
    );
    let slow = signed_call("DescribeBlueprints", &json!({}), real().timestamp() - 600);
    let reply = cloud.answer(&slow, elapsed_ms(0), real());
    assert_eq!(code(&reply.body["Response"]), "ok");
    assert_eq!(real() - reply.date, chrono::TimeDelta::minutes(10));
}

#[test]
fn reads_lag_by_exactly_the_worlds_read_lag() {
    let mut cloud =
        cloud("{readLag: 3s, accounts: [{images: [{id: img-a, regions: [ap-tokyo]}]}]}");
    let body = json!({"ImageId": "img-a", "Permission": "SHARE"});
    assert_eq!(
        code(&call(
            &mut cloud,
            "ModifyImageSharePermission",
            body,
            10_000
        )),
        "ok"
    );
    let mut total = |milliseconds| {
        let filter = json!({"Filters": [{"Name": "blueprint-type", "Values": ["PRIVATE"]}]});
        call(&mut cloud, "DescribeBlueprints", filter, milliseconds)["TotalCount"].clone()
    };
    assert_eq!(total(12_999), 0);
    assert_eq!(total(13_000), 1);
}

#[test]
fn pages_and_generated_images() {
    let mut cloud =
        cloud("accounts: [{generate: [{count: 130, shared: true, regions: [ap-tokyo]}]}]");
    let mut page = |offset: i64| {
        let body = json!({"Offset": offset, "Limit": 100, "Filters": [{"Name": "blueprint-type", "Values": ["PRIVATE"]}]});
        let page = call(&mut cloud, "DescribeBlueprints", body, 0);
        (
            page["TotalCount"].as_u64(),
            page["BlueprintSet"].as_array().map(Vec::len),
        )
    };
    assert_eq!(page(0), (Some(130), Some(100)));
    assert_eq!(page(100), (Some(130), Some(30)));
    assert_eq!(page(200), (Some(130), Some(0)));
}

#[test]
fn throttled_calls_change_nothing_and_are_counted() {
    let mut cloud = cloud(
        "{limits: {ModifyImageSharePermission: 1}, accounts: [{images: [{id: img-a, regions: [ap-tokyo]}, {id: img-b, regions: [ap-tokyo]}]}]}",
    );
    assert_eq!(code(&modify(&mut cloud, "img-a", "SHARE")), "ok");
    assert_eq!(
        code(&modify(&mut cloud, "img-b", "SHARE")),
        "RequestLimitExceeded"
    );
    let count = cloud.limiter.counts()[0].1;
    assert_eq!(
        (count.calls, count.throttled, count.busiest_second),
        (2, 1, 1)
    );
    let body = json!({"ImageId": "img-b", "Permission": "SHARE"});
    assert_eq!(
        code(&call(&mut cloud, "ModifyImageSharePermission", body, 1_000)),
        "ok"
    );
}

#[test]
fn a_fault_applies_to_its_calls_before_or_after_the_effect() {
    let mut cloud = cloud(
        "faults:
          - {action: ModifyImageSharePermission, image: img-a, times: 1, kind: cut, when: after}
          - {action: ModifyImageSharePermission, image: img-b, skip: 1, times: 1, kind: html}
          - {action: DescribeBlueprints, offset: 100, kind: error, code: InternalError}
          - {action: DescribeBlueprints, kind: wrongTotal}
        ",
    );
    for image in ["img-a", "img-b"] {
        cloud.put_image(
            0,
            Image {
                id: image.into(),
                regions: vec!["ap-tokyo".into()],
                ..Image::default()
            },
        );
    }
    let write = |image: &str| {
        signed_call(
            "ModifyImageSharePermission",
            &json!({"ImageId": image, "Permission": "SHARE"}),
            real().timestamp(),
        )
    };
    let fault = cloud.answer(&write("img-a"), elapsed_ms(0), real()).fault;
    assert_eq!(fault, Some(ReplyFault::HangUpAfter(Duration::ZERO)));
    assert_eq!(
        code(&modify(&mut cloud, "img-a", "SHARE")),
        "UnsupportedOperation.ImageAlreadyShared",
        "the fault was after the effect"
    );
    assert_eq!(
        code(&modify(&mut cloud, "img-b", "CANCEL")),
        "UnsupportedOperation.BlueprintHasNotShared",
        "the first call passes"
    );
    assert!(matches!(
        cloud.answer(&write("img-b"), elapsed_ms(0), real()).fault,
        Some(ReplyFault::Replaced { status: 200, .. })
    ));
    assert_eq!(
        code(&modify(&mut cloud, "img-b", "SHARE")),
        "ok",
        "the fault was before the effect"
    );
    assert_eq!(
        code(&call(
            &mut cloud,
            "DescribeBlueprints",
            json!({"Offset": 100}),
            0
        )),
        "InternalError"
    );
    assert_eq!(
        call(&mut cloud, "DescribeBlueprints", json!({}), 0)["TotalCount"],
        4,
        "two shared, one public, one too many"
    );
    assert_eq!(cloud.world.faults[0].when, FaultTiming::After);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed: u64| {
        let world = format!(
            "{{seed: {seed}, latency: {{min: 10ms, max: 90ms}}, faults: [{{rate: 0.5, kind: cut}}]}}"
        );
        let mut cloud = cloud(&world);
        let mut log = Vec::new();
        for n in 0..50 {
            log.push(format!("{:?}", cloud.sample_delay("h")));
            let reply = cloud.answer(
                &signed_call("DescribeBlueprints", &json!({}), real().timestamp()),
                elapsed_ms(n * 200),
                real(),
            );
            log.push(format!("{reply:?}"));
        }
        log
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_host_keeps_its_distance_and_jitter_delays_only_the_call() {
    let mut cloud =
        cloud("{latency: {min: 60ms, max: 120ms, each: host}, jitter: 40ms, accounts: [{}]}");
    let mut delays = |host: &str| -> Vec<_> { (0..50).map(|_| cloud.sample_delay(host)).collect() };
    let (near, far) = (delays("a"), delays("b"));
    let until_reply = near[0].until_reply;
    assert!(
        (30..=60).contains(&until_reply.as_millis()),
        "{until_reply:?}"
    );
    assert!(
        near.iter().all(|delay| delay.until_reply == until_reply),
        "the distance is constant"
    );
    assert_ne!(far[0].until_reply, until_reply);
    let late = |delay: &LinkDelay| (delay.until_arrival - delay.until_reply).as_millis();
    assert!(near.iter().all(|delay| late(delay) <= 40));
    assert!(near.iter().any(|delay| late(delay) > 20) && near.iter().any(|delay| late(delay) < 20));
    assert_eq!(delays("a")[0].until_reply, until_reply);
}

#[test]
fn a_world_is_the_same_after_writing_and_reading() {
    let mut cloud = cloud(
        "{readLag: 3s, clockOffset: -10m, accounts: [{images: [{id: img-a, regions: [ap-tokyo]}, {id: img-b, regions: [ap-tokyo]}]}]}",
    );
    cloud.world.clock_offset = Default::default();
    assert_eq!(code(&modify(&mut cloud, "img-a", "SHARE")), "ok");
    let text = serde_json::to_string(&cloud.world()).expect("JSON");
    let again = World::parse(&text).expect("JSON is YAML");
    let shared: Vec<_> = again.accounts[0]
        .images
        .iter()
        .filter(|image| image.shared)
        .collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(
        (shared[0].id.as_str(), shared[0].regions.as_slice()),
        ("img-a", ["ap-tokyo".to_owned()].as_slice())
    );
    assert_eq!(again.accounts[0].images.len(), 2);
    assert_eq!(again.read_lag.to_string(), "3s");
}

#[test]
fn mistakes_in_a_world_are_named() {
    for (text, words) in [
        ("{readLagg: 3s}", "readLagg"),
        ("{readLag: soon}", "soon"),
        ("{limits: {RunInstances: 3}}", "RunInstances"),
        (
            "{accounts: [{images: [{id: img-a, regions: [mars]}]}]}",
            "mars",
        ),
        ("{accounts: [{}, {}]}", "secretId"),
        ("{latency: {min: 2s, max: 1s}}", "latency"),
    ] {
        let error = World::parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn the_example_world_is_valid() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/simulator/world.yaml");
    let world = World::load(&path).expect("a world");
    assert_eq!(world.faults.len(), 3);
    assert_eq!(
        Cloud::new(world)
            .images_in(0, Region::new("ap-tokyo").expect("a region"))
            .count(),
        131
    );
}

#[test]
fn a_saved_world_keeps_its_blueprints_and_reuses_none() {
    let image = |id: &str, shared| Image {
        id: id.into(),
        regions: vec!["ap-tokyo".into()],
        shared,
        ..Image::default()
    };
    let mut world = World::default();
    world.accounts[0].images = vec![image("img-a", true), image("img-b", false)];
    let mut cloud = Cloud::new(world);
    let key = |id: &str| (0, Region::new("ap-tokyo").expect("a region"), id.to_owned());
    assert!(cloud.set_shared(&key("img-b"), true, Monotonic::default()));
    let blueprints = |cloud: &Cloud| {
        ["img-a", "img-b"].map(|id| cloud.images[&key(id)].blueprint().map(str::to_owned))
    };
    let before = blueprints(&cloud);
    let mut again = Cloud::new(cloud.world());
    assert_eq!(blueprints(&again), before);
    assert!(again.set_shared(&key("img-a"), false, Monotonic::default()));
    assert!(again.set_shared(&key("img-a"), true, Monotonic::default()));
    let after = blueprints(&again);
    assert_ne!(
        after[0], before[0],
        "after another share, it is another blueprint"
    );
    assert_ne!(after[0], after[1]);
}

/// Id and state of each blueprint of an image.
fn blueprints_of(cloud: &mut Cloud, image: &str, milliseconds: u64) -> Vec<(String, String)> {
    let list = call(
        cloud,
        "DescribeBlueprints",
        json!({"Limit": 100}),
        milliseconds,
    );
    let rows = list["BlueprintSet"].as_array().expect("rows").iter();
    let of_image = rows.filter(|row| row["ImageId"] == image);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    of_image
        .map(|row| (text(&row["BlueprintId"]), text(&row["BlueprintState"])))
        .collect()
}

#[test]
fn t4_a_blueprint_gets_the_state_from_the_world_or_an_admin_call() {
    let mut cloud = cloud(
        "syncTime: 5s
accounts: [{images: [{id: img-a, regions: [ap-tokyo], shared: true, blueprintId: lhbp-0000000a, blueprintState: OFFLINE}, \
         {id: img-b, regions: [ap-tokyo], blueprintState: SYNCING_FAILED}], blueprints: [{id: lhbp-twin, imageId: img-a, state: CREATEFAILED}, \
         {id: lhbp-far, imageId: img-a, regions: [ap-seoul]}]}]",
    );
    let ours = |state: &str| ("lhbp-0000000a".to_owned(), state.to_owned());
    let twin = ("lhbp-twin".to_owned(), "CREATEFAILED".to_owned());
    assert_eq!(
        blueprints_of(&mut cloud, "img-a", 0),
        [ours("OFFLINE"), twin.clone()]
    );
    let share = json!({"ImageId": "img-b", "Permission": "SHARE"});
    let shared = call(&mut cloud, "ModifyImageSharePermission", share, 1_000);
    assert_eq!(shared["Error"], Value::Null);
    let state = |cloud: &mut Cloud, at| blueprints_of(cloud, "img-b", at)[0].1.clone();
    let began = state(&mut cloud, 2_000);
    assert_eq!(
        [began, state(&mut cloud, 60_000)],
        ["SYNCING", "SYNCING_FAILED"]
    );
    let change = |cloud: &mut Cloud, body: Value| {
        let body = body.to_string();
        super::super::admin::handle(
            cloud,
            "POST",
            "/_sim/blueprint",
            body.as_bytes(),
            SimTime {
                now: elapsed_ms(60_000),
                wall_time: real(),
            },
        )
        .0
    };
    let to_normal = json!({"region": "ap-tokyo", "blueprint": "lhbp-0000000a", "state": "NORMAL"});
    assert_eq!(change(&mut cloud, to_normal), 200);
    let gone = json!({"region": "ap-tokyo", "blueprint": "lhbp-twin", "deleted": true});
    assert_eq!(change(&mut cloud, gone.clone()), 200);
    assert_eq!(blueprints_of(&mut cloud, "img-a", 60_000), [ours("NORMAL")]);
    assert_eq!(change(&mut cloud, gone), 400, "it no longer exists");
}

#[test]
fn t5_t8_a_deleted_image_leaves_a_blueprint_and_is_not_found() {
    let mut cloud = cloud(
        "accounts: [{images: [{id: img-a, regions: [ap-tokyo], shared: true}, {id: img-b, regions: [ap-tokyo]}, {id: img-c, regions: [ap-tokyo], received: true}]}]",
    );
    let body = json!({"region": "ap-tokyo", "image": "img-a"}).to_string();
    let path = "/_sim/delete-image";
    let (status, _) = super::super::admin::handle(
        &mut cloud,
        "POST",
        path,
        body.as_bytes(),
        SimTime {
            now: elapsed_ms(0),
            wall_time: real(),
        },
    );
    assert_eq!(status, 200);
    for permission in ["CANCEL", "SHARE"] {
        let reply = modify(&mut cloud, "img-a", permission);
        assert_eq!(code(&reply), "ResourceNotFound.ImageIdNotFound");
    }
    assert_eq!(
        blueprints_of(&mut cloud, "img-a", 0).len(),
        1,
        "the blueprint is left over"
    );
    let ids = |cloud: &mut Cloud, body: Value| {
        let list = call(cloud, "DescribeImagesToShare", body, 0);
        let rows = list["ImageSet"].as_array().expect("rows").clone();
        let ids = rows
            .iter()
            .map(|row| row["ImageId"].as_str().expect("an id").to_owned());
        ids.collect::<Vec<_>>()
    };
    let of_type = |kind: &str| json!({"Filters": [{"Name": "image-type", "Values": [kind]}]});
    assert_eq!(ids(&mut cloud, of_type("PRIVATE_IMAGE")), ["img-b"]);
    assert_eq!(ids(&mut cloud, of_type("SHARED_IMAGE")), ["img-c"]);
    assert_eq!(
        ids(&mut cloud, json!({"ImageIds": ["img-a", "img-b"]})),
        ["img-b"]
    );
    // The saved world has the same blueprint and images.
    let mut again = Cloud::new(cloud.world());
    assert_eq!(blueprints_of(&mut again, "img-a", 0).len(), 1);
    assert_eq!(ids(&mut again, of_type("PRIVATE_IMAGE")), ["img-b"]);
}

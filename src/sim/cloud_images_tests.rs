//! Tests images by name, in CVM and on servers: ids by region, copies, builds on a schedule, and servers' blueprints.

use std::collections::BTreeSet;

use super::*;

const REGIONS: &str = "regions: [ap-tokyo]";

fn cvm(cloud: &mut Cloud, body: &Value) -> Value {
    let call = signed_call_to(Service::Cvm, "DescribeImages", body, real().timestamp());
    send(cloud, &call, 0)
}

/// Calls one of the simulator's own paths.
fn admin(cloud: &mut Cloud, call: &str, body: Value, milliseconds: u64) -> (u16, Value) {
    let time = SimTime {
        now: elapsed_ms(milliseconds),
        wall_time: real() + chrono::TimeDelta::milliseconds(milliseconds.cast_signed()),
    };
    let (path, body) = (format!("/_sim/{call}"), body.to_string());
    super::super::super::admin::handle(cloud, "POST", &path, body.as_bytes(), time)
}

/// Name, state and CreatedTime of each image of a region, by name.
fn images(cloud: &mut Cloud, region: &str, milliseconds: u64) -> Vec<[String; 3]> {
    cloud.advance(SimTime {
        now: elapsed_ms(milliseconds),
        wall_time: real() + chrono::TimeDelta::milliseconds(milliseconds.cast_signed()),
    });
    let region = Region::new(region).expect("a region");
    let mut rows: Vec<_> = cloud
        .images_in(0, region)
        .map(|regional| {
            let image = &regional.image;
            let name = regional.name().to_owned();
            [name, image.state.clone(), image.created_time.clone()]
        })
        .collect();
    rows.sort();
    rows
}

fn names(rows: &[[String; 3]]) -> Vec<&str> {
    rows.iter().map(|[name, ..]| name.as_str()).collect()
}

/// The time this many milliseconds after the world began, in the form of CreatedTime.
fn time(milliseconds: i64) -> String {
    let time = real() + chrono::TimeDelta::milliseconds(milliseconds);
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn cvm_returns_family_tags_and_deprecation_and_filters() {
    let mut cloud = cloud(&format!(
        "limits: {{DescribeImages: 100}}
accounts: [{{images: [
            {{id: img-a, name: golden-1, {REGIONS}, family: golden, tags: {{release: stable}}, deprecated: true}},
            {{id: img-b, name: golden-2, {REGIONS}}}, {{id: img-c, name: base, {REGIONS}, received: true}},
            {{id: img-d, name: gone, {REGIONS}, deleted: true}}, {{id: img-e, name: far, regions: [ap-seoul]}}]}}]"
    ));
    let all = cvm(&mut cloud, &json!({}));
    assert_eq!(all["TotalCount"], 3, "{all}");
    let row = &all["ImageSet"][0];
    assert_eq!(
        [
            &row["ImageFamily"],
            &row["ImageDeprecated"],
            &row["Tags"],
            &row["ImageType"]
        ],
        [
            &json!("golden"),
            &json!(true),
            &json!([{"Key": "release", "Value": "stable"}]),
            &json!("PRIVATE_IMAGE")
        ]
    );
    let mut ids = |name: &str, value: &str| {
        let list = cvm(
            &mut cloud,
            &json!({"Filters": [{"Name": name, "Values": [value]}]}),
        );
        let rows = list["ImageSet"].as_array().expect("rows").clone();
        let ids = rows
            .iter()
            .map(|row| row["ImageId"].as_str().expect("an id").to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    for (name, value, expected) in [
        ("image-type", "PRIVATE_IMAGE", "img-a img-b"),
        ("image-type", "SHARED_IMAGE", "img-c"),
        ("image-name", "golden", "img-a img-b"),
        ("image-id", "img-b", "img-b"),
        ("tag:release", "stable", "img-a"),
        ("tag:release", "beta", ""),
        ("tag-key", "release", "img-a"),
    ] {
        assert_eq!(ids(name, value), expected, "{name}={value}");
    }
    let page = cvm(&mut cloud, &json!({"Offset": 2, "Limit": 1}));
    assert_eq!(
        (
            page["TotalCount"].as_u64(),
            page["ImageSet"].as_array().map(Vec::len)
        ),
        (Some(3), Some(1))
    );
    for (body, expected) in [
        (json!({"Limit": 101}), "InvalidParameterValueLimit"),
        (json!({"Offset": -1}), "InvalidParameterValueOffset"),
        (
            json!({"Filters": [{"Name": "colour", "Values": []}]}),
            "InvalidFilter",
        ),
        (json!({"ImageIds": ["img-z"]}), "InvalidImageId.NotFound"),
        (json!({"ImageIds": ["z"]}), "InvalidImageId.Malformed"),
        (json!({"Colour": 1}), "UnknownParameter"),
    ] {
        assert_eq!(code(&cvm(&mut cloud, &body)), expected, "{body}");
    }
}

#[test]
fn cvm_and_instances_check_service_version_and_permission() {
    let mut cloud = cloud("accounts: [{deny: [DescribeInstances, DescribeImages]}]");
    assert_eq!(
        code(&cvm(&mut cloud, &json!({}))),
        "UnauthorizedOperation.PermissionDenied"
    );
    let instances = call(&mut cloud, "DescribeInstances", json!({}), 0);
    assert_eq!(code(&instances), "UnauthorizedOperation.NoPermission");
    let now = real().timestamp();
    for (service, action) in [
        (Service::Cvm, "DescribeInstances"),
        (Service::Cvm, "ModifyImageSharePermission"),
        (Service::Lighthouse, "DescribeImages"),
    ] {
        let call = signed_call_to(service, action, &json!({}), now);
        assert_eq!(
            code(&send(&mut cloud, &call, 0)),
            "InvalidAction",
            "{action}"
        );
    }
    let mut old = signed_call_to(Service::Cvm, "DescribeImages", &json!({}), now);
    old.headers.retain(|(name, _)| name != "x-tc-version");
    old.headers
        .push(("x-tc-version".into(), "2020-03-24".into()));
    assert_eq!(code(&send(&mut cloud, &old, 0)), "NoSuchVersion");
}

#[test]
fn cvm_has_its_own_limit_of_ten_calls_a_second() {
    let mut cloud = cloud("{}");
    for _ in 0..10 {
        assert_eq!(code(&cvm(&mut cloud, &json!({}))), "ok");
    }
    assert_eq!(code(&cvm(&mut cloud, &json!({}))), "RequestLimitExceeded");
    assert_eq!(
        code(&call(&mut cloud, "DescribeInstances", json!({}), 0)),
        "ok"
    );
}

#[test]
fn a_server_uses_the_current_or_last_blueprint_of_its_image() {
    let mut cloud = cloud(&format!(
        "accounts: [{{images: [{{name: golden, {REGIONS}, shared: true, blueprintId: lhbp-0000000a}}, {{name: new, {REGIONS}}}],
          instances: [{{id: lhins-1, region: ap-tokyo, image: golden, tags: {{team: web}}}}, {{id: lhins-2, region: ap-tokyo, blueprint: lhbp-x}},
            {{id: lhins-3, region: ap-tokyo, image: new}}, {{id: lhins-4, region: ap-seoul, blueprint: lhbp-x}}]}}]"
    ));
    let used = |cloud: &mut Cloud, body: Value| {
        let list = call(cloud, "DescribeInstances", body, 5_000);
        let rows = list["InstanceSet"].as_array().expect("rows").clone();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let rows = rows
            .iter()
            .map(|row| format!("{}={}", text(&row["InstanceId"]), text(&row["BlueprintId"])));
        rows.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        used(&mut cloud, json!({})),
        "lhins-1=lhbp-0000000a lhins-2=lhbp-x"
    );
    assert_eq!(
        used(
            &mut cloud,
            json!({"Filters": [{"Name": "tag:team", "Values": ["web"]}]})
        ),
        "lhins-1=lhbp-0000000a"
    );
    assert_eq!(
        used(&mut cloud, json!({"InstanceIds": ["lhins-2"]})),
        "lhins-2=lhbp-x"
    );
    let golden = derived_id(
        "default",
        Region::new("ap-tokyo").expect("a region"),
        "golden",
        0,
    );
    assert_eq!(code(&modify(&mut cloud, &golden, "CANCEL")), "ok");
    assert_eq!(
        used(&mut cloud, json!({"Limit": 1})),
        "lhins-1=lhbp-0000000a",
        "it keeps the blueprint that it was created from"
    );
    assert_eq!(
        admin(
            &mut cloud,
            "share",
            json!({"region": "ap-tokyo", "image": "new", "shared": true}),
            6_000
        )
        .0,
        200
    );
    assert!(used(&mut cloud, json!({})).contains("lhins-3=lhbp-"));
    let gone = json!({"remove": ["lhins-1", "lhins-3"], "instances": [{"id": "lhins-2", "region": "ap-tokyo", "blueprint": "lhbp-y"}]});
    assert_eq!(admin(&mut cloud, "instances", gone, 6_000).0, 200);
    assert_eq!(used(&mut cloud, json!({})), "lhins-2=lhbp-y");
    let bad = call(
        &mut cloud,
        "DescribeInstances",
        json!({"Filters": [{"Name": "blueprint-id", "Values": []}]}),
        9_000,
    );
    assert_eq!(code(&bad), "InvalidParameter.InvalidFilterNotSupportedName");
}

#[test]
fn an_image_has_one_name_and_a_different_id_in_each_region() {
    let text = "accounts: [{images: [{name: golden, regions: [ap-tokyo, ap-seoul], createdTimes: {ap-seoul: '2026-02-02T08:00:00Z'}},
        {name: base, ids: {ap-tokyo: img-t, ap-seoul: img-s}}], generate: [{count: 2, prefix: img-g, regions: [ap-tokyo, ap-seoul]}]}]";
    let (mut first, second) = (cloud(text), cloud(text));
    let ids = |cloud: &Cloud| {
        cloud
            .images
            .keys()
            .map(|(.., id)| id.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&first).len(), 8, "no id is in two regions");
    assert_eq!(ids(&first), ids(&second), "the same in every run");
    let seoul = images(&mut first, "ap-seoul", 0);
    assert_eq!(
        names(&seoul),
        ["base", "golden", "img-g00000002", "img-g00000003"]
    );
    assert_eq!(seoul[1][2], "2026-02-02T08:00:00Z");
    assert_eq!(
        images(&mut first, "ap-tokyo", 0)[1][2],
        Image::default().created_time
    );
    let again = Cloud::new(
        World::parse(&serde_json::to_string(&first.world()).expect("JSON")).expect("a world"),
    );
    assert_eq!(ids(&again), ids(&first));
}

#[test]
fn impossible_images_are_refused() {
    for (images, words) in [
        ("[{id: img-a}]", "belongs to one region"),
        (
            "[{id: img-a, regions: [ap-tokyo, ap-seoul]}]",
            "belongs to one region",
        ),
        ("[{shared: true}]", "neither"),
        (
            "[{ids: {ap-tokyo: img-a, ap-seoul: img-b}}]",
            "needs a `name`",
        ),
        (
            "[{name: a, ids: {ap-tokyo: img-a, ap-seoul: img-a}}]",
            "one id in two regions",
        ),
        (
            "[{name: a, ids: {ap-tokyo: img-a}, regions: [ap-tokyo]}]",
            "in place of",
        ),
        ("[{name: a, ids: {mars: img-a}}]", "mars"),
        (
            "[{name: a, regions: [ap-tokyo], createdTimes: {ap-seoul: x}}]",
            "ap-seoul",
        ),
        ("[{name: a, blueprintId: lhbp-a}]", "blueprintId"),
        (
            "[{name: a}, {name: a, regions: [ap-tokyo]}]",
            "two images `a` in ap-tokyo",
        ),
    ] {
        let error = World::parse(&format!("accounts: [{{images: {images}}}]"))
            .expect_err(images)
            .to_string();
        assert!(error.contains(words), "{images}: {error}");
    }
    for (world, words) in [
        (
            "accounts: [{instances: [{id: lhins-1, region: ap-tokyo}]}]",
            "blueprint",
        ),
        (
            "accounts: [{instances: [{id: lhins-1, region: mars, image: a}]}]",
            "mars",
        ),
        ("builds: [{name: golden, regions: [ap-tokyo]}]", "{n}"),
        ("builds: [{name: 'a-{n}', regions: []}]", "regions"),
        (
            "builds: [{name: 'a-{n}', regions: [ap-tokyo], every: 0s}]",
            "every",
        ),
        (
            "builds: [{name: 'a-{n}', regions: [ap-tokyo], copyTo: [ap-tokyo]}]",
            "copyTo",
        ),
        (
            "builds: [{name: 'a-{n}', regions: [ap-tokyo], account: none}]",
            "none",
        ),
    ] {
        let error = World::parse(world).expect_err(world).to_string();
        assert!(error.contains(words), "{world}: {error}");
    }
}

#[test]
fn two_images_may_have_one_name_if_the_world_allows_it() {
    let mut cloud = cloud(&format!(
        "{{allowDoubleNames: true, accounts: [{{images: [{{name: golden, {REGIONS}}}, {{name: golden, {REGIONS}}}]}}]}}"
    ));
    let rows = images(&mut cloud, "ap-tokyo", 0);
    assert_eq!(names(&rows), ["golden", "golden"]);
}

#[test]
fn a_copy_gets_its_own_id_and_becomes_normal_later() {
    let mut cloud = cloud(&format!(
        "{{syncImageTime: 5s, accounts: [{{images: [{{id: img-a, name: golden, {REGIONS}, family: f, shared: true, inUse: true}},
          {{id: img-new, {REGIONS}, state: CREATING}}], generate: [{{count: 500, prefix: img-full, regions: [ap-bangkok]}}]}}]}}"
    ));
    let sync = |to: &[&str]| json!({"region": "ap-tokyo", "image": "golden", "to": to});
    let (status, reply) = admin(
        &mut cloud,
        "sync",
        sync(&["ap-seoul", "eu-frankfurt"]),
        10_000,
    );
    assert_eq!(status, 200, "{reply}");
    let ids: Vec<_> = reply["ids"].as_object().expect("ids").values().collect();
    assert!(ids[0] != ids[1] && *ids[0] != json!("img-a"), "{reply}");
    let copy = |state: &str| vec![["golden".to_owned(), state.to_owned(), time(10_000)]];
    assert_eq!(images(&mut cloud, "ap-seoul", 14_999), copy("SYNCING"));
    assert_eq!(images(&mut cloud, "ap-seoul", 15_000), copy("NORMAL"));
    let seoul = Region::new("ap-seoul").expect("a region");
    let copied = cloud.image_called(0, seoul, "golden").expect("a copy");
    assert_eq!(
        (
            copied.image.family.as_str(),
            copied.is_shared(),
            copied.image.in_use
        ),
        ("f", false, false)
    );
    for (body, words) in [
        (sync(&["ap-seoul"]), "already"),
        (sync(&["ap-tokyo"]), "each other region once"),
        (
            sync(&["ap-jakarta", "ap-jakarta"]),
            "each other region once",
        ),
        (sync(&["mars"]), "mars"),
        (sync(&["ap-bangkok"]), "500"),
        (
            json!({"region": "ap-tokyo", "image": "none", "to": ["ap-jakarta"]}),
            "no own image `none`",
        ),
        (
            json!({"region": "ap-tokyo", "image": "img-new", "to": ["ap-jakarta"]}),
            "CREATING",
        ),
    ] {
        let (status, reply) = admin(&mut cloud, "sync", body, 20_000);
        assert!(
            status == 400
                && reply["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(words)),
            "{words}: {reply}"
        );
    }
    let renamed =
        json!({"region": "ap-tokyo", "image": "img-a", "to": ["ap-seoul"], "name": "golden-copy"});
    assert_eq!(admin(&mut cloud, "sync", renamed, 20_000).0, 200);
    assert_eq!(
        names(&images(&mut cloud, "ap-seoul", 20_000)),
        ["golden", "golden-copy"]
    );
}

#[test]
fn builds_create_and_copy_an_image_each_period() {
    let text = "{syncImageTime: 10s, builds: [{name: 'golden-1.5.{n}', start: 3, every: 1m, regions: [ap-tokyo], copyTo: [ap-seoul],
        createTime: 20s, keep: 3, family: golden, osName: Ubuntu 24}]}";
    let mut cloud = cloud(text);
    let row =
        |name: &str, state: &str, created: i64| [name.to_owned(), state.to_owned(), time(created)];
    assert_eq!(
        images(&mut cloud, "ap-tokyo", 0),
        [row("golden-1.5.3", "CREATING", 0)]
    );
    assert!(images(&mut cloud, "ap-seoul", 19_999).is_empty());
    assert_eq!(
        images(&mut cloud, "ap-tokyo", 20_000),
        [row("golden-1.5.3", "NORMAL", 0)]
    );
    assert_eq!(
        images(&mut cloud, "ap-seoul", 20_000),
        [row("golden-1.5.3", "SYNCING", 20_000)]
    );
    assert_eq!(
        images(&mut cloud, "ap-seoul", 30_000),
        [row("golden-1.5.3", "NORMAL", 20_000)]
    );
    // After a long time without calls, each image still has the time when it was due.
    let mut late = self::cloud(text);
    let once = images(&mut late, "ap-tokyo", 260_000);
    let expected = [
        row("golden-1.5.5", "NORMAL", 120_000),
        row("golden-1.5.6", "NORMAL", 180_000),
        row("golden-1.5.7", "NORMAL", 240_000),
    ];
    assert_eq!(once, expected);
    for milliseconds in (31_000..=260_000).step_by(1_000) {
        images(&mut cloud, "ap-tokyo", milliseconds);
    }
    assert_eq!(images(&mut cloud, "ap-tokyo", 260_000), once);
    assert_eq!(
        cloud.images.keys().collect::<Vec<_>>(),
        late.images.keys().collect::<Vec<_>>()
    );
    assert_eq!(
        images(&mut cloud, "ap-seoul", 265_000),
        images(&mut late, "ap-seoul", 265_000)
    );
    // A shared image is kept, and the next one is deleted.
    assert_eq!(
        admin(
            &mut cloud,
            "share",
            json!({"region": "ap-tokyo", "image": "golden-1.5.5", "shared": true}),
            265_000
        )
        .0,
        200
    );
    assert_eq!(
        names(&images(&mut cloud, "ap-tokyo", 300_000)),
        ["golden-1.5.5", "golden-1.5.7", "golden-1.5.8"]
    );
}

#[test]
fn a_build_can_be_requested_and_an_image_changed() {
    let mut cloud = cloud(
        "{builds: [{name: 'golden-{n}', start: 1, regions: [ap-tokyo, ap-seoul]}], accounts: [{images: [{name: golden-1, regions: [ap-seoul]}]}]}",
    );
    let (status, reply) = admin(&mut cloud, "build", json!({}), 1_000);
    assert_eq!(
        (status, &reply["name"]),
        (200, &json!("golden-2")),
        "an existing name is skipped"
    );
    assert_eq!(reply["ids"].as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(
        images(&mut cloud, "ap-tokyo", 1_000),
        [["golden-2".into(), "NORMAL".into(), time(1_000)]]
    );
    assert_eq!(
        admin(&mut cloud, "build", json!({"name": "other-{n}"}), 1_000).0,
        400
    );
    let change = json!({"region": "ap-tokyo", "image": "golden-2", "state": "USING", "deprecated": true, "tags": {"a": "b"}, "name": "renamed"});
    assert_eq!(admin(&mut cloud, "image", change, 2_000).0, 200);
    let row = cvm(&mut cloud, &json!({}))["ImageSet"][0].take();
    assert_eq!(
        (
            &row["ImageName"],
            &row["ImageDeprecated"],
            &row["ImageState"]
        ),
        (&json!("renamed"), &json!(true), &json!("USING"))
    );
    let (_, state) = super::super::super::admin::handle(
        &mut cloud,
        "GET",
        "/_sim/state",
        b"",
        SimTime {
            now: elapsed_ms(3_000),
            wall_time: real(),
        },
    );
    assert_eq!(
        state["accounts"][0]["images"][2]["name"], "renamed",
        "{state}"
    );
    let taken = json!({"region": "ap-seoul", "image": "golden-2", "name": "golden-1"});
    assert_eq!(admin(&mut cloud, "image", taken, 3_000).0, 400);
    let double = json!({"images": [{"name": "golden-1", "ids": {"ap-seoul": "img-other"}}]});
    assert_eq!(admin(&mut cloud, "images", double.clone(), 3_000).0, 400);
    assert_eq!(
        admin(
            &mut cloud,
            "settings",
            json!({"allowDoubleNames": true}),
            3_000
        )
        .0,
        200
    );
    assert_eq!(admin(&mut cloud, "images", double, 3_000).0, 200);
}

#[test]
fn the_default_world_of_a_new_user_is_believable() {
    let mut cloud = Cloud::new(World::believable().expect("a world"));
    let mut ids: Vec<_> = cloud.images.keys().map(|(.., id)| id.clone()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "no id is in two regions");
    let regions: BTreeSet<_> = cloud
        .images
        .keys()
        .map(|(_, region, _)| region.as_str())
        .collect();
    assert_eq!(
        regions,
        BTreeSet::from(["ap-singapore", "eu-frankfurt", "na-ashburn"])
    );
    let unfit = cloud
        .images
        .values()
        .filter(|regional| !regional.is_shared());
    let reasons: BTreeSet<_> = unfit
        .filter_map(|regional| regional.unshareable_reason())
        .collect();
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    let mut call = signed_call("DescribeInstances", &json!({}), real().timestamp());
    for (name, value) in &mut call.headers {
        if name == "x-tc-region" {
            *value = "ap-singapore".into();
        }
    }
    let instances = send(&mut cloud, &call, 0);
    assert_eq!(instances["TotalCount"], 2, "{instances}");
}

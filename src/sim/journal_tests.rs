//! Tests saved worlds: after any operations on a cloud, the world is read back unchanged, at every length of the journal.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{Monotonic, Region, Timestamp};
use crate::sim::bakery::SimTime;
use crate::sim::cloud::tests::signed_call;
use crate::sim::{admin, metadata};

const BEGINNING: i64 = 1_790_000_000;
const IMAGES: [&str; 4] = ["img-a", "img-b", "img-new", "golden-3"];

/// An operation on a cloud: one request, some time after the previous one.
#[derive(Clone, Debug)]
struct Request {
    seconds: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A call of the API; only some calls change something.
    Api(&'static str, Value),
    /// A call to one of the simulator's own paths.
    Admin(&'static str, Value),
    /// Reads the key of the machine's role.
    Metadata,
}

fn world() -> Value {
    json!({
        "syncImageTime": "20s",
        "metadata": {"account": "default", "role": "server"},
        "builds": [{"name": "golden-{n}", "every": "30s", "createTime": "10s", "regions": ["ap-tokyo"], "copyTo": ["ap-seoul"], "keep": 2}],
        "accounts": [{
            "roles": [{"name": "server"}],
            "images": [
                {"id": "img-a", "regions": ["ap-tokyo"], "occupiedCalls": 2},
                {"id": "img-b", "regions": ["ap-tokyo"], "shared": true},
                {"name": "both", "regions": ["ap-tokyo", "ap-seoul"]},
            ],
            "instances": [{"id": "lhins-1", "region": "ap-tokyo", "image": "img-b"}],
        }],
    })
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let image = || prop::sample::select(&IMAGES[..]);
    let modify = (image(), any::<bool>()).prop_map(|(image, share)| {
        let permission = if share { "SHARE" } else { "CANCEL" };
        let body = json!({"ImageId": image, "Permission": permission});
        Kind::Api("ModifyImageSharePermission", body)
    });
    let read = Just(Kind::Api("DescribeBlueprints", json!({})));
    let share = (image(), any::<bool>()).prop_map(|(image, shared)| {
        let body = json!({"region": "ap-tokyo", "image": image, "shared": shared});
        Kind::Admin("share", body)
    });
    let of_image = (image(), 0..3).prop_map(|(image, what)| match what {
        0 => Kind::Admin(
            "image",
            json!({"region": "ap-tokyo", "image": image, "family": "f"}),
        ),
        1 => Kind::Admin(
            "delete-image",
            json!({"region": "ap-tokyo", "image": image}),
        ),
        _ => Kind::Admin(
            "sync",
            json!({"region": "ap-tokyo", "image": image, "to": ["ap-bangkok"]}),
        ),
    });
    let others = prop::sample::select(vec![
        (
            "images",
            json!({"images": [{"id": "img-new", "regions": ["ap-tokyo"]}]}),
        ),
        (
            "ensure",
            json!({"images": [{"account": "later", "region": "ap-tokyo", "image": {"name": "n"}}]}),
        ),
        ("key", json!({"account": "later", "uin": "100000000077"})),
        (
            "accounts",
            json!({"account": "default", "deny": ["DescribeImages"]}),
        ),
        (
            "settings",
            json!({"syncTime": "3s", "limits": {"DescribeImages": 3}}),
        ),
        ("faults", json!([{"kind": "error", "times": 2}])),
        (
            "instances",
            json!({"instances": [{"id": "lhins-2", "region": "ap-tokyo", "blueprint": "lhbp-x"}]}),
        ),
        (
            "blueprints",
            json!({"blueprints": [{"id": "lhbp-y", "imageId": "img-y"}]}),
        ),
        (
            "blueprint",
            json!({"region": "ap-tokyo", "blueprint": "lhbp-y", "deleted": true}),
        ),
        (
            "blueprint",
            json!({"region": "ap-tokyo", "blueprint": "lhbp-00000002", "state": "OFFLINE"}),
        ),
        ("build", json!({})),
        ("reset-ledger", json!({})),
        ("no-such-call", json!({})),
        ("world", world()),
    ]);
    let others = others.prop_map(|(path, body)| Kind::Admin(path, body));
    let kind = prop_oneof![4 => modify, 1 => read, 2 => share, 2 => of_image, 4 => others, 1 => Just(Kind::Metadata)];
    let request = (0u64..25, kind).prop_map(|(seconds, kind)| Request { seconds, kind });
    prop::collection::vec(request, 1..40)
}

fn wall_time(seconds: u64) -> Timestamp {
    let beginning = DateTime::from_timestamp(BEGINNING, 0).expect("a date");
    beginning + TimeDelta::seconds(seconds.cast_signed())
}

/// Performs a request, this many seconds after the world began.
fn perform(cloud: &mut Cloud, kind: &Kind, seconds: u64) {
    let now = Monotonic::new(Duration::from_secs(seconds));
    let wall_time = wall_time(seconds);
    match kind {
        Kind::Api(action, body) => {
            let call = signed_call(action, body, wall_time.timestamp());
            cloud.answer(&call, now, wall_time);
        }
        Kind::Admin(path, body) => {
            let path = format!("/_sim/{path}");
            let time = SimTime { now, wall_time };
            admin::handle(cloud, "POST", &path, body.to_string().as_bytes(), time);
        }
        Kind::Metadata => {
            let path = format!("{}server", metadata::CREDENTIALS);
            metadata::handle(cloud, "GET", &path, wall_time);
        }
    }
}

fn as_json(cloud: &Cloud) -> Value {
    serde_json::to_value(cloud.world()).expect("JSON")
}

/// A directory with the world of these tests.
fn kept() -> (tempfile::TempDir, WorldFiles) {
    let directory = tempfile::tempdir().expect("a directory");
    let files = WorldFiles::new(directory.path());
    fs::write(&files.world, world().to_string()).expect("a file");
    (directory, files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn n9_a_saved_world_is_read_back_at_every_length_of_the_journal(requests in requests()) {
        let (_directory, files) = kept();
        let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
        let mut expected = vec![(0, as_json(&cloud))];
        let mut seconds = 0;
        for request in &requests {
            seconds += request.seconds;
            perform(&mut cloud, &request.kind, seconds);
            journal.keep(&mut cloud).expect("kept");
            expected.push((journal.length as usize, as_json(&cloud)));
        }
        let (world, lines) = (fs::read(&files.world).expect("a file"), fs::read(&files.journal).expect("a file"));
        let read = |length: usize| as_json(&replay(&files, &world, &lines[..length]).expect("readable"));
        for pair in expected.windows(2) {
            let ((from, before), (to, after)) = (&pair[0], &pair[1]);
            prop_assert_eq!(&read(*to), after);
            // An incomplete line.
            for torn in [from + 1, usize::midpoint(*from, *to), to.saturating_sub(1)] {
                if torn > *from && torn < *to {
                    prop_assert_eq!(&read(torn), before);
                }
            }
        }
        // The process ended after it wrote the world, but before it emptied the journal.
        let whole = serde_json::to_vec(&cloud.world()).expect("JSON");
        prop_assert_eq!(as_json(&replay(&files, &whole, &lines).expect("readable")), as_json(&cloud));
        journal.close(&cloud).expect("kept");
        prop_assert_eq!(as_json(&files.load().expect("readable")), as_json(&cloud));
        prop_assert_eq!(fs::metadata(&files.journal).expect("a file").len(), 0);
    }
}

fn share(cloud: &mut Cloud, image: &str, seconds: u64) {
    let body = json!({"ImageId": image, "Permission": "SHARE"});
    perform(
        cloud,
        &Kind::Api("ModifyImageSharePermission", body),
        seconds,
    );
}

/// A world of many images, none of them shared.
fn many(count: u32) -> (tempfile::TempDir, WorldFiles) {
    let (directory, files) = kept();
    let world = json!({"accounts": [{"generate": [{"count": count, "regions": ["ap-tokyo"]}]}]});
    fs::write(&files.world, world.to_string()).expect("a file");
    (directory, files)
}

#[test]
fn n9_a_write_costs_the_same_in_a_world_of_any_size() {
    let lengths = [10, 3_000].map(|count| {
        let (_directory, files) = many(count);
        let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
        assert_eq!(journal.length, 0);
        share(&mut cloud, "img-00000003", 1);
        journal.keep(&mut cloud).expect("kept");
        journal.length
    });
    assert!(lengths[0] > 0);
    assert!(lengths[0].abs_diff(lengths[1]) < 8, "{lengths:?}");
}

#[test]
fn n9_calls_without_a_change_write_nothing() {
    let (_directory, files) = many(10);
    let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
    let before = fs::read(&files.world).expect("a file");
    perform(&mut cloud, &Kind::Api("DescribeBlueprints", json!({})), 1);
    perform(&mut cloud, &Kind::Admin("reset-ledger", json!({})), 2);
    journal.keep(&mut cloud).expect("kept");
    assert_eq!(journal.length, 0);
    fs::remove_file(&files.world).expect("a file");
    fs::write(&files.world, &before).expect("a file");
    journal.close(&cloud).expect("kept");
    assert_eq!(fs::read(&files.world).expect("a file"), before);
}

#[test]
fn n9_a_long_journal_is_folded_into_the_world() {
    let (_directory, files) = many(10);
    let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
    journal.length_max = 600;
    let mut folded = 0;
    for number in 0..10 {
        share(&mut cloud, &format!("img-{number:08}"), 1 + number);
        journal.keep(&mut cloud).expect("kept");
        folded += u32::from(journal.length == 0);
        journal.length_max = 600;
        assert!(journal.length <= 600);
        assert_eq!(as_json(&files.load().expect("readable")), as_json(&cloud));
    }
    assert!(folded > 1);
    let shared = cloud.images.values().filter(|image| image.is_shared());
    assert_eq!(shared.count(), 10);
}

#[test]
fn n9_a_world_continues_where_a_killed_process_left_it() {
    let (_directory, files) = kept();
    let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
    for seconds in [0, 35] {
        perform(&mut cloud, &Kind::Admin("build", json!({})), seconds);
        journal.keep(&mut cloud).expect("kept");
    }
    let tokyo = Region::new("ap-tokyo").expect("a region");
    let names = |cloud: &Cloud| -> Vec<String> {
        let mut names: Vec<_> = cloud
            .images_in(0, tokyo)
            .map(|image| image.name().to_owned())
            .collect();
        names.retain(|name| name.starts_with("golden-"));
        names.sort();
        names
    };
    // Of two scheduled and two requested images, two are kept.
    assert_eq!(names(&cloud), ["golden-2", "golden-3"]);
    drop((cloud, journal));

    // It is restarted an hour later, with its own clock.
    let (mut cloud, _journal) = Journal::open(&files).expect("a world");
    let time = SimTime {
        now: Monotonic::new(Duration::from_secs(1)),
        wall_time: wall_time(3_600),
    };
    cloud.advance(time);
    assert_eq!(
        names(&cloud),
        ["golden-3", "golden-4"],
        "one image, and not the 118 missed ones"
    );
    let seoul = Region::new("ap-seoul").expect("a region");
    let copies = cloud
        .images_in(0, seoul)
        .filter(|image| image.name() == "golden-3");
    assert_eq!(copies.count(), 1, "the pending copy is made");
}

#[test]
fn n9_unfinished_operations_of_an_image_are_saved() {
    let (_directory, files) = kept();
    let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
    let tokyo = Region::new("ap-tokyo").expect("a region");
    let used = |cloud: &Cloud| {
        let server = &cloud.accounts()[0].instances[0];
        cloud.blueprint_of(0, tokyo, server).map(str::to_owned)
    };
    let blueprint = used(&cloud);
    assert!(blueprint.is_some());
    let cancel = json!({"region": "ap-tokyo", "image": "img-b", "shared": false});
    perform(&mut cloud, &Kind::Admin("share", cancel), 1);
    // The image is occupied for two writes.
    share(&mut cloud, "img-a", 2);
    journal.keep(&mut cloud).expect("kept");
    drop((cloud, journal));

    let (mut cloud, _journal) = Journal::open(&files).expect("a world");
    assert_eq!(used(&cloud), blueprint, "the server still runs from it");
    let is_shared =
        |cloud: &Cloud, image: &str| cloud.images[&(0, tokyo, image.to_owned())].is_shared();
    assert!(!is_shared(&cloud, "img-b"));
    share(&mut cloud, "img-a", 3);
    assert!(!is_shared(&cloud, "img-a"), "still occupied once");
    share(&mut cloud, "img-a", 4);
    assert!(is_shared(&cloud, "img-a"));
    share(&mut cloud, "img-b", 5);
    let anew = used(&cloud);
    assert!(
        anew.is_some() && anew != blueprint,
        "another blueprint: {anew:?}"
    );
}

#[test]
fn n9_after_a_failed_save_no_change_is_acknowledged() {
    let (_directory, files) = many(10);
    let (mut cloud, mut journal) = Journal::open(&files).expect("a world");
    // A file that is open only for reading cannot be written.
    journal.file = File::open(&files.journal).expect("a file");
    share(&mut cloud, "img-00000001", 1);
    let error = journal.keep(&mut cloud).expect_err("not kept").to_string();
    assert!(
        error.contains("cannot write") && error.contains("world.journal"),
        "{error}"
    );
    journal.file = OpenOptions::new()
        .append(true)
        .open(&files.journal)
        .expect("a file");
    assert_eq!(
        journal
            .keep(&mut cloud)
            .expect_err("a line is missing")
            .to_string(),
        error
    );
    journal.close(&cloud).expect("the whole can be kept");
    assert_eq!(as_json(&files.load().expect("readable")), as_json(&cloud));
}

#[test]
fn n9_damage_is_reported_with_its_place_and_removal_starts_anew() {
    let (_directory, files) = many(10);
    let (cloud, journal) = Journal::open(&files).expect("a world");
    drop(journal);
    fs::write(&files.journal, "[]\n[{\"image\": 1}]\n[]\n").expect("a file");
    let error = files.load().expect_err("damaged").to_string();
    assert!(error.contains("world.journal:2: "), "{error}");
    fs::write(&files.world, "{").expect("a file");
    let error = files.load().expect_err("damaged").to_string();
    assert!(error.contains("world.json: "), "{error}");
    fs::remove_file(&files.world).expect("a file");
    let anew = files.load().expect("new");
    assert!(anew.images.is_empty() && !cloud.images.is_empty());
}

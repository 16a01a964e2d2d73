use super::*;
use crate::inventory::{IntentId, Write};
use crate::model::{Permission, ShareState, Timestamp};
use crate::observed::Blueprint;

fn at(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_767_225_600 + second, 0).expect("a time")
}

fn image(text: &str) -> ImageId {
    ImageId::new(text).expect("an id")
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a name")
}

fn ours(blueprint: Option<&str>) -> Record {
    let mut record = Record::default();
    record.acknowledged(Permission::Share, blueprint, false, at(0));
    record
}

fn parked() -> Record {
    Record {
        parked_since: Some(at(1)),
        protected: true,
        ..Record::default()
    }
}

fn open(intent: u64) -> OpenIntent {
    OpenIntent {
        intent: IntentId(intent),
        permission: Permission::Share,
        at: at(0),
        saw_opposite: true,
    }
}

fn seen(shared: &[(&str, &str)]) -> Seen {
    let shared = shared.iter().map(|(id, blueprint)| {
        let blueprint = Blueprint {
            id: (*blueprint).into(),
            state: "NORMAL".into(),
            name: String::new(),
        };
        (image(id), blueprint)
    });
    Seen {
        shared: shared.collect(),
        ..Seen::default()
    }
}

fn unused(rows: &[(&str, Record)]) -> BTreeMap<AccountName, Rows> {
    let images = rows.iter().map(|(id, record)| (image(id), record.clone()));
    let rows = Rows {
        images: images.collect(),
        ..Rows::default()
    };
    BTreeMap::from([(name("legacy"), rows)])
}

fn taken(
    rows: &[(&str, Record)],
    kinship: Kinship,
    shown: Option<&[(&str, &str)]>,
) -> (Holdings, Vec<(ImageId, &'static str)>) {
    let mut holdings = Holdings::default();
    let shown = shown.map(seen);
    let taken = holdings.take_over(
        unused(rows),
        |_| kinship,
        shown.as_ref(),
        |id| *id == image("img-named"),
    );
    let taken = taken.into_iter().map(|taken| (taken.image, taken.reason));
    (holdings, taken.collect())
}

#[test]
fn g2_a_proven_name_hands_over_everything_even_unseen() {
    let rows = [("img-a", ours(Some("lhbp-a"))), ("img-b", parked())];
    let (holdings, taken) = taken(&rows, Kinship::Proven, None);
    assert_eq!(taken.len(), 2);
    assert_eq!(holdings.images[&image("img-a")], ours(Some("lhbp-a")));
    assert_eq!(holdings.images[&image("img-b")], parked());
}

#[test]
fn c1_an_open_name_hands_over_what_its_blueprint_proves() {
    let rows = [
        ("img-same", ours(Some("lhbp-same"))),
        ("img-other", ours(Some("lhbp-old"))),
        ("img-gone", ours(Some("lhbp-gone"))),
        ("img-unknown", ours(None)),
    ];
    let shown = [
        ("img-same", "lhbp-same"),
        ("img-other", "lhbp-new"),
        ("img-unknown", "lhbp-x"),
    ];
    let (holdings, taken) = taken(&rows, Kinship::Open, Some(&shown));
    let ids: Vec<_> = taken.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["img-same", "img-unknown"]);
    let standing = |id: &str| {
        holdings.images[&image(id)]
            .owned
            .as_ref()
            .map(|o| o.standing)
    };
    assert_eq!(standing("img-same"), Some(Standing::Acknowledged));
    assert_eq!(standing("img-unknown"), Some(Standing::Probable));
}

#[test]
fn c1_an_open_name_hands_over_nothing_unseen_and_a_barred_one_never() {
    let rows = [("img-a", ours(Some("lhbp-a"))), ("img-named", parked())];
    assert_eq!(taken(&rows, Kinship::Open, None).1, []);
    let shown = [("img-a", "lhbp-a"), ("img-named", "lhbp-n")];
    assert_eq!(taken(&rows, Kinship::Barred, Some(&shown)).1, []);
}

#[test]
fn g2_what_holds_back_goes_along_where_the_image_is_named_or_shown() {
    let rows = [
        ("img-named", parked()),
        ("img-shown", parked()),
        ("img-neither", parked()),
    ];
    let (holdings, taken) = taken(&rows, Kinship::Open, Some(&[("img-shown", "lhbp-s")]));
    assert_eq!(taken.len(), 2);
    assert_eq!(holdings.images[&image("img-named")], parked());
    assert!(!holdings.images.contains_key(&image("img-neither")));
}

#[test]
fn g2_what_is_known_under_the_own_name_wins_and_restraints_add_up() {
    let mut holdings = Holdings::default();
    let own = ours(Some("lhbp-new"));
    holdings.images.insert(image("img-a"), own.clone());
    holdings.open.insert(image("img-a"), vec![open(7)]);
    let mut rows = unused(&[(
        "img-a",
        Record {
            writes: vec![Write {
                at: at(0),
                towards: ShareState::Unshared,
                confirmed: true,
            }],
            ..parked()
        },
    )]);
    let legacy = rows.get_mut(&name("legacy")).expect("is there");
    legacy.open.insert(image("img-a"), vec![open(3)]);
    legacy.open.insert(image("img-b"), vec![open(4)]);
    let taken = holdings.take_over(rows, |_| Kinship::Proven, None, |_| false);
    assert_eq!(taken.len(), 2, "an open write without a row goes along");
    let record = &holdings.images[&image("img-a")];
    assert_eq!((&record.owned, &record.writes), (&own.owned, &own.writes));
    assert_eq!((record.parked_since, record.protected), (Some(at(1)), true));
    let intents: Vec<_> = holdings.open[&image("img-a")]
        .iter()
        .map(|open| open.intent.0)
        .collect();
    assert_eq!(intents, [3, 7], "the oldest first");
}

//! Defines sixteen short scenarios without faults, except for one that a story is about. Other tests repeat each one
//! with a single difference at a time.

use std::collections::BTreeSet;

use super::named_stories::{locked_version, moved_name, pinned_version, retired_version};
use super::scenario::{
    Event, FaultKind, FaultSpan, Image, Mode, Place, Scenario, Wanted, What, Wish,
};

/// A scenario, with a name that says what it covers.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) scenario: Scenario,
}

pub(super) const SHARED: Wish = Wish {
    state: Wanted::Shared,
    protect: false,
};
const UNSHARED: Wish = Wish {
    state: Wanted::Unshared,
    protect: false,
};
pub(super) const UNNAMED: Wish = Wish {
    state: Wanted::Unnamed,
    protect: false,
};

/// An image of account 0 in region 0. `shared` says whether somebody else shared it, and `wish` is what the manifests
/// ask.
pub(super) fn image(number: usize, shared: bool, wish: Wish) -> Image {
    Image {
        account: 0,
        region: 0,
        number,
        shared,
        wish,
        made: None,
    }
}

/// Images that the manifests ask to share, and that nobody has shared.
fn wanted(count: usize) -> Vec<Image> {
    (0..count)
        .map(|number| image(number, false, SHARED))
        .collect()
}

pub(super) fn at(at: u64, what: What) -> Event {
    Event { at, what }
}

pub(super) fn scenario(calm_at: u64, images: Vec<Image>, events: Vec<Event>) -> Scenario {
    Scenario {
        seed: 1,
        calm_at,
        rate: 19,
        regional: false,
        uins: true,
        prune: true,
        max_cancels: 4,
        max_cancels_percent: 100,
        lag: 0,
        commit: (3, 1),
        machines: vec![0],
        has_jobs: false,
        rivals: BTreeSet::new(),
        lasting: None,
        is_overheard: false,
        images,
        documents: Vec::new(),
        syncs: 0,
        faults: Vec::new(),
        events,
    }
}

/// Every scenario, in the order in which they run.
pub(crate) fn all() -> Vec<Story> {
    let stories = [
        ("first shares", first_shares()),
        ("shares and cancels", shares_and_cancels()),
        ("what left the manifests is pruned", pruned()),
        ("a reply is lost", lost_reply()),
        ("a crash between intent and send", crash_before_send()),
        ("an edit while it writes", edited_while_writing()),
        ("two accounts", two_accounts()),
        ("an account is renamed", renamed()),
        ("manifests in part", in_part()),
        ("an image is deleted", deleted()),
        ("an image is in use", in_use()),
        ("somebody else shares and takes back", external()),
        ("a name moves to the next build", moved_name()),
        ("a policy retires a version", retired_version()),
        (
            "a policy pins one version and revokes another",
            pinned_version(),
        ),
        ("a lock file follows a new build", locked_version()),
    ];
    let stories = stories.into_iter();
    stories
        .map(|(name, scenario)| Story { name, scenario })
        .collect()
}

/// Six of the stories, which together make every kind of write to the state.
pub(crate) fn six() -> Vec<Story> {
    let mut stories = all();
    let names = [
        "first shares",
        "shares and cancels",
        "what left the manifests is pruned",
        "a reply is lost",
        "a crash between intent and send",
        "an account is renamed",
    ];
    stories.retain(|story| names.contains(&story.name));
    stories
}

fn first_shares() -> Scenario {
    let mut images = wanted(3);
    images.push(image(3, true, UNNAMED));
    scenario(330, images, Vec::new())
}

fn shares_and_cancels() -> Scenario {
    let images = (0..2).flat_map(|region| {
        let here = move |number, shared, wish| Image {
            region,
            ..image(number, shared, wish)
        };
        [here(0, false, SHARED), here(1, true, UNSHARED)]
    });
    let back = vec![(0, UNSHARED), (1, SHARED)];
    scenario(330, images.collect(), vec![at(140, What::Edit(back))])
}

fn pruned() -> Scenario {
    let edit = What::Edit(vec![(0, UNNAMED), (1, UNNAMED)]);
    scenario(480, wanted(5), vec![at(200, edit)])
}

fn lost_reply() -> Scenario {
    let mut story = scenario(330, wanted(3), Vec::new());
    story.faults.push(FaultSpan {
        kind: FaultKind::LostReply,
        place: Place {
            image: Some(0),
            ..Place::default()
        },
        from: 0,
        until: 5,
        percent: 100,
    });
    story
}

fn crash_before_send() -> Scenario {
    let crash = What::Crash {
        installation: 0,
        polls: 0,
        down: 20,
        next: Mode::Reconcile,
    };
    let mut story = scenario(360, wanted(3), vec![at(6, crash)]);
    // The intents are on the disk when the process crashes, but the writer has not been notified.
    story.commit = (400, 9000);
    story
}

fn edited_while_writing() -> Scenario {
    let edit = What::Edit(vec![(0, UNSHARED), (4, UNSHARED), (5, UNNAMED)]);
    let mut story = scenario(330, wanted(6), vec![at(4, edit)]);
    story.rate = 1;
    story
}

fn two_accounts() -> Scenario {
    let images = (0..2).flat_map(|account| {
        let of = move |number, shared, wish| Image {
            account,
            ..image(number, shared, wish)
        };
        [
            of(0, false, SHARED),
            of(1, true, UNSHARED),
            of(2, false, SHARED),
        ]
    });
    let edit = What::Edit(vec![(0, UNNAMED), (3, UNSHARED)]);
    let mut story = scenario(330, images.collect(), vec![at(150, edit)]);
    story.uins = false;
    story
}

fn renamed() -> Scenario {
    let edit = What::Edit(vec![(0, UNNAMED)]);
    let events = vec![at(150, What::Rename(0)), at(290, edit)];
    scenario(480, wanted(3), events)
}

fn in_part() -> Scenario {
    let events = vec![
        at(140, What::Partial(vec![1, 2])),
        at(320, What::Edit(vec![(0, UNSHARED)])),
        at(460, What::Mended),
    ];
    scenario(490, wanted(4), events)
}

fn deleted() -> Scenario {
    let edit = What::Edit(vec![(1, UNSHARED)]);
    scenario(
        480,
        wanted(3),
        vec![at(140, What::Vanish(0)), at(310, edit)],
    )
}

fn in_use() -> Scenario {
    let edit = What::Edit(vec![(0, UNNAMED), (1, UNNAMED)]);
    scenario(480, wanted(3), vec![at(20, What::Use(0)), at(290, edit)])
}

fn external() -> Scenario {
    let mut images = wanted(4);
    images[3].wish = UNSHARED;
    let events = vec![at(200, What::Hand(0, false)), at(200, What::Hand(3, true))];
    scenario(640, images, events)
}

//! Stories in which manifests name images by name or by policy.

use super::documents::{Document, Entry, Ordered, Pattern, Pinned, Revoke, Revoked, Rule};
use super::images::{BuildResult, ImageChange, Made};
use super::lock_file::{Locked, LockedName};
use super::scenario::{Image, Scenario, What};
use super::stories::{SHARED, UNNAMED, at, image, scenario};

/// An image that a build makes. It exists from `born` on, and can be shared 30 s later.
fn build(number: usize, name: &str, born: u64) -> Image {
    let made = Made {
        name: name.to_owned(),
        created: born.cast_signed() - 1000,
        born,
        ready: if born == 0 { 0 } else { born + 30 },
        result: BuildResult::Good,
        is_golden: true,
    };
    Image {
        made: Some(made),
        ..image(number, false, UNNAMED)
    }
}

/// A policy that keeps this many of the newest versions shared.
fn newest(newest: u32) -> Rule {
    Rule {
        order: Ordered::Semver,
        unshare_after: 20,
        ..Rule::newest(0, Pattern::Versions("gold".into()), newest)
    }
}

/// The owner moves a name from one image to the next, as builds that reuse a name do.
pub(super) fn moved_name() -> Scenario {
    let entry = Entry {
        account: 0,
        regions: [0].into(),
        name: "gold".into(),
        wish: SHARED,
    };
    let images = vec![build(1, "gold", 0), build(2, "gold-next", 0)];
    let renamed = |image, name: &str| at(150, What::Image(image, ImageChange::Named(name.into())));
    let events = vec![renamed(0, "gold-before"), renamed(1, "gold")];
    let mut story = scenario(980, images, events);
    story.documents = vec![Some(Document::Entry(entry))];
    story.syncs = 20;
    story
}

/// A build makes a newer version, so that an older one is retired.
pub(super) fn retired_version() -> Scenario {
    let images = vec![
        build(1, "gold-1.1.0", 0),
        build(2, "gold-1.2.0", 100),
        build(3, "plain", 0),
    ];
    let mut story = scenario(980, images, Vec::new());
    story.documents = vec![Some(Document::Policy(newest(1)))];
    story.syncs = 20;
    story
}

/// The policy pins an older version and revokes the newest one.
pub(super) fn pinned_version() -> Scenario {
    let images = vec![
        build(1, "gold-1.1.0", 0),
        build(2, "gold-1.2.0", 0),
        build(3, "gold-1.3.0", 0),
    ];
    let pinned = Pinned {
        regions: [0].into(),
        names: ["gold-1.1.0".to_owned()].into(),
        until: None,
    };
    let revoke = Revoke {
        what: Revoked::Name("gold-1.3.0".into()),
        at: None,
        replacement: None,
        force: false,
    };
    let after = Rule {
        pins: vec![pinned],
        revokes: vec![revoke],
        ..newest(2)
    };
    let edit = What::Document(0, Some(Document::Policy(after)));
    let mut story = scenario(980, images, vec![at(150, edit)]);
    story.documents = vec![Some(Document::Policy(newest(2)))];
    story.syncs = 20;
    story
}

/// A policy shares only what the lock file lists. A build makes a newer version, and later a person merges a lock file
/// with it.
pub(super) fn locked_version() -> Scenario {
    let images = vec![build(1, "gold-1.1.0", 0), build(2, "gold-1.2.0", 100)];
    let policy = Rule {
        is_locked: true,
        ..newest(1)
    };
    let lock = |image: usize| {
        let name = images[image].first_name();
        let regions = [(0, vec![LockedName { image, name }])].into();
        let policy = policy.clone();
        Document::Lock([(0, Locked { policy, regions })].into())
    };
    let documents = vec![Some(Document::Policy(policy.clone())), Some(lock(0))];
    let merged = What::Document(1, Some(lock(1)));
    let mut story = scenario(980, images, vec![at(300, merged)]);
    story.documents = documents;
    story.syncs = 20;
    story
}

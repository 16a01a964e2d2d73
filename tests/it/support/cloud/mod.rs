//! A small cloud behind the `Transport` port, on tokio's paused clock: hours pass in milliseconds, and one seed
//! always gives the same run. It counts calls, delays reads, injects faults and records every change. It checks no
//! signatures, because the simulator and the stand-in do.

mod answers;
mod behaviour;
pub(crate) mod described;
pub(crate) mod ledger;
pub(crate) mod live;
mod manifests;
mod share_history;
mod wire;
pub(crate) mod world;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use sharekeeper::engine::{Event, Listener};
use sharekeeper::host::{Clock, Rng, SystemClock};
use sharekeeper::model::{Monotonic, Timestamp};

pub(crate) use self::behaviour::*;
pub(crate) use self::described::Described;
pub(crate) use self::ledger::Recorded;
pub(crate) use self::manifests::*;
use self::share_history::{Change, Image};
use self::wire::Write;

/// One call as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) at: Monotonic,
    pub(crate) host: String,
    /// The id of the key that signed the call.
    pub(crate) key: String,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) body: Value,
    /// The error code of the answer, or `ok`, or the fault.
    pub(crate) answer: String,
}

/// A CANCEL that has taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) region: String,
    pub(crate) image: String,
    /// Whether sharekeeper had made the share.
    pub(crate) ours: bool,
}

/// A blueprint that exists independently of any share or CANCEL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) region: &'static str,
    pub(crate) id: &'static str,
    pub(crate) image: &'static str,
    pub(crate) state: &'static str,
}

/// A Lighthouse instance of the small cloud.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) region: &'static str,
    pub(crate) id: String,
    /// The id of the blueprint that the instance was started from.
    pub(crate) blueprint: String,
}

pub(crate) struct Cloud {
    clock: SystemClock,
    /// How far the wall clock was moved ahead, or back if it is negative.
    pub(crate) jumped: Cell<chrono::TimeDelta>,
    rng: RefCell<fastrand::Rng>,
    pub(crate) behaviour: RefCell<Behaviour>,
    images: RefCell<BTreeMap<(String, String), Image>>,
    windows: RefCell<BTreeMap<String, VecDeque<Monotonic>>>,
    stragglers: RefCell<Vec<Write>>,
    pub(crate) cancelled: RefCell<Vec<Cancelled>>,
    /// The `BlueprintState` of a shared image, if it is not NORMAL.
    pub(crate) states: RefCell<BTreeMap<String, &'static str>>,
    /// The blueprints in addition to those of shared images.
    pub(crate) beside: RefCell<Vec<Beside>>,
    pub(crate) instances: RefCell<Vec<Instance>>,
    /// The name and `CreatedTime` of images that have them, by image id.
    pub(crate) named: RefCell<BTreeMap<String, (String, Timestamp)>>,
    /// The other properties of images, by image id.
    pub(crate) described: RefCell<BTreeMap<String, Described>>,
    /// The key that owns an image, by image id. Only this key sees and changes the image. All keys share the other
    /// images.
    pub(crate) owners: RefCell<BTreeMap<String, String>>,
    /// The deleted images. Their blueprints are left over if they were shared.
    pub(crate) deleted: RefCell<BTreeSet<String>>,
    pub(crate) calls: RefCell<Vec<Call>>,
}

impl Cloud {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            clock: SystemClock::start(),
            jumped: Cell::default(),
            rng: RefCell::new(fastrand::Rng::with_seed(seed)),
            behaviour: RefCell::default(),
            images: RefCell::default(),
            windows: RefCell::default(),
            stragglers: RefCell::default(),
            cancelled: RefCell::default(),
            states: RefCell::default(),
            beside: RefCell::default(),
            instances: RefCell::default(),
            named: RefCell::default(),
            described: RefCell::default(),
            owners: RefCell::default(),
            deleted: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, region: &str, image: &str, shared: bool) {
        self.add_image(region, image, shared, true);
    }

    pub(crate) fn add_image(&self, region: &str, image: &str, shared: bool, shareable: bool) {
        let change = Change {
            since: Monotonic::default(),
            shared,
            ours: false,
        };
        let image_state = Image {
            history: vec![change],
            shareable,
        };
        self.images
            .borrow_mut()
            .insert((region.into(), image.into()), image_state);
    }

    /// Shares the image or cancels its share as somebody else does.
    pub(crate) fn external_change(&self, region: &str, image: &str, shared: bool) {
        self.deliver();
        let mut images = self.images.borrow_mut();
        let image = images
            .get_mut(&(region.into(), image.into()))
            .expect("a known image");
        image.history.push(Change {
            since: self.clock.monotonic(),
            shared,
            ours: false,
        });
    }

    pub(crate) fn is_shared(&self, region: &str, image: &str) -> bool {
        self.deliver();
        self.images.borrow()[&(region.into(), image.into())].shared_at(self.clock.monotonic())
    }

    /// Whether the account of the caller has the image.
    fn is_of(&self, image: &str, key: &str) -> bool {
        let owners = self.owners.borrow();
        owners.get(image).is_none_or(|owner| owner == key)
    }

    /// When the share state of the image last changed, the new state, and whether the change was ours.
    pub(crate) fn last_change(&self, region: &str, image: &str) -> (Monotonic, bool, bool) {
        self.deliver();
        let images = self.images.borrow();
        let last = images[&(region.into(), image.into())].history.last();
        let last = last.expect("it begins somehow");
        (last.since, last.shared, last.ours)
    }

    /// The id of the blueprint of the image, or the id that the next share would have.
    pub(crate) fn blueprint(&self, region: &str, image: &str) -> String {
        self.deliver();
        let now = self.clock.monotonic();
        self.images.borrow()[&(region.into(), image.into())].blueprint_at(image, now)
    }

    /// The times at which images of the region were shared or cancelled, in order.
    pub(crate) fn changes(&self, region: &str) -> Vec<Monotonic> {
        self.deliver();
        let images = self.images.borrow();
        let here = images.iter().filter(|((at, _), _)| at == region);
        let changes = here.flat_map(|(_, image)| image.history.iter().skip(1));
        let mut times: Vec<_> = changes.map(|change| change.since).collect();
        times.sort_unstable();
        times
    }

    pub(crate) fn calls_of(&self, action: &str) -> Vec<Call> {
        self.deliver();
        self.calls
            .borrow()
            .iter()
            .filter(|call| call.action == action)
            .cloned()
            .collect()
    }

    pub(crate) fn writes(&self) -> Vec<Call> {
        self.calls_of("ModifyImageSharePermission")
    }

    /// The largest number of calls of `action` that arrived at one host in a sliding second.
    pub(crate) fn most_in_a_second(&self, action: &str) -> usize {
        let calls = self.calls_of(action);
        let in_window = |from: &Call| {
            let near = |call: &&Call| {
                call.host == from.host
                    && call.at >= from.at
                    && call.at.since(from.at) < Duration::from_secs(1)
            };
            calls.iter().filter(near).count()
        };
        calls.iter().map(in_window).max().unwrap_or(0)
    }
}

impl Clock for Cloud {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        start + self.clock.monotonic().since_start() + self.jumped.get()
    }
    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }
    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.clock.sleep_until(at)
    }
}

impl Rng for Cloud {
    fn next_f64(&self) -> f64 {
        self.rng.borrow_mut().f64()
    }
}

pub(crate) struct Silent;

impl Listener for Silent {
    fn event(&self, _: Event<'_>) {}
}

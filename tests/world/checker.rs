//! Checks the invariants. It sees only calls, answers and manifests, and does not know the product's plans, so that it
//! does not repeat their mistakes.

mod calls;
mod replies;
mod writes;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use sharekeeper::history::{HistoryEvent, WriteResult};
use sharekeeper::host::Clock;
use sharekeeper::model::{Monotonic, Permission, Timestamp};

use super::books::Books;
use super::judge::Gone;
use super::listing::Listing;
use super::machine::Machine;
use super::manifests::{Manifests, key};
use super::observations::{Observations, Place, RememberedFacts, keeps_all};
use super::record::Record;
use super::refusals::Refusals;
use super::scenario::{Mode, Scenario, Wanted};
use super::support::{Cloud, Recorded};

const MODIFY: &str = "ModifyImageSharePermission";
/// Manifests that arrived within this time may have been too late for a call.
const AT_ONCE: Duration = Duration::from_millis(5);
/// A person's request within this time may be too late for an intent that was already recorded.
const PERSON: Duration = Duration::from_secs(1);
/// A write must not rest on an observation that is older than this (S4).
const SEEN_MAX: Duration = Duration::from_secs(120);
/// A process has slowed down after this time of calls without a successful answer.
const OUTAGE: Duration = Duration::from_secs(600);
/// The most reads that a process may make within such a time once it lasts longer, for each account and region: the first
/// calls of passes, questions to STS, and repetitions, which hanging calls spread over this time.
const OUTAGE_CALLS_MAX: usize = 60;
/// Clocks that differ by at most this count as equal, whatever else fails.
const APART: TimeDelta = TimeDelta::seconds(31);
/// The most writes of one image in an hour. More are a loop without a backoff (L4). A pass makes seven writes of a busy
/// image, and again as many after each answer that nobody can read. The passes are from 30 s to an interval apart; an edit
/// begins this anew. A loop would make more than a thousand.
const WRITES_MAX: usize = 300;

/// A call as it leaves a process.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) at: Monotonic,
    /// The time by the clock of the machine.
    pub(crate) wall: Timestamp,
    pub(crate) installation: usize,
    pub(crate) process: usize,
    pub(crate) key: String,
    pub(crate) host: String,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) body: Value,
    /// The body in the bytes that were sent.
    pub(crate) bytes: Vec<u8>,
}

/// What is known about a process from outside.
struct Process {
    installation: usize,
    mode: Mode,
    /// The answers about names and policies that it received.
    observations: Observations,
    /// CANCELs that rest on documents which name images by more than ids.
    gone: Vec<Gone>,
    /// Valid manifests that it received, with the time of each.
    loaded: Vec<(Monotonic, Manifests)>,
    listings: BTreeMap<(String, String), Listing>,
    /// The time of the last answered query for an image by its id.
    asked: BTreeMap<String, Monotonic>,
    in_flight: BTreeSet<String>,
    /// The time at which an answer to a write of the image was lost.
    lost: BTreeMap<String, Monotonic>,
    /// For a run that ends by itself: the images that it pruned, by scope.
    pruned_in_run: Option<BTreeMap<(String, String), BTreeSet<String>>>,
    /// Images that were pruned since the last list of the scope.
    pruned: BTreeMap<(String, String), BTreeSet<String>>,
    /// Times of the calls within the last second, by key, host and action.
    recent: BTreeMap<(String, String, String), VecDeque<Monotonic>>,
    /// Times of the writes of each image within the last hour.
    written: BTreeMap<usize, VecDeque<Monotonic>>,
    /// How far an access point's clock is ahead of the cloud's clock for a key, by the newest reply: the lower and the
    /// upper bound.
    api_ahead: BTreeMap<(String, String), (TimeDelta, TimeDelta)>,
    /// The first call since which none succeeded and nobody requested anything, and the calls of the last minutes.
    outage: (Option<Monotonic>, VecDeque<Monotonic>),
    refusals: Refusals,
    /// Whether it was asked to stop.
    is_stopped: bool,
    /// The actions that a person reviewed, if this run may carry out only those.
    reviewed: Option<BTreeSet<(String, Permission)>>,
}

/// The part of an installation's ledger that was read so far.
#[derive(Default)]
struct Kept {
    /// The number of events that were read.
    read: usize,
    intents: BTreeMap<(String, Permission), usize>,
    /// The result of the last write of each image.
    ended: BTreeMap<String, (Permission, WriteResult)>,
    /// The number of writes of each image that were sent, by permission.
    sent: BTreeMap<(String, Permission), usize>,
}

impl Kept {
    /// Reads the events that are new in the ledger.
    fn catch_up(&mut self, ledger: &Recorded<Machine>) {
        let events = ledger.events.borrow();
        for event in &events[self.read..] {
            match event {
                HistoryEvent::Intent(intent) => {
                    let write = (intent.key.image.as_str().to_owned(), intent.permission);
                    *self.intents.entry(write).or_default() += 1;
                }
                HistoryEvent::Outcome(outcome) => {
                    let image = outcome.key.image.as_str().to_owned();
                    let ended = (outcome.permission, outcome.result);
                    self.ended.insert(image, ended);
                }
                _ => {}
            }
        }
        self.read = events.len();
    }
}

/// A person's request to suspend an account, a region or everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) since: Monotonic,
    pub(crate) account: Option<usize>,
    pub(crate) region: Option<usize>,
}

#[derive(Default)]
struct State {
    violations: Vec<String>,
    record: Record,
    departures: Vec<Departure>,
    processes: Vec<Process>,
    /// The state of each installation. It leads back to this checker, so that a counted reference would never be freed.
    ledgers: BTreeMap<usize, Weak<Recorded<Machine>>>,
    kept: BTreeMap<usize, Kept>,
    /// The number of writes that were sent, by image.
    writes: BTreeMap<usize, usize>,
    holds: Vec<Hold>,
    /// Blueprints that an installation knows to result from its own SHARE, or that a person assigned to it.
    owned: BTreeSet<(usize, String)>,
    /// Blueprints that a person released from an installation, with the time.
    released: BTreeMap<(usize, String), Monotonic>,
    /// The shares that each installation must know, by account and region.
    books: RefCell<BTreeMap<(usize, usize, usize), Books>>,
    /// Installations whose clock was set, or whose machine slept.
    set_clocks: BTreeSet<usize>,
    /// Installations whose machine slept.
    slept: BTreeSet<usize>,
    /// Accounts that had more than one name.
    renamed: BTreeSet<usize>,
    /// The last acknowledged write of each image, by installation.
    acknowledged: BTreeMap<(usize, String), Permission>,
    /// The time since which an instance uses each blueprint.
    used: BTreeMap<String, Monotonic>,
    /// The facts about names and policies that each installation may remember.
    memories: BTreeMap<usize, RememberedFacts>,
}

impl State {
    fn ledger(&self, installation: usize) -> Rc<Recorded<Machine>> {
        let ledger = self.ledgers[&installation].upgrade();
        ledger.expect("an installation lasts as long as its calls")
    }
}

/// Observes all calls, and keeps the violations of invariants.
pub(crate) struct Checker {
    scenario: Scenario,
    cloud: Rc<Cloud>,
    /// The index of each image by its id.
    images: BTreeMap<String, usize>,
    /// Whether everything that a process learns is certainly kept.
    keeps_all: bool,
    /// The number of accounts and regions that have images.
    scopes: usize,
    state: RefCell<State>,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, cloud: &Rc<Cloud>) -> Rc<Self> {
        let images = scenario.images.iter().map(|image| image.id()).zip(0..);
        let scopes = scenario.images.iter();
        let scopes: BTreeSet<_> = scopes.map(|image| (image.account, image.region)).collect();
        Rc::new(Self {
            scopes: scopes.len(),
            scenario: scenario.clone(),
            cloud: Rc::clone(cloud),
            images: images.collect(),
            keeps_all: keeps_all(scenario),
            state: RefCell::default(),
        })
    }

    /// The index of each image by its id.
    pub(crate) fn indexes(&self) -> &BTreeMap<String, usize> {
        &self.images
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state.borrow().violations.clone()
    }

    pub(crate) fn has_violations(&self) -> bool {
        !self.state.borrow().violations.is_empty()
    }

    /// Every call and every answer so far.
    pub(crate) fn record(&self) -> Record {
        self.state.borrow().record.clone()
    }

    /// Adds a note for the reader of the record.
    pub(crate) fn say(&self, what: impl Into<String>) {
        let at = self.cloud.monotonic().since_start().as_micros();
        let what = format!("{at} {}", what.into());
        self.state.borrow_mut().record.said(what);
    }

    pub(crate) fn violate(&self, what: impl Into<String>) {
        let at = self.cloud.monotonic().since_start().as_millis();
        let mut state = self.state.borrow_mut();
        state
            .violations
            .push(format!("at {at} ms: {}", what.into()));
    }

    /// The number of writes that were sent so far, without those of deleted images.
    pub(crate) fn writes(&self, gone: &BTreeSet<usize>) -> usize {
        let state = self.state.borrow();
        let writes = state.writes.iter();
        let there = writes.filter(|(image, _)| !gone.contains(image));
        there.map(|(_, count)| count).sum()
    }

    pub(crate) fn process_began(&self, installation: usize, mode: Mode) -> usize {
        let mut state = self.state.borrow_mut();
        for ((of, ..), books) in state.books.get_mut() {
            if *of == installation {
                books.process_began();
            }
        }
        state.processes.push(Process {
            installation,
            mode,
            observations: Observations::default(),
            gone: Vec::new(),
            loaded: Vec::new(),
            listings: BTreeMap::new(),
            asked: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            lost: BTreeMap::new(),
            pruned_in_run: None,
            pruned: BTreeMap::new(),
            recent: BTreeMap::new(),
            written: BTreeMap::new(),
            api_ahead: BTreeMap::new(),
            outage: (None, VecDeque::new()),
            refusals: Refusals::default(),
            is_stopped: false,
            reviewed: None,
        });
        state.processes.len() - 1
    }

    pub(crate) fn keeps(&self, installation: usize, ledger: &Rc<Recorded<Machine>>) {
        let mut state = self.state.borrow_mut();
        state.ledgers.insert(installation, Rc::downgrade(ledger));
    }

    pub(crate) fn loaded(&self, process: usize, manifests: &Manifests) {
        let now = self.cloud.monotonic();
        let mut state = self.state.borrow_mut();
        let process = &mut state.processes[process];
        let installation = process.installation;
        process.outage = (None, VecDeque::new());
        process.loaded.push((now, manifests.clone()));
        if self.scenario.has_documents() {
            let memory = state.memories.entry(installation).or_default();
            memory.loaded(manifests);
        }
    }

    pub(crate) fn held(&self, account: Option<usize>, region: Option<usize>) {
        let since = self.cloud.monotonic();
        self.state.borrow_mut().holds.push(Hold {
            since,
            account,
            region,
        });
    }

    pub(crate) fn resumed(&self) {
        self.state.borrow_mut().holds.clear();
    }

    pub(crate) fn slept(&self, installation: usize) {
        self.state.borrow_mut().slept.insert(installation);
    }

    /// The installation's clock can no longer measure durations across its processes.
    pub(crate) fn clock_was_set(&self, installation: usize) {
        self.state.borrow_mut().set_clocks.insert(installation);
    }

    pub(crate) fn stopped(&self, process: usize) {
        self.say(format!("process {process} is asked to stop"));
        self.state.borrow_mut().processes[process].is_stopped = true;
    }

    /// The process makes one run, and ends by itself.
    pub(crate) fn runs_once(&self, process: usize) {
        let mut state = self.state.borrow_mut();
        state.processes[process].pruned_in_run = Some(BTreeMap::new());
    }

    /// The process may do these actions, and no others.
    pub(crate) fn reviewed(&self, process: usize, actions: BTreeSet<(String, Permission)>) {
        self.state.borrow_mut().processes[process].reviewed = Some(actions);
    }

    pub(crate) fn adopted(&self, installation: usize, image: usize, blueprint: &str) {
        let now = self.cloud.monotonic();
        let mut state = self.state.borrow_mut();
        let share = (installation, blueprint.to_owned());
        state.released.remove(&share);
        state.owned.insert(share);
        self.books(&state, installation, image, |books| {
            books.adopted(image, blueprint, now);
        });
    }

    pub(crate) fn released(&self, installation: usize, image: usize) {
        let now = self.cloud.monotonic();
        let id = self.scenario.images[image].id();
        let mut state = self.state.borrow_mut();
        let shares = state.owned.iter();
        let of_it = shares.filter(|(of, blueprint)| {
            *of == installation && self.image_of(blueprint).as_ref() == Some(&id)
        });
        let of_it: Vec<_> = of_it.map(|share| (share.clone(), now)).collect();
        state.released.extend(of_it);
        self.books(&state, installation, image, |books| books.released(image));
    }

    pub(crate) fn unparked(&self, installation: usize, image: usize) {
        let state = self.state.borrow();
        self.books(&state, installation, image, |books| books.unparked(image));
    }

    pub(crate) fn accepted(
        &self,
        installation: usize,
        (account, region): (usize, usize),
        lost: u32,
    ) {
        let state = self.state.borrow();
        let mut books = state.books.borrow_mut();
        let books = books.entry((installation, account, region)).or_default();
        books.accepted(lost);
    }

    /// A person asked an installation's process to try everything again.
    pub(crate) fn asked(&self, installation: usize) {
        let state = self.state.borrow();
        let mut books = state.books.borrow_mut();
        let own = books.iter_mut().filter(|((of, ..), _)| *of == installation);
        own.for_each(|(_, books)| books.asked());
        drop(books);
        drop(state);
        for process in &mut self.state.borrow_mut().processes {
            process.outage = (None, VecDeque::new());
        }
    }

    pub(crate) fn renamed(&self, account: usize) {
        let mut state = self.state.borrow_mut();
        state.renamed.insert(account);
        let mut books = state.books.borrow_mut();
        let own = books.iter_mut().filter(|((_, of, _), _)| *of == account);
        own.for_each(|(_, books)| books.renamed());
    }

    /// Gives access to the books of an installation about the scope of an image.
    fn books<T>(
        &self,
        state: &State,
        installation: usize,
        image: usize,
        with: impl FnOnce(&mut Books) -> T,
    ) -> T {
        let image = &self.scenario.images[image];
        let scope = (installation, image.account, image.region);
        with(state.books.borrow_mut().entry(scope).or_default())
    }

    /// S24: a run that reports success has reached everything that its manifests ask for, unless somebody interfered
    /// recently.
    pub(crate) fn reported(&self, process: usize, exit: u64) {
        if exit != 0 {
            return;
        }
        let state = self.state.borrow();
        let own = &state.processes[process];
        let Some((_, manifests)) = own.loaded.last() else {
            return;
        };
        let now = self.cloud.monotonic();
        let seconds_now = now.since_start().as_secs();
        let mut wrong = Vec::new();
        for (index, image) in self.scenario.images.iter().enumerate() {
            // The end of the run judges what an image must be by its name or by policies.
            if manifests.speaks_of_names(image.account, image.region) {
                continue;
            }
            let is_near = |time: u64| time.abs_diff(seconds_now) < 1200;
            let shared = match manifests.wish(index).map(|wish| wish.state) {
                Some(Wanted::Shared) => true,
                Some(Wanted::Unshared) => false,
                Some(Wanted::Until(until)) if !is_near(until) => seconds_now < until,
                // Before its start time, the image stays as it is.
                Some(Wanted::From(from)) if !is_near(from) && seconds_now >= from => true,
                _ => continue,
            };
            let scope = (key(image.account).to_owned(), image.region().to_owned());
            let listing = own.listings.get(&scope);
            let id = image.id();
            let (since, is_shared, ours) = self.cloud.last_change(image.region(), &id);
            // An installation cannot miss what it has written itself, however much reads lag.
            let is_known = || {
                ours && is_only_writer(&state, own.installation, &id)
                    && !state.renamed.contains(&image.account)
            };
            // The run may wait for another region after it has seen this one for the last time.
            let was_listed = listing.is_some_and(|listing| listing.began > since);
            let is_settled = now.since(since) > SEEN_MAX && was_listed || is_known();
            let is_blind = listing.is_none_or(Listing::is_denied);
            if is_shared != shared
                && is_settled
                && !is_blind
                && !self.cloud.deleted.borrow().contains(&id)
            {
                wrong.push(id);
            }
        }
        drop(state);
        if !wrong.is_empty() {
            self.violate(format!(
                "S24: exit status 0, and {wrong:?} are not as they should be"
            ));
        }
    }

    pub(crate) fn used(&self, blueprint: &str) {
        let now = self.cloud.monotonic();
        let mut state = self.state.borrow_mut();
        state.used.entry(blueprint.to_owned()).or_insert(now);
    }

    /// No instance uses the blueprint any longer.
    pub(crate) fn disused(&self, blueprint: &str) {
        self.state.borrow_mut().used.remove(blueprint);
    }

    /// Whether an installation may remember that a name meant the image.
    pub(crate) fn may_have_meant(&self, place: Place, name: &str, id: &str) -> bool {
        let state = self.state.borrow();
        let mut memories = state.memories.values();
        memories.any(|memory| memory.may_have_meant(place, name, id))
    }
}

/// Whether nobody but the installation ever sent a write of the image, and its clock was never set.
fn is_only_writer(state: &State, installation: usize, id: &str) -> bool {
    let departures = state.departures.iter();
    let mut writes = departures.filter(|call| call.action == MODIFY && call.body["ImageId"] == id);
    !state.set_clocks.contains(&installation)
        && writes.all(|write| write.installation == installation)
}

/// Drops the times that are at least `most` ago.
fn forget(times: &mut VecDeque<Monotonic>, now: Monotonic, most: Duration) {
    while times.front().is_some_and(|at| now.since(*at) >= most) {
        times.pop_front();
    }
}

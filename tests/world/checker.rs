//! Checks the invariants. It sees only calls, answers and manifests, and does not know the product's plans, so that it
//! does not repeat their mistakes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::Value;
use sharekeeper::history::{HistoryEvent, WriteResult};
use sharekeeper::host::{Clock, Reply, TransportError};
use sharekeeper::model::{Monotonic, Permission, Timestamp};

use super::books::Books;
use super::judge::{Case, Gone};
use super::listing::Listing;
use super::machine::Machine;
use super::manifests::{Manifests, account_of_key, instant, key};
use super::observations::{Observations, Place, RememberedFacts, Told, keeps_all, place};
use super::record::Record;
use super::refusals::Refusals;
use super::scenario::{Image, Mode, REGIONS, Scenario, Wanted, seconds};
use super::support::{Cloud, Recorded};
use super::verdicts::Why;

const MODIFY: &str = "ModifyImageSharePermission";
/// Manifests that arrived within this time may have been too late for a call.
const AT_ONCE: Duration = Duration::from_millis(5);
/// A person's request within this time may be too late for an intent that was already recorded.
const PERSON: Duration = Duration::from_secs(1);
/// A write must not rest on an observation that is older than this (S4).
const SEEN_MAX: Duration = Duration::from_secs(120);
/// A process has slowed down after this time of calls without a successful answer.
const OUTAGE: Duration = Duration::from_secs(600);
/// The most calls that a process may make within such a time once it lasts longer, for each account and region. By then
/// nothing is repeated, so these are the first calls of passes, and questions to STS.
const OUTAGE_CALLS_MAX: usize = 25;
/// Clocks that differ by at most this count as equal, whatever else fails.
const APART: TimeDelta = TimeDelta::seconds(31);
/// The most writes of one image in an hour. More are a loop without a backoff (L4). A pass makes seven writes of a busy
/// image, and the passes are from 30 s to an interval apart; an edit begins this anew.
const WRITES_MAX: usize = 150;

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
    looks: Observations,
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
    ledgers: BTreeMap<usize, Rc<Recorded<Machine>>>,
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

/// The reason why a write is allowed.
enum Licence {
    Plain,
    Prune,
    /// A document asks for it that names images by more than ids.
    Cancel(Why),
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
            looks: Observations::default(),
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
            reviewed: None,
        });
        state.processes.len() - 1
    }

    pub(crate) fn keeps(&self, installation: usize, ledger: &Rc<Recorded<Machine>>) {
        let mut state = self.state.borrow_mut();
        state.ledgers.insert(installation, Rc::clone(ledger));
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
            let is_settled = now.since(since) > SEEN_MAX || is_known();
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

    /// A call is sent. Returns the number that identifies its answer.
    pub(crate) fn departed(&self, call: Departure) -> usize {
        let mut state_guard = self.state.borrow_mut();
        let state = &mut *state_guard;
        let number = state.departures.len();
        let words = [&*call.key, &*call.host, &*call.region, &*call.action];
        let from = (call.at, call.process);
        state.record.left(number, from, words, &call.bytes);
        let mut found = self.rate(state, &call);
        let process = &mut state.processes[call.process];
        let is_other = process.mode == Mode::WrongKeys && call.action != "GetCallerIdentity";
        if is_other && self.scenario.uins {
            found.push("S13: a call with a key of another account".to_owned());
        }
        found.extend(self.host(&call));
        found.extend(self.storm(process, &call));
        found.extend(process.refusals.departed(&call));
        if call.action == "DescribeBlueprints" && call.body.get("BlueprintIds").is_none() {
            let scope = (call.key.clone(), call.region.clone());
            if call.body["Offset"].as_u64().unwrap_or(0) == 0 {
                process.pruned.remove(&scope);
                process.listings.insert(scope, Listing::new(call.at));
            }
        }
        if self.scenario.has_documents()
            && let Some(place) = process.looks.departed(&call)
        {
            let memory = state.memories.entry(call.installation).or_default();
            memory.looks_anew(place, call.process);
        }
        if call.action == MODIFY {
            found.extend(self.write(state, &call));
        }
        state.departures.push(call);
        drop(state_guard);
        found.into_iter().for_each(|what| self.violate(what));
        number
    }

    /// L5: a process that has had no successful answer for long makes few calls.
    fn storm(&self, process: &mut Process, call: &Departure) -> Option<String> {
        let (since, calls) = &mut process.outage;
        if call.at.since(*since.get_or_insert(call.at)) < OUTAGE {
            return None;
        }
        forget(calls, call.at, OUTAGE);
        calls.push_back(call.at);
        let many = calls.len();
        // Names and policies need additional lists.
        let lists = 1 + usize::from(self.scenario.has_documents());
        let most = OUTAGE_CALLS_MAX * self.scopes * lists;
        (many > most).then(|| format!("L5: {many} calls within ten minutes of an outage"))
    }

    /// S14: signed requests go to the configured host, and to no other host.
    fn host(&self, call: &Departure) -> Option<String> {
        let service = match call.action.as_str() {
            "GetCallerIdentity" => "sts",
            "DescribeImages" => "cvm",
            _ => "lighthouse",
        };
        let place = match self.scenario.regional {
            // Only Lighthouse has regional access points.
            true if service != "lighthouse" => String::new(),
            true => format!("{}.", call.region),
            false => "intl.".to_owned(),
        };
        let is_right = call.host == format!("{service}.{place}tencentcloudapi.com");
        (!is_right).then(|| format!("S14: {} to {}", call.action, call.host))
    }

    /// S6: the number of calls within any second stays below the rate limit.
    fn rate(&self, state: &mut State, call: &Departure) -> Vec<String> {
        let bucket = (call.key.clone(), call.host.clone(), call.action.clone());
        let recent = &mut state.processes[call.process].recent;
        let recent = recent.entry(bucket).or_default();
        forget(recent, call.at, Duration::from_secs(1));
        recent.push_back(call.at);
        let most = match call.action.as_str() {
            MODIFY => self.scenario.rate as usize,
            _ => 20,
        };
        let many = recent.len();
        if many > most {
            return vec![format!("S6: {many} calls of {} in a second", call.action)];
        }
        Vec::new()
    }

    /// Checks everything that must hold for a write when it is sent.
    fn write(&self, state: &mut State, call: &Departure) -> Vec<String> {
        let id = call.body["ImageId"].as_str().expect("an id").to_owned();
        let permission = match call.body["Permission"].as_str() {
            Some("SHARE") => Permission::Share,
            _ => Permission::Cancel,
        };
        let Some(&index) = self.images.get(&id) else {
            return vec![format!("S1: a write of {id}, which nobody knows")];
        };
        let image = &self.scenario.images[index];
        if account_of_key(&call.key) != Some(image.account) || image.region() != call.region {
            return vec![format!("S13: a write of {id} with {}", call.key)];
        }
        let subject = Subject {
            id: &id,
            index,
            permission,
        };
        *state.writes.entry(index).or_default() += 1;
        let kept = state.kept.entry(call.installation).or_default();
        kept.catch_up(&state.ledgers[&call.installation]);
        let mut found = vec![
            self.licence(state, call, &subject),
            self.seen(state, call, &subject),
            self.recorded(state, call, &subject),
            self.repeated(state, call, &subject),
            self.looped(state, call, &subject),
        ];
        let is_reversed = self.books(state, call.installation, index, |books| {
            let is_reversed = books.is_reversed(index, permission, call.at);
            books.left(index, permission);
            is_reversed
        });
        if is_reversed {
            found.push(Some(
                "S20: a write of what somebody else keeps reversing".into(),
            ));
        }
        let process = &mut state.processes[call.process];
        let write = (id.clone(), permission);
        if process
            .reviewed
            .as_ref()
            .is_some_and(|it| !it.contains(&write))
        {
            found.push(Some("S5: a write that nobody has reviewed".into()));
        }
        if process.mode == Mode::Observe {
            found.push(Some("S16: one who only looks writes".into()));
        }
        if !process.in_flight.insert(id.clone()) {
            found.push(Some("S8: two writes of one image at a time".into()));
        }
        let about = format!("{permission:?} {id} by process {}", call.process);
        let found = found.into_iter().flatten();
        found.map(|what| format!("{what} ({about})")).collect()
    }

    /// Checks S1, S3, S5, S26, protection, windows and the requests of people.
    fn licence(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
    ) -> Option<String> {
        let image = &self.scenario.images[subject.index];
        let region = REGIONS[image.region];
        let holds = state.holds.iter().any(|hold| {
            call.at.since(hold.since) > PERSON
                && hold.account.is_none_or(|account| account == image.account)
                && hold.region.is_none_or(|of| REGIONS[of] == region)
        });
        if holds {
            return Some("suspended: a write all the same".into());
        }
        let process = &state.processes[call.process];
        let mut newest = process.loaded.iter().rev();
        let mut why = None;
        loop {
            let Some((since, manifests)) = newest.next() else {
                return why.or(Some("S1: a write without manifests".into()));
            };
            match self.asked_for(state, call, subject, manifests) {
                Ok(licence) => {
                    return self.cap(state, call, subject, licence);
                }
                Err(reason) => why = why.or(Some(reason)),
            }
            if call.at.since(*since) > AT_ONCE {
                return why;
            }
        }
    }

    /// Whether these manifests ask for the write, and why. If the access point's clock differs, they must also ask for
    /// it by that clock.
    fn asked_for(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        manifests: &Manifests,
    ) -> Result<Licence, String> {
        let by_machine = self.asked_for_at(state, call, subject, (manifests, call.wall))?;
        let process = &state.processes[call.process];
        let asked = process
            .api_ahead
            .get(&(call.key.clone(), call.host.clone()));
        let Some((low, high)) = asked else {
            return Ok(by_machine);
        };
        let [low, high] = [low, high].map(|ahead| self.cloud.now() + *ahead);
        let is_apart = low - call.wall > APART || call.wall - high > APART;
        let judge = |now| self.asked_for_at(state, call, subject, (manifests, now));
        if is_apart && judge(low).is_err() {
            let by_api = judge(high);
            by_api.map_err(|why| format!("B2: by the access point's clock, {why}"))?;
        }
        Ok(by_machine)
    }

    fn asked_for_at(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        (manifests, now): (&Manifests, Timestamp),
    ) -> Result<Licence, String> {
        let image = &self.scenario.images[subject.index];
        if !manifests.is_open(image.account, now) {
            return Err("windows: a write while they are closed".into());
        }
        if manifests.twins.contains(&image.account) && self.twin_asks(image, manifests) {
            return Err("S26: a write of an account with two names".into());
        }
        if manifests.speaks_of_names(image.account, image.region) {
            // The model has a tolerance for differing clocks, so it needs no second time.
            return self.asked_for_by_name(state, call, subject, manifests);
        }
        let wish = manifests.wish(subject.index);
        let is_past = |seconds| now >= instant(seconds);
        let is_wanted = |image: usize| match manifests.wish(image).map(|wish| wish.state) {
            None | Some(Wanted::Shared) => true,
            Some(Wanted::Unshared | Wanted::Unnamed) => false,
            Some(Wanted::Until(until)) => !is_past(until),
            Some(Wanted::From(from)) => is_past(from),
        };
        if subject.permission == Permission::Share {
            self.books(state, call.installation, subject.index, |books| {
                books.shares_again(call.process, subject.index, is_wanted);
            });
            return match wish.map(|wish| wish.state) {
                Some(Wanted::Shared) => Ok(Licence::Plain),
                Some(Wanted::Until(until)) if !is_past(until) => Ok(Licence::Plain),
                Some(Wanted::From(from)) if is_past(from) => Ok(Licence::Plain),
                _ => Err("S1: a SHARE that nothing asks for".into()),
            };
        }
        if manifests.is_partial {
            return Err("S3: a CANCEL by manifests that are not all there".into());
        }
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        let is_blind = listing.is_some_and(Listing::is_denied);
        let loss = self.books(state, call.installation, subject.index, |books| {
            books.forbids_cancel(call.process, is_wanted)
        });
        if let Some(why) = loss.filter(|_| !is_blind) {
            return Err(why);
        }
        let is_pruned = match wish {
            Some(wish) if wish.protect => return Err("protect: a CANCEL".into()),
            Some(wish) => match wish.state {
                Wanted::Unshared => return Ok(Licence::Plain),
                Wanted::Until(until) if is_past(until) => false,
                _ => return Err("S1: a CANCEL that nothing asks for".into()),
            },
            None if self.scenario.prune => true,
            None => return Err("S1: a CANCEL of what no manifest names".into()),
        };
        let blueprint = listing.and_then(|listing| listing.shown(subject.id));
        let blueprint = blueprint.unwrap_or_default();
        let since = state.used.get(blueprint);
        if since.is_some_and(|since| call.at.since(*since) > SEEN_MAX + seconds(30)) {
            return Err("N6: a CANCEL of what an instance uses".into());
        }
        if is_pruned && !is_owned(state, call, blueprint) {
            return Err("S10: a CANCEL of a share that is not its own".into());
        }
        Ok(match is_pruned {
            true => Licence::Prune,
            false => Licence::Plain,
        })
    }

    /// Whether a second name of the account asks for something in the region of the image.
    fn twin_asks(&self, image: &Image, manifests: &Manifests) -> bool {
        let images = self.scenario.images.iter().zip(0..);
        let mut here = images
            .filter(|(other, _)| (other.account, other.region) == (image.account, image.region));
        here.any(|(_, index)| manifests.wish(index).is_some())
    }

    /// The same check where documents name images by more than ids.
    fn asked_for_by_name(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        manifests: &Manifests,
    ) -> Result<Licence, String> {
        let process = &state.processes[call.process];
        let scope = (call.key.clone(), call.region.clone());
        let listing = process.listings.get(&scope);
        let blueprint = listing.and_then(|listing| listing.shown(subject.id));
        let blueprint = blueprint.unwrap_or_default();
        let since = state.used.get(blueprint);
        let case = Case {
            scenario: &self.scenario,
            cloud: &self.cloud,
            indexes: &self.images,
            manifests,
            looks: &process.looks,
            memory: &state.memories[&call.installation],
            gone: &process.gone,
            call,
            place: place(call).ok_or("S13: a write of another account")?,
            id: subject.id,
            permission: subject.permission,
            is_used: since.is_some_and(|since| call.at.since(*since) > SEEN_MAX + seconds(30)),
            is_owned: is_owned(state, call, blueprint),
        };
        let why = case.judge()?;
        Ok(why.map_or(Licence::Plain, Licence::Cancel))
    }

    /// S7: limits what is pruned after one list of the scope.
    fn cap(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
        licence: Licence,
    ) -> Option<String> {
        let process = &mut state.processes[call.process];
        if let (Licence::Cancel(why), Some(place)) = (&licence, place(call)) {
            process.gone.push(Gone {
                at: call.at,
                place,
                id: subject.id.to_owned(),
                why: why.clone(),
            });
        }
        if !matches!(licence, Licence::Prune | Licence::Cancel(Why::Pruned)) {
            return None;
        }
        let scope = (call.key.clone(), call.region.clone());
        if let Some(in_run) = &mut process.pruned_in_run {
            let in_run = in_run.entry(scope.clone()).or_default();
            in_run.insert(subject.id.to_owned());
            let in_run = in_run.len();
            if in_run > self.scenario.max_cancels as usize {
                return Some(format!("S7: {in_run} pruned in one run"));
            }
        }
        let pruned = process.pruned.entry(scope).or_default();
        pruned.insert(subject.id.to_owned());
        let pruned = pruned.len();
        if pruned > self.scenario.max_cancels as usize {
            return Some(format!("S7: {pruned} pruned at once"));
        }
        let percent = self.scenario.max_cancels_percent;
        let is_over = self.books(state, call.installation, subject.index, |books| {
            books.is_over(pruned, percent, call.at)
        });
        is_over.then(|| format!("S7: {pruned} pruned at once, of which {percent} % are allowed"))
    }

    /// S2 and S4: checks the observations on which the write rests.
    fn seen(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let process = &state.processes[call.process];
        let Some(listing) = process.listings.get(&scope) else {
            return Some("S2: a write without a look".into());
        };
        if let Some(lost) = process.lost.get(subject.id)
            && listing.began < *lost
        {
            return Some("S8: a write whose answer was lost is repeated without a look".into());
        }
        if listing.is_denied() {
            return None;
        }
        if !listing.is_complete() {
            return Some("S2: a write by a list that is not complete".into());
        }
        let is_shown = listing.shown(subject.id).is_some();
        if is_shown != (subject.permission == Permission::Cancel) {
            return Some("S17: a write of what is as desired already".into());
        }
        let asked = process.asked.get(subject.id).copied().unwrap_or_default();
        let age = call.at.since(listing.began.max(asked));
        // The answer to the SHARE is then the only information, as if reading were denied.
        let is_blind = listing.is_asking_denied && subject.permission == Permission::Share;
        (age > SEEN_MAX && !is_blind).then(|| format!("S4: what was seen {} s ago", age.as_secs()))
    }

    /// S9: the intent was on the disk before the write was sent.
    fn recorded(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
    ) -> Option<String> {
        let kept = state.kept.get_mut(&call.installation)?;
        let write = (subject.id.to_owned(), subject.permission);
        let intents = kept.intents.get(&write).copied().unwrap_or_default();
        let sent = kept.sent.entry(write).or_default();
        *sent += 1;
        (intents < *sent).then(|| "S9: a write without an intent".into())
    }

    /// S4: an acknowledged write is not repeated when a read lags.
    fn repeated(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        let account = self.scenario.images[subject.index].account;
        // A process without permission to read knows only what is kept under the account's name.
        let is_blind = listing.is_some_and(Listing::is_denied);
        if self.scenario.machines.len() > 1
            || state.set_clocks.contains(&call.installation)
            || is_blind && state.renamed.contains(&account)
            // Under a new name, writes are known by their dates alone, which a sleep makes uncertain for hours.
            || state.slept.contains(&call.installation) && state.renamed.contains(&account)
        {
            return None;
        }
        let (since, shared, ours) = self.cloud.last_change(&call.region, subject.id);
        // A process cannot tell an answer that lags longer than any normal one from somebody else's change. The same
        // holds for an answer from before the write that comes after an observation has shown the effect.
        if call.at.since(since) >= SEEN_MAX || was_shown(state, call) {
            return None;
        }
        let is_so = ours && shared == (subject.permission == Permission::Share);
        let key = (call.installation, subject.id.to_owned());
        let kept = state.kept.get(&call.installation)?;
        let ended = (subject.permission, WriteResult::Applied);
        let is_kept = kept.ended.get(subject.id) == Some(&ended);
        let is_known = state.acknowledged.get(&key) == Some(&subject.permission) && is_kept;
        (is_so && is_known).then(|| "S4: an acknowledged write is repeated".into())
    }

    /// L4: an image is not written again and again.
    fn looped(&self, state: &mut State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let process = &mut state.processes[call.process];
        let written = process.written.entry(subject.index).or_default();
        forget(written, call.at, seconds(3600));
        written.push_back(call.at);
        let many = written.len();
        (many > WRITES_MAX).then(|| format!("L4: {many} writes of one image in an hour"))
    }

    /// An installation received a complete list of a scope.
    fn listed(
        &self,
        books: &RefCell<BTreeMap<(usize, usize, usize), Books>>,
        call: &Departure,
        listing: &Listing,
    ) {
        let region = REGIONS.iter().position(|region| *region == call.region);
        let (Some(account), Some(region)) = (account_of_key(&call.key), region) else {
            return;
        };
        let shown = listing.all_shown();
        let shown = shown.filter_map(|(image, blueprint)| {
            let index = self.images.get(image)?;
            Some((*index, blueprint))
        });
        let mut books = books.borrow_mut();
        let books = books.entry((call.installation, account, region));
        books.or_default().listed(listing.began, &shown.collect());
    }

    /// The image to which a blueprint id belongs.
    fn image_of(&self, blueprint: &str) -> Option<String> {
        let id = blueprint.trim_start_matches("lhbp-");
        // The id of an image's first share has no number, and later ones have one.
        let plain = id.rsplit_once('-').map_or(id, |(image, _)| image);
        let mut known = [id, plain].into_iter();
        let known = known.find(|id| self.images.contains_key(*id))?;
        Some(known.to_owned())
    }

    /// The answer to a call arrives.
    pub(crate) fn replied(&self, number: usize, reply: &Result<Reply, TransportError>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let call = &state.departures[number];
        let now = self.cloud.monotonic();
        let body = reply.as_ref().ok();
        let body = body.and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok());
        state.record.came(number, now, reply);
        let date = reply.as_ref().ok().and_then(|reply| reply.date.as_deref());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            // The server sent the date after the call left, and the date has whole seconds.
            let high = date.to_utc() - self.cloud.now() + TimeDelta::seconds(1);
            let took = TimeDelta::from_std(now.since(call.at)).expect("a few seconds");
            let ahead = (high - TimeDelta::seconds(1), high + took);
            let at = (call.key.clone(), call.host.clone());
            state.processes[call.process].api_ahead.insert(at, ahead);
        }
        let response = body
            .map(|mut body| body["Response"].take())
            .unwrap_or_default();
        let is_good = response.is_object() && response.get("Error").is_none();
        let process = &mut state.processes[call.process];
        process.refusals.replied(call, &response, now);
        if self.scenario.has_documents()
            && let Told::Region(place, look) = process.looks.replied(call, &response)
            && let Some((since, manifests)) = process.loaded.last()
        {
            let is_kept = self.keeps_all
                && process.mode == Mode::Reconcile
                && *since < look.began
                && !manifests.is_partial;
            let memory = state.memories.entry(call.installation).or_default();
            let entries = manifests.entries(place.0, place.1);
            memory.told((place, call.process), look, &entries, is_kept);
        }
        if response["Error"]["Code"] == "RequestLimitExceeded" {
            // A throttled call does not count: the product has its own delay for it, and asks again.
            let _ = process.outage.1.pop_back();
            let image = call.body["ImageId"].as_str();
            let index = image.and_then(|image| self.images.get(image));
            let written = index.and_then(|index| process.written.get_mut(index));
            let _ = written.and_then(VecDeque::pop_back);
        }
        if is_good {
            process.outage = (None, VecDeque::new());
        }
        match call.action.as_str() {
            MODIFY => {
                let id = call.body["ImageId"].as_str().expect("an id");
                process.in_flight.remove(id);
                if matches!(reply, Err(TransportError::Lost(_))) {
                    process.lost.insert(id.to_owned(), now);
                }
                if is_good && response.get("RequestId").is_some() {
                    let key = (call.installation, id.to_owned());
                    let permission = match call.body["Permission"].as_str() {
                        Some("SHARE") => Permission::Share,
                        _ => Permission::Cancel,
                    };
                    state.acknowledged.insert(key, permission);
                    let blueprint = response["BlueprintId"].as_str();
                    if let Some(blueprint) = blueprint {
                        let owned = (call.installation, blueprint.to_owned());
                        state.owned.insert(owned);
                    }
                    if let Some(&index) = self.images.get(id) {
                        let image = &self.scenario.images[index];
                        let scope = (call.installation, image.account, image.region);
                        let books = state.books.get_mut().entry(scope).or_default();
                        books.acknowledged(index, permission, blueprint, now);
                    }
                }
            }
            "DescribeBlueprints" => {
                if let Some(ids) = call.body.get("BlueprintIds") {
                    let image = |id: &Value| self.image_of(id.as_str()?);
                    let ids = ids.as_array().expect("a list").iter();
                    let asked = ids.filter_map(image).map(|image| (image, call.at));
                    process.asked.extend(asked.filter(|_| is_good));
                    return;
                }
                let scope = (call.key.clone(), call.region.clone());
                let offset = call.body["Offset"].as_u64().unwrap_or(0);
                let listing = process.listings.get_mut(&scope);
                // The answer may belong to an earlier list, and then it is not part of this one.
                let listing = listing.filter(|listing| listing.began <= call.at);
                if let Some(listing) = listing {
                    listing.answered(offset, &response);
                    let is_kept = !state.ledgers[&call.installation].full.get();
                    if process.mode == Mode::Reconcile && is_kept && listing.is_complete() {
                        self.listed(&state.books, call, listing);
                    }
                }
            }
            "DescribeImagesToShare" if !is_good => {
                let code = response["Error"]["Code"].as_str().unwrap_or_default();
                let scope = (call.key.clone(), call.region.clone());
                if code.starts_with("UnauthorizedOperation")
                    && call.body.get("ImageIds").is_some()
                    && let Some(listing) = process.listings.get_mut(&scope)
                {
                    listing.is_asking_denied = true;
                }
            }
            "DescribeImagesToShare" => {
                let ids = call.body["ImageIds"].as_array();
                let ids = ids.into_iter().flatten().filter_map(Value::as_str);
                process.asked.extend(ids.map(|id| (id.to_owned(), call.at)));
            }
            _ => {}
        }
    }
}

/// Whether the installation knows that the share is its own, and no person has released it since.
fn is_owned(state: &State, call: &Departure, blueprint: &str) -> bool {
    let share = (call.installation, blueprint.to_owned());
    let released = state.released.get(&share);
    let is_released = released.is_some_and(|at| call.at.since(*at) > PERSON);
    !is_released && state.owned.contains(&share)
}

/// Whether nobody but the installation ever sent a write of the image, and its clock was never set.
fn is_only_writer(state: &State, installation: usize, id: &str) -> bool {
    let departures = state.departures.iter();
    let mut writes = departures.filter(|call| call.action == MODIFY && call.body["ImageId"] == id);
    !state.set_clocks.contains(&installation)
        && writes.all(|write| write.installation == installation)
}

/// Whether an observation has shown the effect of the last write of the image.
fn was_shown(state: &State, call: &Departure) -> bool {
    let scopes = state.ledgers[&call.installation].scopes.borrow();
    let mut entries = scopes.values().flat_map(|inventory| &inventory.images);
    let entry = entries.find(|(image, _)| call.body["ImageId"] == image.as_str());
    let newest = entry.and_then(|(_, entry)| entry.writes.last());
    newest.is_some_and(|write| write.confirmed)
}

/// Drops the times that are at least `most` ago.
fn forget(times: &mut VecDeque<Monotonic>, now: Monotonic, most: Duration) {
    while times.front().is_some_and(|at| now.since(*at) >= most) {
        times.pop_front();
    }
}

/// The write that is being judged.
struct Subject<'a> {
    id: &'a str,
    index: usize,
    permission: Permission,
}

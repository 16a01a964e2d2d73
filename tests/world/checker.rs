//! The invariants, judged by what leaves, what is answered and what the manifests said: it knows nothing of plans.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use sharekeeper::history::{HistoryEvent, WriteResult};
use sharekeeper::host::{Clock, Reply, TransportError};
use sharekeeper::model::{Monotonic, Permission, Timestamp};

use super::judge::{Case, Gone};
use super::listing::Listing;
use super::machine::Machine;
use super::manifests::{Manifests, account_of_key, instant};
use super::observations::{Observations, Place, RememberedFacts, Told, keeps_all, place};
use super::scenario::{Image, Mode, REGIONS, Scenario, Wanted, seconds};
use super::support::{Cloud, Recorded};
use super::verdicts::Why;

const MODIFY: &str = "ModifyImageSharePermission";
/// Manifests that came this moment may have come too late for a call.
const AT_ONCE: Duration = Duration::from_millis(5);
/// A person's word may come too late for an intent that was recorded a moment ago.
const PERSON: Duration = Duration::from_secs(1);
/// What was seen longer ago is no ground for a write (S4).
const SEEN_MAX: Duration = Duration::from_secs(120);
/// Writes of one image in an hour: more is a loop without a brake (L4).
const WRITES_MAX: usize = 100;

/// A call as it leaves a process.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) at: Monotonic,
    /// By the machine's own clock.
    pub(crate) wall: Timestamp,
    pub(crate) installation: usize,
    pub(crate) process: usize,
    pub(crate) key: String,
    pub(crate) host: String,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) body: Value,
}

/// A process, as far as it is known from outside.
struct Process {
    installation: usize,
    mode: Mode,
    /// What it was told of names and policies.
    looks: Observations,
    /// CANCELs that documents asked for which name images by more than ids.
    gone: Vec<Gone>,
    /// Good sets of manifests that it was given, with when.
    loaded: Vec<(Monotonic, Manifests)>,
    listings: BTreeMap<(String, String), Listing>,
    /// When an image was last asked about by its id, and there was an answer.
    asked: BTreeMap<String, Monotonic>,
    in_flight: BTreeSet<String>,
    /// When an answer to a write of the image was lost.
    lost: BTreeMap<String, Monotonic>,
    /// What was pruned since the scope was listed.
    pruned: BTreeMap<(String, String), BTreeSet<String>>,
}

/// A request of a person to leave an account, a region or all alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) since: Monotonic,
    pub(crate) account: Option<usize>,
    pub(crate) region: Option<usize>,
}

#[derive(Default)]
struct State {
    violations: Vec<String>,
    log: String,
    departures: Vec<Departure>,
    processes: Vec<Process>,
    ledgers: BTreeMap<usize, Rc<Recorded<Machine>>>,
    holds: Vec<Hold>,
    /// Blueprints that an installation was told are of its SHARE.
    owned: BTreeSet<(usize, String)>,
    /// The last write of an installation that was acknowledged.
    acknowledged: BTreeMap<(usize, String), Permission>,
    /// Since when an instance uses a blueprint.
    used: BTreeMap<String, Monotonic>,
    /// What each installation may remember of names and policies.
    memories: BTreeMap<usize, RememberedFacts>,
}

/// Observations on, and keeps what went against an invariant.
pub(crate) struct Checker {
    scenario: Scenario,
    cloud: Rc<Cloud>,
    /// The indexes of images by their ids.
    images: BTreeMap<String, usize>,
    /// Whether what processes learn is always kept.
    keeps_all: bool,
    state: RefCell<State>,
}

/// Why a write is right.
enum Licence {
    Plain,
    Prune,
    /// By a document that names images by more than ids.
    Cancel(Why),
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, cloud: &Rc<Cloud>) -> Rc<Self> {
        let images = scenario.images.iter().map(|image| image.id()).zip(0..);
        Rc::new(Self {
            scenario: scenario.clone(),
            cloud: Rc::clone(cloud),
            images: images.collect(),
            keeps_all: keeps_all(scenario),
            state: RefCell::default(),
        })
    }

    /// The indexes of images by their ids.
    pub(crate) fn indexes(&self) -> &BTreeMap<String, usize> {
        &self.images
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state.borrow().violations.clone()
    }

    /// Each call as it left and each answer, a line each.
    pub(crate) fn log(&self) -> String {
        self.state.borrow().log.clone()
    }

    pub(crate) fn violate(&self, what: impl Into<String>) {
        let at = self.cloud.monotonic().since_start().as_millis();
        let mut state = self.state.borrow_mut();
        state
            .violations
            .push(format!("at {at} ms: {}", what.into()));
    }

    /// Writes that left so far, but for those of images that are gone.
    pub(crate) fn writes(&self, gone: &BTreeSet<usize>) -> usize {
        let state = self.state.borrow();
        let is_there = |call: &&Departure| {
            let id = call.body["ImageId"].as_str();
            let index = id.and_then(|id| self.images.get(id));
            index.is_none_or(|index| !gone.contains(index))
        };
        let writes = state.departures.iter();
        let writes = writes.filter(|call| call.action == MODIFY);
        writes.filter(is_there).count()
    }

    pub(crate) fn process_began(&self, installation: usize, mode: Mode) -> usize {
        let mut state = self.state.borrow_mut();
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
            pruned: BTreeMap::new(),
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
        let installation = state.processes[process].installation;
        let loaded = &mut state.processes[process].loaded;
        loaded.push((now, manifests.clone()));
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

    /// A call leaves. Returns what its answer is told by.
    pub(crate) fn departed(&self, call: Departure) -> usize {
        let mut state_guard = self.state.borrow_mut();
        let state = &mut *state_guard;
        let number = state.departures.len();
        let at = call.at.since_start().as_micros();
        let (key, body) = (&call.key, &call.body);
        let (process, host) = (call.process, &call.host);
        writeln!(
            state.log,
            "{number} {at} {process} {key} {host} {} {} {body}",
            call.region, call.action
        )
        .expect("text");
        let mut found = self.rate(state, &call);
        let process = &mut state.processes[call.process];
        let is_other = process.mode == Mode::WrongKeys && call.action != "GetCallerIdentity";
        if is_other && self.scenario.uins {
            found.push("S13: a call with a key of another account".to_owned());
        }
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

    /// S6: what leaves within a sliding second.
    fn rate(&self, state: &State, call: &Departure) -> Vec<String> {
        let recent = state.departures.iter().rev();
        let recent =
            recent.take_while(|earlier| call.at.since(earlier.at) < Duration::from_secs(1));
        let same = recent.filter(|earlier| {
            (
                earlier.process,
                &earlier.key,
                &earlier.host,
                &earlier.action,
            ) == (call.process, &call.key, &call.host, &call.action)
        });
        let most = match call.action.as_str() {
            MODIFY => self.scenario.rate as usize,
            _ => 20,
        };
        let many = same.count() + 1;
        if many > most {
            return vec![format!("S6: {many} calls of {} in a second", call.action)];
        }
        Vec::new()
    }

    /// All that a write must be, when it leaves.
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
        let mut found = vec![
            self.licence(state, call, &subject),
            self.seen(state, call, &subject),
            self.recorded(state, call, &subject),
            self.repeated(state, call, &subject),
            self.looped(state, call, &subject),
        ];
        let process = &mut state.processes[call.process];
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

    /// S1, S3, S5, S26, protection, windows and what people say.
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

    /// Whether these manifests ask for the write, and by what.
    fn asked_for(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        manifests: &Manifests,
    ) -> Result<Licence, String> {
        let image = &self.scenario.images[subject.index];
        if !manifests.is_open(image.account, call.wall) {
            return Err("windows: a write while they are closed".into());
        }
        if manifests.twins.contains(&image.account) && self.twin_asks(image, manifests) {
            return Err("S26: a write of an account with two names".into());
        }
        if manifests.speaks_of_names(image.account, image.region) {
            return self.asked_for_by_name(state, call, subject, manifests);
        }
        let wish = manifests.wish(subject.index);
        let is_past = |seconds| call.wall >= instant(seconds);
        if subject.permission == Permission::Share {
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
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        let blueprint = listing.and_then(|listing| listing.shown(subject.id));
        let blueprint = blueprint.unwrap_or_default();
        let since = state.used.get(blueprint);
        if since.is_some_and(|since| call.at.since(*since) > SEEN_MAX + seconds(30)) {
            return Err("N6: a CANCEL of what an instance uses".into());
        }
        let owned = (call.installation, blueprint.to_owned());
        if is_pruned && !state.owned.contains(&owned) {
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

    /// The same where documents name images by more than ids.
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
        let owned = (call.installation, blueprint.to_owned());
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
            is_owned: state.owned.contains(&owned),
        };
        let why = case.judge()?;
        Ok(why.map_or(Licence::Plain, Licence::Cancel))
    }

    /// S7: what is pruned after one look.
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
        let pruned = process.pruned.entry(scope).or_default();
        pruned.insert(subject.id.to_owned());
        let most = self.scenario.max_cancels as usize;
        (pruned.len() > most).then(|| format!("S7: {} pruned at once", pruned.len()))
    }

    /// S2 and S4: what the write rests on.
    fn seen(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let process = &state.processes[call.process];
        let Some(listing) = process.listings.get(&scope) else {
            return Some("S2: a write without a look".into());
        };
        if let Some(lost) = process.lost.get(subject.id)
            && listing.began <= *lost
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
        (age > SEEN_MAX).then(|| format!("S4: what was seen {} s ago", age.as_secs()))
    }

    /// S9: the intent was on the disk before.
    fn recorded(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let ledger = &state.ledgers[&call.installation];
        let events = ledger.events.borrow();
        let intents = events.iter().filter(|event| {
            matches!(event, HistoryEvent::Intent(intent)
                if intent.key.image.as_str() == subject.id && intent.permission == subject.permission)
        });
        let sent = state.departures.iter().filter(|earlier| {
            (earlier.installation, &earlier.action) == (call.installation, &call.action)
                && earlier.body == call.body
        });
        (intents.count() <= sent.count()).then(|| "S9: a write without an intent".into())
    }

    /// S4: an acknowledged write is not repeated because a read lags.
    fn repeated(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        // What was acknowledged is forgotten in time by one who may not read.
        if self.scenario.machines.len() > 1 || listing.is_some_and(Listing::is_denied) {
            return None;
        }
        let (since, shared, ours) = self.cloud.last_change(&call.region, subject.id);
        // Nobody can tell an answer that lags longer than any does from what somebody else has done; nor one that a new
        // process gets after an earlier one has seen the effect of its write.
        let is_older = || call.at.since(since) >= SEEN_MAX || was_seen_by_another(state, call);
        if listing.is_some_and(|listing| listing.is_wrong) && is_older() {
            return None;
        }
        let is_so = ours && shared == (subject.permission == Permission::Share);
        let key = (call.installation, subject.id.to_owned());
        let ledger = &state.ledgers[&call.installation];
        let events = ledger.events.borrow();
        let mut outcomes = events.iter().rev().filter_map(|event| match event {
            HistoryEvent::Outcome(outcome) if outcome.key.image.as_str() == subject.id => {
                Some(outcome)
            }
            _ => None,
        });
        let is_kept = outcomes.next().is_some_and(|outcome| {
            outcome.permission == subject.permission && outcome.result == WriteResult::Applied
        });
        let is_known = state.acknowledged.get(&key) == Some(&subject.permission) && is_kept;
        (is_so && is_known).then(|| "S4: an acknowledged write is repeated".into())
    }

    /// L4: an image is not tried all the time.
    fn looped(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let recent = state.departures.iter().rev();
        let recent = recent.take_while(|earlier| call.at.since(earlier.at) < seconds(3600));
        let same = recent.filter(|earlier| {
            earlier.action == MODIFY
                && earlier.process == call.process
                && earlier.body["ImageId"] == subject.id
        });
        let many = same.count();
        (many > WRITES_MAX).then(|| format!("L4: {many} writes of one image in an hour"))
    }

    /// The answer that comes to a call is not the truth.
    pub(crate) fn misled(&self, number: usize) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let call = &state.departures[number];
        let scope = (call.key.clone(), call.region.clone());
        let listings = &mut state.processes[call.process].listings;
        if let Some(listing) = listings.get_mut(&scope) {
            listing.is_wrong = true;
        }
    }

    /// The answer to a call arrives.
    pub(crate) fn replied(&self, number: usize, reply: &Result<Reply, TransportError>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let call = &state.departures[number];
        let now = self.cloud.monotonic();
        let body = reply.as_ref().ok();
        let body = body.and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok());
        let answer = match (&body, reply) {
            (Some(body), _) => body.to_string(),
            (None, Ok(reply)) => reply.status.to_string(),
            (None, Err(error)) => error.to_string(),
        };
        writeln!(
            state.log,
            "{number} {} {answer}",
            now.since_start().as_micros()
        )
        .expect("text");
        let response = body
            .map(|body| body["Response"].clone())
            .unwrap_or_default();
        let is_good = response.is_object() && response.get("Error").is_none();
        let process = &mut state.processes[call.process];
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
                    if let Some(blueprint) = response["BlueprintId"].as_str() {
                        let owned = (call.installation, blueprint.to_owned());
                        state.owned.insert(owned);
                    }
                }
            }
            "DescribeBlueprints" => {
                if let Some(ids) = call.body.get("BlueprintIds") {
                    let image = |id: &Value| {
                        let id = id.as_str()?.trim_start_matches("lhbp-");
                        let known = self.images.keys().find(|image| {
                            id.strip_prefix(image.as_str())
                                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                        });
                        known.cloned()
                    };
                    let ids = ids.as_array().expect("a list").iter();
                    let asked = ids.filter_map(image).map(|image| (image, call.at));
                    process.asked.extend(asked.filter(|_| is_good));
                    return;
                }
                let scope = (call.key.clone(), call.region.clone());
                let offset = call.body["Offset"].as_u64().unwrap_or(0);
                let listing = process.listings.get_mut(&scope);
                // Of an earlier look, perhaps: its answer is not for this one.
                let listing = listing.filter(|listing| listing.began <= call.at);
                if let Some(listing) = listing {
                    listing.answered(offset, &response);
                }
            }
            "DescribeImagesToShare" if is_good => {
                let ids = call.body["ImageIds"].as_array();
                let ids = ids.into_iter().flatten().filter_map(Value::as_str);
                process.asked.extend(ids.map(|id| (id.to_owned(), call.at)));
            }
            _ => {}
        }
    }
}

/// Whether the last write of the image was another process's, and a look has shown its effect since.
fn was_seen_by_another(state: &State, call: &Departure) -> bool {
    let mut writes = state.departures.iter().rev();
    let last = writes.find(|earlier| {
        earlier.action == MODIFY && earlier.body["ImageId"] == call.body["ImageId"]
    });
    let scopes = state.ledgers[&call.installation].scopes.borrow();
    let mut entries = scopes.values().flat_map(|inventory| &inventory.images);
    let entry = entries.find(|(image, _)| call.body["ImageId"] == image.as_str());
    let newest = entry.and_then(|(_, entry)| entry.writes.last());
    last.is_some_and(|last| last.process != call.process)
        && newest.is_some_and(|write| write.confirmed)
}

/// The write that is judged.
struct Subject<'a> {
    id: &'a str,
    index: usize,
    permission: Permission,
}

//! Runs a scenario: applies its events step by step, then waits for the calm, and checks what must hold at the end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use sharekeeper::api::{ReadClient, WriteClient};
use sharekeeper::daemon::Connect;
use sharekeeper::engine::{Engine, RegionViews, Stop};
use sharekeeper::host::Clock;
use sharekeeper::inventory::Suspension;
use sharekeeper::model::{AccountName, Monotonic, Region, Selector};
use sharekeeper::report::{CallCounts, Ending, ReconcileDocument};

use super::active_faults::ActiveFaults;
use super::checker::Checker;
use super::ending;
use super::images;
use super::manifests::{Manifests, key};
use super::outputs::{Ear, Heard};
use super::process::{Installation, Keys, SharedParts, policy};
use super::record::Record;
use super::scenario::{Event, Image, Mode, Place, REGIONS, Scenario, Wanted, What, Wish, seconds};
use super::setup::{Notes, Setup, Watch};
use super::support::world::{TEN_MINUTES, task};
use super::support::{Cloud, Instance, Silent};

/// The time to settle once the faults have stopped: six intervals for what waits for a person, and a margin.
const SETTLES: u64 = 45 * 60;
/// The time without any write that must follow.
const RESTS: u64 = 15 * 60;

/// The time after the end of the faults at which a person comes.
const PERSON_COMES: u64 = 10 * 60;
/// The longest time between two checks of the processes.
const TICK: u64 = 10;

/// The result of running a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    /// Every call and every answer.
    pub(crate) record: Record,
    pub(crate) writes: usize,
    pub(crate) simulated: Duration,
    pub(crate) notes: Notes,
}

/// Runs the scenario in simulated time.
pub(crate) fn live(scenario: &Scenario) -> Outcome {
    live_under(scenario, &Setup::default())
}

/// Runs the scenario with the given differences. Without optimisation, the futures are too large for the stack of a
/// test.
pub(crate) fn live_under(scenario: &Scenario, setup: &Setup) -> Outcome {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let life = thread.spawn_scoped(scope, || live_here(scenario, setup));
        life.expect("a thread").join().expect("it does not panic")
    })
}

fn live_here(scenario: &Scenario, setup: &Setup) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let heard = Heard::default();
    let ear = || tracing::subscriber::set_default(Ear(heard.clone()));
    let _ear = scenario.is_overheard.then(ear);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut story = Story::begin(scenario, setup);
        story.faults().await;
        if story.parts.checker.violations().is_empty() {
            story.calm().await;
        }
        if scenario.is_overheard {
            story.look_through(&heard);
        }
        story.end()
    })
}

/// The simulated world during a run.
pub(crate) struct Story {
    pub(crate) parts: SharedParts,
    faults: Rc<ActiveFaults>,
    pub(crate) installations: Vec<Installation>,
    pub(crate) manifests: Rc<RefCell<Manifests>>,
    /// The manifests before each change, the newest last.
    earlier: Vec<Manifests>,
    vanished: BTreeSet<usize>,
    suspensions: u64,
    /// The number of instances that were started.
    instances: u64,
    /// Chooses the fractions of seconds at which events happen.
    dice: fastrand::Rng,
    watch: Option<Watch>,
}

impl Story {
    fn begin(scenario: &Scenario, setup: &Setup) -> Self {
        let cloud = Rc::new(Cloud::new(scenario.seed));
        for image in &scenario.images {
            cloud.add(image.region(), &image.id(), image.shared);
            let owner = key(image.account).to_owned();
            cloud.owners.borrow_mut().insert(image.id(), owner);
        }
        images::describe(scenario, &cloud);
        let faults = ActiveFaults::begin(scenario, &cloud);
        let checker = Checker::new(scenario, &cloud);
        let mut watch = Watch::begin(setup, scenario, &cloud);
        let parts = SharedParts {
            checker,
            view: watch.as_ref().and_then(|watch| watch.view.clone()),
            scenario: Rc::new(scenario.clone()),
            cloud,
            machine_clocks: RefCell::default(),
        };
        let installations = 0..scenario.machines.len();
        let mut installations: Vec<_> = installations.map(|n| parts.install(n)).collect();
        if let Some(watch) = &mut watch {
            watch.install(setup, &parts, &mut installations);
        }
        Self {
            installations,
            manifests: Rc::new(RefCell::new(Manifests::new(scenario))),
            earlier: Vec::new(),
            vanished: BTreeSet::new(),
            suspensions: 0,
            instances: 0,
            dice: fastrand::Rng::with_seed(scenario.seed ^ 0xd1ce),
            faults,
            parts,
            watch,
        }
    }

    /// The manifests that an installation has now.
    pub(crate) fn manifests_of(&self, installation: usize) -> Manifests {
        let manifests = self.manifests.borrow();
        manifests.of(installation, &self.parts.scenario)
    }

    fn now(&self) -> u64 {
        self.parts.cloud.monotonic().since_start().as_secs()
    }

    /// Starts processes that are due, and handles those that ended.
    fn look_after(&mut self) {
        let (now, at) = (self.now(), self.parts.cloud.monotonic());
        let scenario = Rc::clone(&self.parts.scenario);
        for installation in &mut self.installations {
            if installation.has_ended(at, &self.parts.checker) && installation.starts.is_none() {
                installation.starts = Some((now + 2, Mode::Reconcile));
            }
            let due = installation.starts.filter(|(at, _)| *at <= now);
            // The process or run that has the state holds its lock.
            let is_free = installation.process.is_none() && installation.job.is_none();
            if let (true, Some((_, mode))) = (is_free, due) {
                installation.starts = None;
                installation.start(&self.parts, mode, &self.manifests);
                let process = installation.process.as_ref().expect("it began");
                let manifests = self.manifests.borrow();
                process.give(&self.parts, &manifests.of(installation.number, &scenario));
            }
        }
    }

    async fn faults(&mut self) {
        let scenario = Rc::clone(&self.parts.scenario);
        let mut events = scenario.events.iter().peekable();
        while self.now() < scenario.calm_at {
            self.look_after();
            let now = self.now();
            while let Some(event) = events.next_if(|event| event.at <= now) {
                self.happens(&event.what);
            }
            if !self.parts.checker.violations().is_empty() {
                return;
            }
            let next = events.peek().map_or(scenario.calm_at, |event| event.at);
            self.sleep(next).await;
        }
    }

    /// Sleeps until the next event or check is due, plus a random fraction of a second.
    async fn sleep(&mut self, until: u64) {
        let starts = self.installations.iter().filter_map(|one| one.starts);
        let starts = starts.map(|(at, _)| at).min().unwrap_or(until);
        let now = self.now();
        let next = until.min(starts).clamp(now + 1, now + TICK);
        let between = Duration::from_millis(self.dice.u64(..1000));
        let next = Monotonic::new(seconds(next) + between);
        self.parts.cloud.sleep_until(next).await;
    }

    fn happens(&mut self, what: &What) {
        let scenario = Rc::clone(&self.parts.scenario);
        match what {
            What::Edit(edits) => self.edit(edits),
            What::Revert(changes) => self.revert(*changes),
            What::Broken => self.change(|manifests| manifests.is_broken = true),
            What::Partial(missing) => self.change(|manifests| {
                manifests.is_partial = true;
                manifests.missing = missing.iter().copied().collect();
            }),
            What::Mended => self.change(|manifests| {
                (manifests.is_broken, manifests.is_partial) = (false, false);
                manifests.missing.clear();
                manifests.lacking.clear();
            }),
            What::Lacking(places) => self.change(|manifests| {
                manifests.is_partial = true;
                manifests.lacking.clone_from(places);
            }),
            What::Document(place, document) => self.change(|manifests| {
                manifests.documents[*place].clone_from(document);
            }),
            What::Image(image, change) => {
                let image = &scenario.images[*image];
                if images::is_born(image, self.now()) {
                    images::change(image, change, &self.parts.cloud);
                }
            }
            What::Disuse(image) => self.end_instances(*image),
            What::Person(installation, action) => self.action(*installation, action),
            What::Lose(images) => self.lose(images),
            What::Run(installation, job) => self.start_job(*installation, *job),
            What::Sleep(installation, time) => {
                let now = self.parts.cloud.monotonic();
                self.parts
                    .checker
                    .say(format!("machine {installation} sleeps {time} s"));
                self.parts.checker.slept(*installation);
                self.installations[*installation]
                    .clocks
                    .sleep(now, seconds(*time));
            }
            What::SetClock(installation, by) => {
                self.parts
                    .checker
                    .say(format!("clock {installation} is set by {by} s"));
                self.installations[*installation].clocks.set(*by);
                self.parts.checker.clock_was_set(*installation);
            }
            What::Rename(account) => {
                self.parts.checker.renamed(*account);
                self.change(|manifests| manifests.names[*account].push('x'));
            }
            What::Twin(account, is_there) => self.change(|manifests| match is_there {
                true => drop(manifests.twins.insert(*account)),
                false => drop(manifests.twins.remove(account)),
            }),
            What::Window(account, hours) => {
                self.change(|manifests| manifests.windows[*account] = *hours);
            }
            What::Hand(image, shared) => {
                let image = &scenario.images[*image];
                let cloud = &self.parts.cloud;
                let is_there = images::is_born(image, self.now());
                if is_there && cloud.is_shared(image.region(), &image.id()) != *shared {
                    cloud.external_change(image.region(), &image.id(), *shared);
                }
            }
            What::Suspend(place) => self.suspend(*place),
            What::Resume => self.resume(),
            What::Vanish(image) => {
                self.vanished.insert(*image);
                let image = &scenario.images[*image];
                let cloud = &self.parts.cloud;
                cloud.deleted.borrow_mut().insert(image.id());
            }
            What::Spoil(image, is_spoilt) => {
                let id = scenario.images[*image].id();
                let mut states = self.parts.cloud.states.borrow_mut();
                match is_spoilt {
                    true => drop(states.insert(id, "CREATEFAILED")),
                    false => drop(states.remove(&id)),
                }
            }
            What::Use(image) => self.start_instance(*image),
            What::DiskFull(installation, is_full) => {
                self.installations[*installation].ledger.full.set(*is_full);
            }
            What::Asked(installation) => {
                let process = &self.installations[*installation].process;
                process.iter().for_each(super::process::Process::ask);
                self.parts.checker.asked(*installation);
            }
            What::Stop(installation, next) => self.stop(*installation, *next),
            What::Crash {
                installation,
                polls,
                down,
                next,
            } => {
                let now = self.now();
                let installation = &mut self.installations[*installation];
                if let Some(process) = &installation.process {
                    process.crash(*polls);
                    installation.starts = Some((now + down, *next));
                }
                installation.job.iter().for_each(|job| job.crash(*polls));
            }
        }
    }

    fn stop(&mut self, installation: usize, next: Mode) {
        let now = self.now();
        let installation = &mut self.installations[installation];
        if let Some(process) = &mut installation.process {
            process.stop(self.parts.cloud.monotonic(), &self.parts.checker);
            installation.starts = Some((now, next));
        }
        installation
            .job
            .iter()
            .for_each(|job| job.stop(&self.parts.checker));
    }

    fn change(&mut self, change: impl FnOnce(&mut Manifests)) {
        let before = self.manifests.borrow().clone();
        change(&mut self.manifests.borrow_mut());
        let now = self.manifests.borrow();
        if *now == before {
            return;
        }
        self.earlier.push(before);
        for installation in &self.installations {
            if let Some(process) = &installation.process {
                process.give(
                    &self.parts,
                    &now.of(installation.number, &self.parts.scenario),
                );
            }
        }
    }

    /// Somebody else cancels these shares.
    fn lose(&self, images: &[usize]) {
        let cloud = &self.parts.cloud;
        for image in images {
            let image = &self.parts.scenario.images[*image];
            if cloud.is_shared(image.region(), &image.id()) {
                cloud.external_change(image.region(), &image.id(), false);
            }
        }
    }

    /// Asks for what the manifests asked before so many changes. The names of accounts stay.
    fn revert(&mut self, changes: usize) {
        let back = changes.min(self.earlier.len());
        let Some(earlier) = self.earlier.iter().rev().nth(back.saturating_sub(1)) else {
            return;
        };
        let earlier = earlier.clone();
        self.change(|manifests| {
            manifests.wishes = earlier.wishes;
            manifests.windows = earlier.windows;
            manifests.documents = earlier.documents;
        });
    }

    fn edit(&mut self, edits: &[(usize, Wish)]) {
        self.change(|manifests| {
            for (image, wish) in edits {
                manifests.wishes[*image] = *wish;
            }
        });
    }

    fn suspend(&mut self, place: Place) {
        let accounts = place.account.map(|account| {
            let name = self.manifests.borrow().names[account].clone();
            AccountName::new(&name).expect("a name")
        });
        let regions = place.region.map(|region| Region::new(REGIONS[region]));
        self.suspensions += 1;
        let suspension = Suspension {
            id: self.suspensions,
            reason: "so it is".into(),
            until: None,
            since: self.parts.cloud.now() - TimeDelta::minutes(1),
            by: "someone@somewhere".into(),
            selector: Selector {
                accounts: accounts.into_iter().collect(),
                regions: regions.into_iter().flatten().collect(),
                ..Selector::default()
            },
        };
        for installation in &self.installations {
            let mut suspensions = installation.ledger.suspensions.borrow_mut();
            suspensions.push(suspension.clone());
        }
        self.parts.checker.held(place.account, place.region);
    }

    fn resume(&mut self) {
        for installation in &self.installations {
            installation.ledger.suspensions.borrow_mut().clear();
        }
        self.parts.checker.resumed();
    }

    fn start_instance(&mut self, image: usize) {
        let image = &self.parts.scenario.images[image];
        let cloud = &self.parts.cloud;
        if !cloud.is_shared(image.region(), &image.id()) {
            return;
        }
        let blueprint = cloud.blueprint(image.region(), &image.id());
        self.parts.checker.used(&blueprint);
        let mut instances = cloud.instances.borrow_mut();
        self.instances += 1;
        let id = format!("lhins-{}", self.instances);
        instances.push(Instance {
            region: image.region(),
            id,
            blueprint,
        });
    }

    fn end_instances(&self, image: usize) {
        let id = format!("lhbp-{}", self.parts.scenario.images[image].id());
        let mut instances = self.parts.cloud.instances.borrow_mut();
        instances.retain(|instance| {
            let stays = !instance.blueprint.starts_with(&id);
            if !stays {
                self.parts.checker.disused(&instance.blueprint);
            }
            stays
        });
    }

    async fn pass(&mut self, time: u64) {
        let until = self.now() + time;
        while self.now() < until {
            self.look_after();
            self.accept_what_is_lost();
            self.sleep(until).await;
        }
    }

    /// Ends all faults except a lasting one, and all actions of others.
    fn calm_down(&mut self) {
        self.faults.is_calm.set(true);
        for disk in self.installations.iter().flat_map(|one| &one.disk) {
            disk.is_calm.set(true);
        }
        self.resume();
        self.parts.cloud.states.borrow_mut().clear();
        let now = self.now();
        let scenario = Rc::clone(&self.parts.scenario);
        for installation in &mut self.installations {
            installation.ledger.full.set(false);
            installation
                .clocks
                .is_right_again(&scenario, installation.number);
            let mode = installation.process.as_ref().map(|process| process.mode);
            if let (Some(process), Some(Mode::Observe | Mode::WrongKeys)) =
                (&installation.process, mode)
            {
                process.crash(0);
                process.ask();
            }
            if installation.number < scenario.daemons() {
                installation.starts = Some((now + 2, Mode::Reconcile));
            }
        }
        self.change(|manifests| {
            (manifests.is_broken, manifests.is_partial) = (false, false);
            manifests.missing.clear();
            manifests.lacking.clear();
            manifests.twins.clear();
            manifests.windows = vec![None; 3];
        });
    }

    /// Gives the daemons the time in which they must settle. A person who sees that a loss still blocks CANCELs accepts
    /// the loss.
    async fn settle(&mut self) {
        self.pass(SETTLES / 3).await;
        let scenario = Rc::clone(&self.parts.scenario);
        let loses = |event: &Event| matches!(event.what, What::Lose(_));
        if scenario.events.iter().any(loses) {
            for installation in 0..scenario.daemons() {
                self.happens(&What::Asked(installation));
            }
        }
        self.pass(SETTLES - SETTLES / 3).await;
    }

    async fn calm(&mut self) {
        self.calm_down();
        let scenario = Rc::clone(&self.parts.scenario);
        if self.watch.is_some() {
            // A person sees what is held back since an observation that lacked many shares, and tells the daemon to
            // continue.
            self.pass(PERSON_COMES).await;
            for installation in 0..scenario.daemons() {
                self.happens(&What::Asked(installation));
            }
        }
        if let Some(lasting) = &scenario.lasting {
            self.faults.goes_on.set(true);
            self.settle().await;
            let is_there = |image: &Image| lasting.has(image);
            self.check_end("L2", |index| !is_there(&scenario.images[index]));
            self.faults.goes_on.set(false);
        }
        self.settle().await;
        self.check_end("L1", |_| true);
        let settled = self.parts.checker.writes(&self.vanished);
        self.pass(RESTS).await;
        let since = self.parts.checker.writes(&self.vanished) - settled;
        if since > 0 {
            let what = format!("L1: {since} writes long after everything stood still");
            self.parts.checker.violate(what);
        }
        if let Some(watch) = &self.watch {
            watch.settled(&self.parts, &self.installations);
        }
        for installation in &self.installations {
            if let Some(process) = &installation.process {
                process.crash(0);
                process.ask();
            }
        }
        self.start_afresh().await;
    }

    /// Checks that each image is as the model expects.
    fn check_end(&self, invariant: &str, counts: impl Fn(usize) -> bool) {
        let parts = &self.parts;
        let unready = || {
            let processes = self.installations.iter().flat_map(|one| &one.process);
            processes.flat_map(|one| one.unready()).collect::<Vec<_>>()
        };
        let wrong: Vec<_> = self
            .expected()
            .into_iter()
            .filter(|(index, _)| counts(*index))
            .filter_map(|(index, shared)| {
                let image = &parts.scenario.images[index];
                let is = parts.cloud.is_shared(image.region(), &image.id());
                (is != shared).then(|| format!("{} should be shared: {shared}", image.id()))
            })
            .collect();
        if !wrong.is_empty() {
            let what = format!("{invariant}: {wrong:?}; the daemon says {:#?}", unready());
            parts.checker.violate(what);
        }
    }

    /// The images whose end state is known, with whether each is shared.
    fn expected(&self) -> BTreeMap<usize, bool> {
        if self.parts.scenario.has_documents() {
            let is_lasting = self.faults.goes_on.get();
            let mut must = ending::expected(&self.parts, &self.manifests.borrow(), is_lasting).must;
            must.retain(|image, _| !self.parts.scenario.rivals.contains(image));
            return must;
        }
        let manifests = self.manifests.borrow();
        let images = &self.parts.scenario.images;
        let used = self.parts.cloud.instances.borrow();
        let is_used = |index: usize| {
            let id = format!("lhbp-{}", images[index].id());
            used.iter()
                .any(|instance| instance.blueprint.starts_with(&id))
        };
        // If too many images would be pruned, none is cancelled.
        let is_capped = |index: usize| {
            let scope = |index: usize| (images[index].account, images[index].region);
            let unnamed = (0..images.len()).filter(|other| {
                scope(*other) == scope(index)
                    && manifests.wish(*other).is_none()
                    && self
                        .parts
                        .cloud
                        .is_shared(images[*other].region(), &images[*other].id())
            });
            let scenario = &self.parts.scenario;
            let unnamed = unnamed.count();
            let is_over = unnamed > scenario.max_cancels as usize;
            scenario.prune && (is_over || unnamed > 0 && scenario.max_cancels_percent < 100)
        };
        let known = (0..images.len()).filter_map(|index| {
            let wish = manifests.wish(index)?;
            let shared = match wish.state {
                Wanted::Shared | Wanted::From(_) => true,
                Wanted::Until(_) if is_used(index) => return None,
                Wanted::Unshared | Wanted::Until(_) if wish.protect || is_capped(index) => {
                    return None;
                }
                Wanted::Unshared | Wanted::Until(_) => false,
                Wanted::Unnamed => return None,
            };
            if self.parts.scenario.rivals.contains(&index) {
                return None;
            }
            (!self.vanished.contains(&index)).then_some((index, shared))
        });
        known.collect()
    }

    /// A new installation without any state must find nothing to do, and report that.
    async fn start_afresh(&self) {
        let parts = &self.parts;
        let number = self.installations.len();
        let fresh = parts.install(number);
        let process = parts.checker.process_began(number, Mode::Reconcile);
        let manifests = self.manifests.borrow().clone();
        parts.checker.loaded(process, &manifests);
        let context = parts.context(number, process, 1);
        fresh.ledger.hand_over(&context);
        let desired = manifests.desired(&parts.scenario);
        let keys = Keys::new(parts, &self.manifests, Mode::Reconcile);
        let accounts: BTreeMap<_, _> = desired
            .names()
            .into_iter()
            .map(|name| {
                let connection = keys.connect(&name, desired.accounts.get(&name));
                let connection = connection.expect("it is known");
                let client = ReadClient::new(Rc::clone(&context), connection);
                (name, WriteClient::new(client))
            })
            .collect();
        let (selector, policy) = (Selector::default(), policy(&parts.scenario));
        let task = task(&desired, &selector, &policy);
        let engine = Engine {
            ledger: &*fresh.ledger,
            listener: &Silent,
            stop: &Stop::default(),
            views: &RegionViews::default(),
        };
        // The first run without a past may do what a guard withholds from the others, so this is asked before it.
        let named = (0..manifests.wishes.len()).filter(|index| manifests.wish(*index).is_some());
        // The blueprint of a deleted image may remain, and only a person can delete it.
        let has_vanished = |index: &usize| self.vanished.contains(index);
        let is_any_left_over = named.clone().any(|index| has_vanished(&index));
        let is_all_known = match parts.scenario.has_documents() {
            true => {
                parts.scenario.rivals.is_empty()
                    && !is_any_left_over
                    && !ending::expected(parts, &manifests, false).is_open
            }
            false => named.count() == self.expected().len(),
        };
        let before = parts.checker.writes(&self.vanished);
        let scopes = engine.reconcile(&accounts, &task, TEN_MINUTES).await;
        let wrote = parts.checker.writes(&self.vanished) - before;
        let ending = Ending {
            lost: None,
            stopped: None,
            calls: CallCounts {
                reads: 0,
                writes: 0,
                throttled: 0,
            },
            elapsed: seconds(1),
        };
        let document = ReconcileDocument::new(&scopes, ending, &[]);
        let json = serde_json::to_value(&document).expect("JSON");
        let exit = json["exit_code"].as_u64();
        if is_all_known && wrote > 0 {
            let what = format!("S17: who has no past writes {wrote} times");
            parts.checker.violate(what);
        }
        if is_all_known && !scopes.is_empty() && exit != Some(0) {
            parts.checker.violate(format!("S24: exit status {exit:?}"));
        }
    }

    /// Searches everything that was logged, published or stored for a secret.
    fn look_through(&self, heard: &Heard) {
        for installation in &self.installations {
            for event in installation.ledger.events.borrow().iter() {
                heard.look_through(&format!("{event:?}"));
            }
            for shown in installation.process.iter().flat_map(|one| one.shown()) {
                heard.look_through(&shown);
            }
        }
        let found = heard.found();
        if !found.is_empty() || heard.lines() == 0 {
            self.parts
                .checker
                .violate(format!("S12: a secret in {found:?}"));
        }
    }

    fn end(self) -> Outcome {
        Outcome {
            violations: self.parts.checker.violations(),
            record: self.parts.checker.record(),
            writes: self.parts.checker.writes(&self.vanished),
            simulated: self.parts.cloud.monotonic().since_start(),
            notes: self.watch.map(Watch::into_notes).unwrap_or_default(),
        }
    }
}

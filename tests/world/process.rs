//! Runs a process of the product, which can be ended at any await, and keeps the installation that remains after it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::api::{ClientContext, Connection, CredentialProvider};
use sharekeeper::daemon::{
    Connect, Daemon, Observer, PassRunner, Reconciler, Settings, StatusPublisher,
};
use sharekeeper::desired::Account;
use sharekeeper::engine::{Stop, StopReason};
use sharekeeper::ledger::Ledger;
use sharekeeper::model::{AccountName, Endpoint, Monotonic, Scope, Secret, Selector};
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::source::{Generation, ManifestProblem, Update};
use sharekeeper::status::Activity;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::checker::Checker;
use super::jobs::RunningJob;
use super::machine::{Crashable, Life, Machine, MachineClocks};
use super::manifests::{Manifests, key};
use super::perturbation::{EndAfter, View};
use super::scenario::{Mode, Scenario};
use super::state_disk::StateDisk;
use super::support::live::INTERVAL;
use super::support::world::{GLOBAL, REGIONAL, TEN_MINUTES};
use super::support::{Cloud, Recorded};

/// A secret that no output of a process may contain.
pub(crate) const SECRET: &str = "canary+of/the=key";

/// The longest time in which a process ends once it was asked to stop (L7).
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The parts that all processes share.
pub(crate) struct SharedParts {
    pub(crate) scenario: Rc<Scenario>,
    pub(crate) cloud: Rc<Cloud>,
    pub(crate) checker: Rc<Checker>,
    pub(crate) view: Option<Rc<View>>,
    pub(crate) machine_clocks: RefCell<BTreeMap<usize, Rc<MachineClocks>>>,
}

/// A state directory, and the process that holds it.
pub(crate) struct Installation {
    pub(crate) number: usize,
    pub(crate) ledger: Rc<Recorded<Machine>>,
    /// The directory of the state; `None` if the state is in memory. Its history is then also in `ledger`.
    pub(crate) disk: Option<Rc<StateDisk>>,
    pub(crate) clocks: Rc<MachineClocks>,
    pub(crate) process: Option<Process>,
    /// A run that holds the state at present.
    pub(crate) job: Option<RunningJob>,
    /// The plan that was saved last.
    pub(crate) saved: Rc<RefCell<Option<String>>>,
    /// The time at which the next process starts, in seconds of the cloud's clock, and its mode.
    pub(crate) starts: Option<(u64, Mode)>,
}

/// A daemon that is running.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) mode: Mode,
    updates: mpsc::Sender<Update>,
    /// The number of polls until it ends, once a crash was requested.
    end_after: EndAfter,
    stop: Rc<Stop>,
    /// The time at which a stop was requested.
    stopped_at: Option<Monotonic>,
    task: JoinHandle<()>,
    publisher: Rc<StatusPublisher<Machine>>,
    /// The number of changes to the ledger before it started.
    changes: u64,
}

/// Gives each account name the connection of its account, or of another account with `Mode::WrongKeys`.
pub(crate) struct Keys {
    scenario: Rc<Scenario>,
    /// The manifests, which resolve every account name that was ever used.
    manifests: Rc<RefCell<Manifests>>,
    mode: Mode,
}

impl Keys {
    pub(crate) fn new(parts: &SharedParts, manifests: &Rc<RefCell<Manifests>>, mode: Mode) -> Self {
        Self {
            scenario: Rc::clone(&parts.scenario),
            manifests: Rc::clone(manifests),
            mode,
        }
    }
}

impl Connect for Keys {
    fn connect(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, String> {
        let account = self.manifests.borrow().account(name.as_str());
        let account = account.ok_or("no such account")?;
        let other = usize::from(self.mode == Mode::WrongKeys);
        let key = key((account + other) % 3);
        let credentials = Credentials::new(key.into(), Secret::new(SECRET.into()), None);
        let endpoint = if self.scenario.regional {
            REGIONAL
        } else {
            GLOBAL
        };
        Ok(Connection {
            account: name.clone(),
            uin: document.and_then(|document| document.uin.clone()),
            endpoint: Endpoint::new(endpoint).expect("an endpoint"),
            rate: self.scenario.rate,
            provider: CredentialProvider::fixed(credentials),
        })
    }
}

pub(crate) fn policy(scenario: &Scenario) -> Policy {
    Policy {
        prune: match scenario.prune {
            true => Prune::Owned,
            false => Prune::None,
        },
        max_cancels: scenario.max_cancels,
        max_cancels_percent: scenario.max_cancels_percent,
        ..Policy::default()
    }
}

impl SharedParts {
    /// Everything that a process on an installation's machine needs.
    pub(crate) fn context(
        &self,
        installation: usize,
        process: usize,
        dice: u64,
    ) -> Rc<ClientContext<Machine>> {
        ClientContext::new(Machine {
            cloud: Rc::clone(&self.cloud),
            clocks: self.clocks(installation),
            booted: Duration::from_secs(1000 * installation as u64 + 77),
            dice: RefCell::new(fastrand::Rng::with_seed(dice)),
            installation,
            process,
            checker: Rc::clone(&self.checker),
            view: self.view.clone(),
        })
    }

    /// The clocks of an installation's machine.
    fn clocks(&self, installation: usize) -> Rc<MachineClocks> {
        let machines = &self.scenario.machines;
        let ahead = machines.get(installation).copied().unwrap_or(0);
        let mut clocks = self.machine_clocks.borrow_mut();
        let clocks = clocks.entry(installation);
        Rc::clone(clocks.or_insert_with(|| MachineClocks::ahead(ahead)))
    }

    /// Creates a state directory that was never used.
    pub(crate) fn install(&self, number: usize) -> Installation {
        let context = self.context(number, usize::MAX, 0);
        let ledger = Rc::new(Recorded::new(&context));
        let (commit, hears) = self.scenario.commit;
        ledger.commit_takes.set(Duration::from_millis(commit));
        ledger.hears_after.set(Duration::from_millis(hears));
        self.checker.keeps(number, &ledger);
        Installation {
            number,
            ledger,
            disk: None,
            clocks: self.clocks(number),
            process: None,
            job: None,
            saved: Rc::default(),
            starts: (number < self.scenario.daemons()).then_some((0, Mode::Reconcile)),
        }
    }
}

impl Installation {
    /// Starts a daemon, which gets its manifests later.
    pub(crate) fn start(
        &mut self,
        parts: &SharedParts,
        mode: Mode,
        manifests: &Rc<RefCell<Manifests>>,
    ) {
        let number = parts.checker.process_began(self.number, mode);
        let dice = parts.scenario.seed ^ ((number as u64 + 1) << 20);
        let context = parts.context(self.number, number, dice);
        self.ledger.hand_over(&context);
        let is_observer = mode == Mode::Observe;
        let publisher =
            StatusPublisher::new(Rc::clone(&context), "world".into(), is_observer, |_| {});
        let (updates, queue) = mpsc::channel(1000);
        let keys = Keys::new(parts, manifests, mode);
        let end_after = EndAfter::default();
        if let Some(view) = &parts.view {
            view.process_began(number, &end_after);
        }
        let status = Rc::clone(&publisher);
        let stop = Rc::new(Stop::default());
        let stopping = Rc::clone(&stop);
        let life: Option<Life> = match &self.disk {
            None => {
                let ledger = Rc::clone(&self.ledger);
                Some(Box::pin(live(
                    context,
                    ledger,
                    keys,
                    status,
                    (queue, stopping),
                )))
            }
            Some(disk) => disk.open(&context, &end_after).map(|ledger| -> Life {
                Box::pin(async move {
                    let input = (queue, stopping);
                    let life = live(context, Rc::clone(&ledger), keys, status, input);
                    tokio::select! {
                        () = life => {}
                        () = ledger.look_after() => {}
                    }
                })
            }),
        };
        let crashable = Crashable::new(life, &end_after, &parts.cloud, &self.clocks);
        let task = tokio::task::spawn_local(crashable);
        self.process = Some(Process {
            number,
            mode,
            updates,
            end_after,
            stop,
            stopped_at: None,
            task,
            publisher,
            changes: self.ledger.changes.get(),
        });
    }

    /// Whether the process has ended. An ended process is removed, so that the next one can start.
    pub(crate) fn has_ended(&mut self, now: Monotonic, checker: &Checker) -> bool {
        let job = self.job.as_ref();
        if job.is_some_and(|job| job.has_ended(&self.ledger, checker)) {
            self.job = None;
        }
        let Some(process) = &self.process else {
            return false;
        };
        if process.mode == Mode::Observe && process.changes != self.ledger.changes.get() {
            checker.violate("S16: a process that only observes changes the state");
        }
        let halted = process.publisher.board(|board| {
            let mut scopes = board.scopes().values();
            scopes.find_map(|scope| match &scope.activity {
                Activity::Halted { why } => Some(why.clone()),
                _ => None,
            })
        });
        if let Some(why) = halted {
            checker.violate(format!("a pass panicked: {why}"));
        }
        if !process.task.is_finished() {
            // A machine that sleeps stops nothing.
            let began = process.stopped_at.map(|at| at.max(self.clocks.wakes()));
            if began.is_some_and(|began| now > began + STOPS_WITHIN) {
                checker.violate("L7: a process runs on although it was asked to stop");
            }
            return false;
        }
        if process.end_after.get() != Some(0) && process.stop.reason().is_none() {
            checker.violate("a process ended by itself");
        }
        self.process = None;
        true
    }
}

impl Process {
    /// Asks the process to stop, as the service manager does.
    pub(crate) fn stop(&mut self, now: Monotonic, checker: &Checker) {
        self.stop.trip(StopReason::Terminated);
        self.stopped_at = self.stopped_at.or(Some(now));
        checker.stopped(self.number);
    }

    /// Ends the process after this number of polls.
    pub(crate) fn crash(&self, polls: u32) {
        self.end_after.set(Some(polls));
    }

    pub(crate) fn ask(&self) {
        let _ = self.updates.try_send(Update::Asked);
    }

    /// Gives the process the present manifests.
    pub(crate) fn give(&self, parts: &SharedParts, manifests: &Manifests) {
        let problem = || ManifestProblem::Repository("a file cannot be read".into());
        if manifests.is_broken {
            let _ = self.updates.try_send(Update::Broken(vec![problem()]));
            return;
        }
        parts.checker.loaded(self.number, manifests);
        let problems = manifests.is_partial.then(problem);
        let generation = Generation {
            desired: Rc::new(manifests.desired(&parts.scenario)),
            commit: None,
            warnings: Vec::new(),
            problems: problems.into_iter().collect(),
        };
        let _ = self.updates.try_send(Update::Loaded(Box::new(generation)));
    }

    /// The status that the process publishes for each scope.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.publisher.board(|board| {
            let scopes = board.scopes().iter();
            scopes.map(|scope| format!("{scope:?}")).collect()
        })
    }

    /// The scopes in which the daemon reports many missing shares, each with their number.
    pub(crate) fn losses(&self) -> Vec<(Scope, usize)> {
        self.publisher.board(|board| {
            let scopes = board.scopes().iter();
            let losses = scopes.filter_map(|(scope, of)| Some((scope.clone(), of.loss?.lost)));
            losses.collect()
        })
    }

    /// The images that the daemon does not report as ready.
    pub(crate) fn unready(&self) -> Vec<String> {
        self.publisher.board(|board| {
            let scopes = board.scopes().iter();
            let images = scopes.flat_map(|(scope, of)| {
                let images = of.images.iter();
                let unready = images.filter(|(_, image)| !image.ready.holds());
                unready.map(move |(id, image)| {
                    format!("{scope} {id}: {:?} {:?}", image.reason, image.details)
                })
            });
            images.collect()
        })
    }
}

async fn live<L: Ledger>(
    context: Rc<ClientContext<Machine>>,
    ledger: Rc<L>,
    keys: Keys,
    publisher: Rc<StatusPublisher<Machine>>,
    input: (mpsc::Receiver<Update>, Rc<Stop>),
) {
    let scenario = Rc::clone(&keys.scenario);
    let policy = policy(&scenario);
    match keys.mode {
        Mode::Observe => {
            let work = Observer { ledger: &*ledger };
            run(&work, (context, &keys), policy, publisher, input).await;
        }
        Mode::Reconcile | Mode::WrongKeys => {
            let work = Reconciler { ledger: &*ledger };
            run(&work, (context, &keys), policy, publisher, input).await;
        }
    }
}

async fn run<W: PassRunner<Machine>>(
    work: &W,
    (context, keys): (Rc<ClientContext<Machine>>, &Keys),
    policy: Policy,
    publisher: Rc<StatusPublisher<Machine>>,
    (queue, stop): (mpsc::Receiver<Update>, Rc<Stop>),
) {
    let settings = Settings {
        interval: INTERVAL,
        timeout: TEN_MINUTES,
        warn_before: Duration::from_secs(3600),
        policy,
        selector: Selector::default(),
    };
    let daemon = Daemon::new(context, work, keys, settings, publisher, &|_| {});
    daemon.run(queue, &stop).await;
}

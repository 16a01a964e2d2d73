//! Makes one-shot runs as a pipeline does: `reconcile`, `plan --out` and `reconcile --plan`, beside daemons or on the
//! state of a stopped daemon.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sharekeeper::api::{ClientContext, ReadClient, WriteClient};
use sharekeeper::daemon::Connect;
use sharekeeper::desired::Desired;
use sharekeeper::engine::{self, Engine, RegionViews, ScopeOutcome, Stop, StopReason, Task};
use sharekeeper::host::Clock;
use sharekeeper::ledger::Ledger;
use sharekeeper::model::{AccountName, Permission, Scope, Selector};
use sharekeeper::plan::{ApprovedActions, Policy, SavedPlan};
use sharekeeper::report::{CallCounts, Ending, ReconcileDocument};
use tokio::task::JoinHandle;

use super::checker::Checker;
use super::machine::{Crashable, Machine};
use super::manifests::Manifests;
use super::perturbation::EndAfter;
use super::process::{Installation, Keys, SharedParts, policy};
use super::run::Story;
use super::scenario::{Mode, seconds};
use super::support::world::{TEN_MINUTES, task};
use super::support::{Recorded, Silent};

/// The kind of a one-shot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Job {
    Reconcile,
    /// It accepts manifests that could only be read in part.
    PartialOk,
    /// It saves the plan, for a person to review.
    Plan,
    /// It carries out the plan that was saved last.
    Carry,
}

/// A run that is in progress.
pub(crate) struct RunningJob {
    process: usize,
    end_after: EndAfter,
    stop: Rc<Stop>,
    task: JoinHandle<()>,
    /// For a run without writes: the number of changes to the ledger before it.
    changes: Option<u64>,
}

impl RunningJob {
    pub(crate) fn crash(&self, polls: u32) {
        self.end_after.set(Some(polls));
    }

    pub(crate) fn stop(&self, checker: &Checker) {
        self.stop.trip(StopReason::Terminated);
        checker.stopped(self.process);
    }

    /// Whether the run has ended.
    pub(crate) fn has_ended(&self, ledger: &Recorded<Machine>, checker: &Checker) -> bool {
        if self
            .changes
            .is_some_and(|before| before != ledger.changes.get())
        {
            checker.violate("S16: one who only plans changes the state");
        }
        self.task.is_finished()
    }
}

/// All that a run needs.
struct Run {
    context: Rc<ClientContext<Machine>>,
    ledger: Rc<Recorded<Machine>>,
    checker: Rc<Checker>,
    process: usize,
    keys: Keys,
    desired: Desired,
    policy: Policy,
    saved: Rc<RefCell<Option<String>>>,
    stop: Rc<Stop>,
}

impl Story {
    /// Starts a run on an installation. The lock of the state refuses the run while another process holds it.
    pub(crate) fn start_job(&mut self, installation: usize, job: Job) {
        let manifests = self.manifests_of(installation);
        let is_whole = !manifests.is_partial || job == Job::PartialOk;
        let installation = &mut self.installations[installation];
        if installation.process.is_some() || installation.job.is_some() {
            return;
        }
        if manifests.is_broken || !is_whole {
            return;
        }
        installation.job = Some(start(&self.parts, installation, (manifests, job)));
    }
}

fn start(
    parts: &SharedParts,
    installation: &Installation,
    (manifests, job): (Manifests, Job),
) -> RunningJob {
    let mode = match job {
        Job::Plan => Mode::Observe,
        Job::Reconcile | Job::PartialOk | Job::Carry => Mode::Reconcile,
    };
    let process = parts.checker.process_began(installation.number, mode);
    let dice = parts.scenario.seed ^ ((process as u64 + 1) << 20);
    let context = parts.context(installation.number, process, dice);
    installation.ledger.hand_over(&context);
    parts.checker.runs_once(process);
    parts.checker.loaded(process, &manifests);
    parts.checker.say(format!("process {process}: {job:?}"));
    // An account may get another name before the run asks for its key.
    let names = Rc::new(RefCell::new(manifests.clone()));
    let stop = Rc::new(Stop::default());
    let run = Run {
        context,
        ledger: Rc::clone(&installation.ledger),
        checker: Rc::clone(&parts.checker),
        process,
        keys: Keys::new(parts, &names, mode),
        desired: manifests.desired(&parts.scenario),
        policy: Policy {
            shares_only: manifests.is_partial,
            ..policy(&parts.scenario)
        },
        saved: Rc::clone(&installation.saved),
        stop: Rc::clone(&stop),
    };
    let end_after = EndAfter::default();
    let life = async move { run.live(job).await };
    let crashable = Crashable::new(
        Some(Box::pin(life)),
        &end_after,
        &parts.cloud,
        &installation.clocks,
    );
    RunningJob {
        process,
        end_after,
        stop,
        task: tokio::task::spawn_local(crashable),
        changes: (job == Job::Plan).then(|| installation.ledger.changes.get()),
    }
}

impl Run {
    async fn live(self, job: Job) {
        match job {
            Job::Reconcile | Job::PartialOk => self.reconcile(self.policy, None).await,
            Job::Plan => self.plan().await,
            Job::Carry => self.carry().await,
        }
    }

    fn clients(&self) -> BTreeMap<AccountName, ReadClient<Machine>> {
        let names = self.desired.names().into_iter();
        let clients = names.map(|name| {
            let document = self.desired.accounts.get(&name);
            let connection = self.keys.connect(&name, document).expect("it is known");
            (name, ReadClient::new(Rc::clone(&self.context), connection))
        });
        clients.collect()
    }

    fn uins(&self) -> BTreeMap<AccountName, String> {
        let accounts = self.desired.accounts.iter();
        let given = accounts.filter_map(|(name, account)| {
            let uin = account.uin.as_ref()?;
            Some((name.clone(), uin.to_string()))
        });
        given.collect()
    }

    async fn preview(&self, policy: &Policy) -> Option<Vec<ScopeOutcome>> {
        let selector = Selector::default();
        let task = task(&self.desired, &selector, policy);
        let scopes = engine::preview(&self.clients(), &*self.ledger, &task).await;
        let mut plans = scopes.iter().map(|scope| &scope.plan);
        let is_seen = plans.all(|plan| plan.unobserved().is_none());
        is_seen.then_some(scopes)
    }

    async fn plan(&self) {
        let Some(scopes) = self.preview(&self.policy).await else {
            return;
        };
        let plans = scopes.iter().map(|scope| &scope.plan);
        let saved = SavedPlan::new(
            plans,
            &Selector::default(),
            &self.policy,
            self.uins(),
            None,
            self.context.now(),
        );
        *self.saved.borrow_mut() = Some(saved.text());
    }

    /// Carries out the reviewed actions, if the run would still plan them.
    async fn carry(&self) {
        let Some(text) = self.saved.borrow().clone() else {
            return;
        };
        self.checker.reviewed(self.process, actions(&text));
        let saved = SavedPlan::parse(&text).expect("nobody has changed it");
        let policy = saved
            .policy_within(&self.policy)
            .expect("the bounds are the same");
        if saved.other_uin(&self.uins()).is_some() {
            return;
        }
        let Some(now) = self.preview(&policy).await else {
            return;
        };
        if saved
            .differences(now.iter().map(|scope| &scope.plan))
            .is_empty()
        {
            let approved = saved.approved_by_scope();
            self.reconcile(policy, Some(&approved)).await;
        }
    }

    /// Reconciles, and gives the report to the checker.
    async fn reconcile(
        &self,
        policy: Policy,
        approved_by_scope: Option<&BTreeMap<Scope, ApprovedActions>>,
    ) {
        let clients = self.clients().into_iter();
        let clients = clients.map(|(name, client)| (name, WriteClient::new(client)));
        let clients = clients.collect();
        let (selector, stop) = (Selector::default(), &self.stop);
        let engine = Engine {
            ledger: &*self.ledger,
            listener: &Silent,
            stop,
            views: &RegionViews::default(),
        };
        let task = Task {
            approved_by_scope,
            ..task(&self.desired, &selector, &policy)
        };
        let started = self.context.host.monotonic();
        let scopes = engine.reconcile(&clients, &task, TEN_MINUTES).await;
        let took = self.context.host.monotonic().since(started);
        if took > TEN_MINUTES + seconds(60) {
            let what = format!("L7: a run of ten minutes took {} s", took.as_secs());
            self.checker.violate(what);
        }
        let ending = Ending {
            lost: self.ledger.failure().map(|lost| lost.to_string()),
            stopped: stop.reason(),
            calls: CallCounts {
                reads: 0,
                writes: 0,
                throttled: 0,
            },
            elapsed: took,
        };
        let document = ReconcileDocument::new(&scopes, ending, &[]);
        let json = serde_json::to_value(&document).expect("JSON");
        let exit = json["exit_code"].as_u64().expect("a number");
        self.checker.reported(self.process, exit);
    }
}

/// The actions of a saved plan, read from its text alone so that the product's parser is not trusted.
fn actions(text: &str) -> BTreeSet<(String, Permission)> {
    let plan: Value = serde_json::from_str(text).expect("JSON");
    let actions = plan["actions"].as_array().expect("a list").iter();
    let actions = actions.map(|action| {
        let permission = match action["action"].as_str() {
            Some("share") => Permission::Share,
            Some("cancel") => Permission::Cancel,
            other => panic!("{other:?} is no action"),
        };
        let image = action["image_id"].as_str().expect("an id");
        (image.to_owned(), permission)
    });
    actions.collect()
}

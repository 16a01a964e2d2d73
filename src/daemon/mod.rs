//! DAEMON: runs passes on a schedule, one at a time in each scope, and reacts to newer manifests and signals.
//!
//! One loop on one thread starts the passes that are due and handles events: the end of a pass, an update of the
//! manifests, a request to try everything again, a request to stop. It waits for nothing else. Each scope has a
//! `ScopeState`, which carries data from one pass to the next. This module must not know HTTP or command-line
//! arguments; the caller decides where manifests and credentials come from and whether anything may be written.

mod accounts;
mod fair_share;
mod holds;
mod manifest_diff;
mod pass;
mod publisher;
mod runner;
mod scope_state;
mod scopes;
mod summary;
mod supervisor;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use accounts::Accounts;
use fair_share::{AccountKey, Due, PassSlot, choose};
use manifest_diff::ManifestDiff;
use pass::{FinishedPass, Pass};
use scope_state::ScopeState;
use scopes::Scopes;

use crate::api::{ClientContext, ClockReport};
use crate::engine::{Stop, StopReason};
use crate::host::Host;
use crate::model::{AccountName, Monotonic, Scope, Selector};
use crate::plan::{Policy, Prune};
use crate::schedule::{Interruption, Now};
use crate::source::{Generation, Update};
use crate::status::{Activity, PassResult};

pub use accounts::Connect;
pub use holds::watch_holds;
pub use publisher::StatusPublisher;
pub use runner::{Observer, PassRunner, Reconciler, RegionClients};
pub use summary::keep_summary;
pub use supervisor::report_to_supervisor;

/// The interval for checking whether gathered transitions are ready to be reported.
const GATHER_INTERVAL: Duration = Duration::from_secs(2);
/// How long passes may take to settle after a stop. Calls in flight have eight seconds, and the rest is for recording
/// their outcomes.
const SETTLE_MAX: Duration = Duration::from_millis(8_500);

/// The schedule and the policy of the daemon's passes.
pub struct Settings {
    /// The time between two passes over a scope without changes.
    pub interval: Duration,
    /// How long one pass over a scope may take.
    pub timeout: Duration,
    /// How long before its end a share is reported as ending soon.
    pub warn_before: Duration,
    /// What may be pruned.
    pub policy: Policy,
    /// The part of the manifests that the daemon reconciles.
    pub selector: Selector,
}

/// The type of a callback for each good set of manifests, made before passes use the set.
pub type OnLoad<'a> = &'a dyn Fn(&Generation);

/// Makes passes over all scopes until it is stopped.
pub struct Daemon<'a, H, R: PassRunner<H>> {
    context: Rc<ClientContext<H>>,
    runner: &'a R,
    settings: Rc<Settings>,
    publisher: Rc<StatusPublisher<H>>,
    accounts: Accounts<'a, R::Client>,
    on_load: OnLoad<'a>,
    generation: Option<Rc<Generation>>,
    scopes: Scopes,
    /// Whether nothing can be recorded at the moment, so that no pass begins.
    is_state_lost: bool,
    passes: FuturesUnordered<LocalBoxFuture<'a, FinishedPass<R::Client>>>,
}

impl<'a, H: Host + 'a, R: PassRunner<H>> Daemon<'a, H, R> {
    /// A daemon that has no work before the first [`Update`].
    pub fn new(
        context: Rc<ClientContext<H>>,
        runner: &'a R,
        connect: &'a dyn Connect,
        settings: Settings,
        publisher: Rc<StatusPublisher<H>>,
        on_load: OnLoad<'a>,
    ) -> Self {
        Self {
            context,
            runner,
            settings: Rc::new(settings),
            publisher,
            accounts: Accounts::new(connect),
            on_load,
            generation: None,
            scopes: Scopes::default(),
            is_state_lost: false,
            passes: FuturesUnordered::new(),
        }
    }

    /// Makes passes until `stop` trips, then waits for calls in flight to settle, for `SETTLE_MAX` at most.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>, stop: &Stop) -> StopReason {
        let runner = self.runner;
        loop {
            let wake_at = earliest(self.start_due_passes(), self.report_gathered());
            tokio::select! {
                biased;
                reason = stop.tripped() => return self.shut_down(reason).await,
                why = runner.until_failure(), if !self.is_state_lost => {
                    self.is_state_lost = true;
                    self.publisher.state_lost(why);
                }
                () = runner.until_recovery(), if self.is_state_lost => self.state_recovered(),
                Some(pass) = self.passes.next(), if !self.passes.is_empty() => self.pass_finished(pass),
                Some(update) = updates.recv() => self.take_in(update),
                () = sleep(&self.context.host, wake_at) => {}
            }
        }
    }

    /// Reports transitions that have been gathered for long enough. Returns when to check again, if more are waiting.
    fn report_gathered(&self) -> Option<Monotonic> {
        let more_waits = self.publisher.report_gathered();
        more_waits.then(|| self.context.host.monotonic() + GATHER_INTERVAL)
    }

    /// Resumes work after the state had made all work impossible.
    fn state_recovered(&mut self) {
        self.is_state_lost = false;
        self.publisher.state_recovered();
        self.retry_all();
    }

    fn retry_all(&mut self) {
        let now = self.context.host.monotonic();
        self.scopes
            .change_all(|scopes| scopes.values_mut().for_each(|state| state.retry_all(now)));
    }

    async fn shut_down(mut self, reason: StopReason) -> StopReason {
        let running = self.scopes.running();
        running.for_each(|(_, state)| state.stop(reason));
        let context = Rc::clone(&self.context);
        let late_at = context.host.monotonic() + SETTLE_MAX;
        let mut late = std::pin::pin!(context.host.sleep_until(late_at));
        while !self.passes.is_empty() {
            tokio::select! {
                biased;
                Some(pass) = self.passes.next() => self.pass_finished(pass),
                () = &mut late => {
                    self.log_unsettled();
                    break;
                }
            }
        }
        reason
    }

    fn log_unsettled(&self) {
        for (scope, _) in self.scopes.running() {
            tracing::warn!(%scope, "the pass has not settled in time; the next run resolves the writes that it sent but did not record");
        }
    }

    fn take_in(&mut self, update: Update) {
        match update {
            Update::Loaded(generation) => self.load(Rc::new(*generation)),
            Update::Broken(problems) => self.publisher.manifests_failed(&problems),
            Update::Asked => {
                tracing::info!("observing everything again, as requested");
                self.accounts.reset_backoff();
                self.retry_all();
            }
        }
    }

    /// Applies newer manifests: the scopes that they change are due now, and running passes there are interrupted.
    fn load(&mut self, next: Rc<Generation>) {
        (self.on_load)(&next);
        let now = self.context.host.monotonic();
        let before = self.generation.replace(Rc::clone(&next));
        let diff = ManifestDiff::new(before.as_deref(), &next);
        self.accounts
            .manifests_changed(|name| diff.changes_account(name));
        let named = self.images_by_scope(&next);
        let mut changed = 0;
        self.scopes.change_all(|scopes| {
            for &scope in named.keys() {
                let state = scopes
                    .entry(scope.clone())
                    .or_insert_with(|| ScopeState::new(now));
                if diff.changes_scope(scope) {
                    changed += 1;
                    state.supersede(now);
                }
            }
            let is_named = |scope: &Scope| named.contains_key(scope);
            scopes.retain(|scope, state| state.set_removed(!is_named(scope), now));
        });
        let images: usize = named.values().sum();
        let policies = policies_in(&next, &self.settings.selector, named.keys());
        self.publisher.manifests_loaded(&next, policies, &named);
        tracing::info!(
            commit = next.commit,
            images,
            policies,
            scopes = named.len(),
            changed,
            "manifests loaded"
        );
        for warning in &next.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The scopes with work to do, each with the number of images that manifests name there. As in the engine, only
    /// pruning can be due in a scope without a selected image.
    fn images_by_scope<'g>(&self, generation: &'g Generation) -> BTreeMap<&'g Scope, usize> {
        let desired = &generation.desired;
        let (selector, prunes) = (&self.settings.selector, self.settings.policy.prune);
        let images_of = |scope| {
            let wanted = desired.desired_scope(scope, selector)?;
            let images = wanted.images.len() + wanted.names.len();
            (wanted.may_ask() || prunes != Prune::None).then_some((scope, images))
        };
        desired.scopes().filter_map(images_of).collect()
    }

    /// Starts the passes that are due, as far as slots are free. Returns when the first of the other scopes is due. A
    /// scope that waits for a slot is considered again when a pass ends.
    fn start_due_passes(&mut self) -> Option<Monotonic> {
        let generation = self.generation.clone().filter(|_| !self.is_state_lost)?;
        let now = self.context.host.monotonic();
        let settling = self.settling_removed();
        let due = self.scopes.due(now);
        let due = due.filter(|(_, scope, _)| !waits_for(&settling, scope));
        let due = due.map(|(since, scope, state)| Due {
            scope,
            slot: slot_for(&generation, scope, state),
            since,
        });
        let running = self.scopes.running().filter_map(|(_, state)| state.slot());
        let chosen: Vec<_> = choose(running, due.collect())
            .into_iter()
            .cloned()
            .collect();
        for scope in chosen {
            self.start(&generation, scope, now);
        }
        self.scopes.next_due_after(now)
    }

    /// Scopes that manifests no longer name, but whose passes have calls that still settle.
    fn settling_removed(&self) -> Vec<Scope> {
        let running = self.scopes.running();
        let settling = running.filter(|(_, state)| state.is_removed());
        settling.map(|(scope, _)| scope.clone()).collect()
    }

    fn start(&mut self, generation: &Rc<Generation>, scope: Scope, now: Monotonic) {
        let (runner, context) = (self.runner, &self.context);
        let document = |name: &AccountName| generation.desired.accounts.get(name);
        let connect = |connection| runner.client(Rc::clone(context), connection);
        let name = &scope.account;
        let client = self.accounts.client(name, document(name), now, connect);
        let used = || {
            let policy = pass::policy(&self.settings, generation);
            pass::task(&self.settings, generation, &policy).used_names(scope.region)
        };
        let region = self
            .accounts
            .region(scope.region, used, now, document, connect);
        let probe_budget = match &client {
            Ok(client) => self.accounts.probe_budget(runner.read(client).caller_id()),
            Err(_) => Rc::default(),
        };
        let Some(mut state) = self.scopes.get_mut(&scope) else {
            return;
        };
        let stop = Rc::new(Stop::default());
        let slot = slot_for(generation, &scope, &state);
        let attempts = state.pass_began(Rc::clone(&stop), slot, now);
        drop(state);
        if let Ok(client) = &client {
            let bucket = pass::write_bucket(runner.read(client), scope.region);
            self.publisher.write_rate_changed(&scope, bucket);
        }
        self.publisher.pass_began(&scope);
        let pass = Pass {
            context: Rc::clone(&self.context),
            runner,
            settings: Rc::clone(&self.settings),
            publisher: Rc::clone(&self.publisher),
            generation: Rc::clone(generation),
            scope,
            client,
            region,
            probe_budget,
            views: self.accounts.views(),
            stop,
            began: now,
        };
        self.passes.push(Box::pin(pass.run(attempts)));
    }

    fn pass_finished(&mut self, pass: FinishedPass<R::Client>) {
        self.log_clock_reports();
        let host = &self.context.host;
        let at = Now {
            wall: self.context.now(),
            monotonic: host.monotonic(),
            jitter: host.next_f64(),
        };
        let Some(mut state) = self.scopes.get_mut(&pass.scope) else {
            return;
        };
        state.free();
        let scope = &pass.scope;
        let took = at.monotonic.since(pass.began);
        let outcome = match pass.outcome {
            Ok(Some(outcome)) => outcome,
            // Only scopes with work to do have a state.
            Ok(None) => return,
            Err(why) => {
                state.halt();
                let activity = Activity::Halted { why };
                let result = PassResult::Panicked;
                return self.publisher.pass_ended(scope, result, took, activity);
            }
        };
        let client = pass.client.as_ref();
        let is_broken = client.is_some_and(|client| R::broken(client).is_some())
            || outcome
                .plan
                .unobserved()
                .is_some_and(|why| why.account_broken);
        let interruption = match pass.stop.reason() {
            _ if is_broken => Interruption::AccountBroken,
            Some(_) => Interruption::Short,
            None => Interruption::None,
        };
        // A pass that was interrupted may not have made any call of the account.
        let found_broken = (is_broken || interruption == Interruption::None).then_some(is_broken);
        let accounts = &mut self.accounts;
        let retry_at = accounts.pass_ended(&scope.account, client, found_broken, at);
        let result = pass::result(&outcome.plan, pass.stop.reason());
        let next = state.pass_ended(outcome, interruption, self.settings.interval, at, retry_at);
        if state.is_removed() {
            return;
        }
        let wall_time = |monotonic: Monotonic| at.wall + monotonic.since(at.monotonic);
        let activity = Activity::Idle {
            next: wall_time(next),
        };
        self.publisher.pass_ended(scope, result, took, activity);
        let retries = state.schedule.retries();
        let retries = retries.map(|(image, due)| (image.clone(), wall_time(due)));
        self.publisher.retries_scheduled(scope, retries);
        self.publisher
            .report_expiring(scope, self.settings.warn_before);
    }

    fn log_clock_reports(&self) {
        for ClockReport { text, is_right } in self.context.clocks.take_reports(self.context.now()) {
            match is_right {
                true => tracing::info!("{text}"),
                false => tracing::warn!("{text}"),
            }
        }
    }
}

/// Whether a pass under a removed account name in the scope's region still settles. That name may be an earlier one of
/// the same account.
fn waits_for(settling: &[Scope], scope: &Scope) -> bool {
    let mut settling = settling.iter();
    settling.any(|other| other.region == scope.region && other.account != scope.account)
}

/// The slot that a pass over the scope takes.
fn slot_for(generation: &Generation, scope: &Scope, state: &ScopeState) -> PassSlot {
    let name = &scope.account;
    let document = generation.desired.accounts.get(name);
    let uin = document.and_then(|document| document.uin.clone());
    PassSlot {
        account: uin.map_or_else(|| AccountKey::Name(name.clone()), AccountKey::Uin),
        was_unobserved: state.schedule.is_unobserved(),
    }
}

fn earliest(one: Option<Monotonic>, other: Option<Monotonic>) -> Option<Monotonic> {
    one.into_iter().chain(other).min()
}

async fn sleep(host: &impl Host, until: Option<Monotonic>) {
    match until {
        Some(until) => host.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The number of selected policies that apply to any of the scopes.
fn policies_in<'s>(
    generation: &Generation,
    selector: &Selector,
    scopes: impl Iterator<Item = &'s &'s Scope>,
) -> usize {
    let policies = scopes.filter_map(|scope| generation.desired.policies.get(*scope));
    let selected = policies
        .flatten()
        .filter(|policy| selector.matches_labels(&policy.document.labels));
    let names: BTreeSet<_> = selected.map(|policy| policy.name()).collect();
    names.len()
}

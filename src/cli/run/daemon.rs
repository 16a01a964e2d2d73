//! Assembles the daemon and runs it until a signal stops it or one of the tasks beside it fails.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, mpsc};

use super::told::{ToldHome, ToldKeeper};
use super::{summary, tasks};
use crate::api::{ClientContext, Connection};
use crate::cli::api_target::ApiTarget;
use crate::cli::args::RunArguments;
use crate::cli::output::Failure;
use crate::cli::selection::Known;
use crate::cli::signals::SignalListener;
use crate::cli::status_server::{self, DaemonView};
use crate::cli::{shutdown, state};
use crate::daemon::{Connect, Daemon, PassRunner, Settings, StatusPublisher};
use crate::desired::Account;
use crate::engine::{Stop, StopReason};
use crate::host::{Supervisor, System};
use crate::inventory::Orphans;
use crate::model::{AccountName, Scope};
use crate::plan::Policy;
use crate::serve::StatusServer;
use crate::source::{self, Generation, Origin};
use crate::status::RunSettings;
use crate::store::Store;
use crate::webhooks::{DeliveryWorker, WebhookSender};
use crate::words::safe;

/// The number of updates that can wait for the daemon. It handles them at once, so few ever wait.
const UPDATES_MAX: usize = 8;

/// The parts of a daemon, whether it writes or only observes.
pub(super) struct DaemonSetup<'a> {
    pub(super) arguments: &'a RunArguments,
    pub(super) policy: &'a Policy,
    pub(super) directory: &'a Path,
    /// The value of `--state-dir`, or its default.
    pub(super) state_base: PathBuf,
    pub(super) context: &'a Rc<ClientContext<System>>,
    pub(super) api: &'a ApiTarget<'a>,
    pub(super) origin: Origin,
    pub(super) webhook_sender: WebhookSender,
    pub(super) signals: &'a SignalListener,
}

/// Tasks beside the daemon that report about it.
pub(super) struct Services {
    pub(super) port: Option<StatusServer>,
    pub(super) delivery_worker: DeliveryWorker,
}

impl Connect for ApiTarget<'_> {
    fn connect(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, String> {
        self.connection(name, document)
            .map_err(|failure| failure.to_string())
    }
}

/// The failure of a daemon whose tasks have all ended. Each task ends only by a fault.
fn nothing_is_left() -> Failure {
    Failure::new("all tasks of the daemon have ended")
}

/// A path that can be typed in any directory; `None` if a page cannot show it exactly.
fn typeable(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let shown = path.to_str()?;
    (safe(shown) == shown).then(|| shown.to_owned())
}

impl DaemonSetup<'_> {
    /// Runs the daemon. `on_load` is called with each set of manifests before the set is used. `store` is the state, if
    /// the daemon writes to it.
    pub(super) async fn run<W: PassRunner<System>>(
        &self,
        work: &W,
        on_load: impl Fn(&Generation),
        store: Option<&Store>,
        services: Services,
    ) -> Result<StopReason, Failure> {
        let publisher = self.publisher();
        self.report_new_state(store, &publisher);
        let told = self.told_keeper(store, &publisher).await;
        let (updates, queue) = mpsc::channel(UPDATES_MAX);
        let reload = Rc::new(Notify::new());
        let supervisor = Supervisor::of_environment();
        let (known_orphans, known_selection) = (RefCell::default(), RefCell::default());
        let on_load = |generation: &Generation| {
            on_load(generation);
            if let Err(failure) = self.api.add_images(&generation.desired) {
                tracing::warn!("{failure}");
            }
            self.warn_of_orphans(generation, &known_orphans);
            self.warn_of_selection(generation, &known_selection);
        };
        let stop = Stop::default();
        let daemon = Daemon::new(
            Rc::clone(self.context),
            work,
            self.api,
            self.settings(),
            Rc::clone(&publisher),
            &on_load,
        );
        let daemon = std::pin::pin!(daemon.run(queue, &stop));
        let mut tasks: FuturesUnordered<LocalBoxFuture<'_, Failure>> = FuturesUnordered::new();
        tasks.extend(self.signal_tasks(&stop, &reload, &supervisor));
        tasks.push(Box::pin(self.api.ended()));
        tasks.push(Box::pin(tasks::feed(
            self.source_settings(),
            &updates,
            Rc::clone(&reload),
            &supervisor,
        )));
        let worker = services.delivery_worker;
        tasks.extend(self.reporting_tasks(worker, told.as_ref(), &supervisor, &publisher));
        let mut port_thread = None;
        if let Some(port) = services.port {
            let (engine, thread) = status_server::spawn(port)?;
            port_thread = Some(thread);
            tasks.push(Box::pin(tasks::feed_status(engine, self.view(&publisher))));
        }
        if let Some(store) = store {
            tasks.extend(self.state_tasks(store, &stop, &publisher));
        }
        tasks.push(Box::pin(tasks::watch_holds(work, self.context, &publisher)));
        shutdown::now_waits_for("calls in flight");
        let ended = match select(daemon, tasks.next()).await {
            Either::Left((reason, _)) => Ok(reason),
            Either::Right((failed, _)) => Err(failed.unwrap_or_else(nothing_is_left)),
        };
        supervisor.stopping();
        if let Some(told) = &told {
            told.keep_delivered(&publisher, &self.webhook_sender).await;
        }
        // The engine's end of the channel to the port is among the tasks, so the port ends with it.
        drop(tasks);
        if let Some(thread) = port_thread {
            tasks::port_ended(thread, self.context).await;
        }
        ended
    }

    fn signal_tasks<'t>(
        &'t self,
        stop: &'t Stop,
        reload: &'t Notify,
        supervisor: &'t Supervisor,
    ) -> [LocalBoxFuture<'t, Failure>; 2] {
        [
            Box::pin(tasks::stop_on_signals(self.signals, stop)),
            Box::pin(tasks::reload_on_hangup(self.signals, reload, supervisor)),
        ]
    }

    /// The tasks that report about the daemon: webhooks, with the transitions that were reported before, and its
    /// supervisor.
    fn reporting_tasks<'t>(
        &'t self,
        worker: DeliveryWorker,
        told: Option<&'t ToldKeeper<'t>>,
        supervisor: &'t Supervisor,
        publisher: &'t StatusPublisher<System>,
    ) -> impl Iterator<Item = LocalBoxFuture<'t, Failure>> {
        let (context, sender) = (self.context, &self.webhook_sender);
        let keep = told.map(|told| -> LocalBoxFuture<'t, Failure> {
            Box::pin(told.keep_all(publisher, sender, &context.host))
        });
        let tasks: [LocalBoxFuture<'t, Failure>; 2] = [
            Box::pin(tasks::deliver_webhooks(worker, context)),
            Box::pin(tasks::report_to_supervisor(supervisor, context, publisher)),
        ];
        tasks.into_iter().chain(keep)
    }

    fn state_tasks<'t>(
        &'t self,
        store: &'t Store,
        stop: &'t Stop,
        publisher: &'t StatusPublisher<System>,
    ) -> [LocalBoxFuture<'t, Failure>; 3] {
        [
            Box::pin(summary::leave_summary(store, self.context, publisher)),
            Box::pin(tasks::check_state(store, self.context, publisher)),
            Box::pin(tasks::hurry_state(store, stop)),
        ]
    }

    fn publisher(&self) -> Rc<StatusPublisher<System>> {
        let origin = self.origin.to_string();
        let observe_only = self.arguments.observe_only;
        let sender = self.webhook_sender.clone();
        let tell = move |transitions: &[_]| sender.send(transitions);
        StatusPublisher::new(Rc::clone(self.context), origin, observe_only, tell)
    }

    /// The keeper of reported transitions, if there are notifications. It reads those of earlier processes.
    async fn told_keeper<'t>(
        &'t self,
        store: Option<&'t Store>,
        publisher: &StatusPublisher<System>,
    ) -> Option<ToldKeeper<'t>> {
        self.arguments.reporting.notify.as_ref()?;
        let told = ToldKeeper::new(match store {
            Some(store) => ToldHome::State(store),
            None => ToldHome::Directory(self.directory),
        });
        publisher.remember(told.read().await);
        Some(told)
    }

    fn view(&self, publisher: &Rc<StatusPublisher<System>>) -> Rc<DaemonView> {
        let sender = self.webhook_sender.clone();
        DaemonView::new(publisher, self.context, sender, self.run_settings())
    }

    /// How this process was started, for commands that use it and its state from any directory.
    fn run_settings(&self) -> RunSettings {
        let manifests: Option<Vec<_>> = match &self.origin {
            Origin::Files(paths) => paths.iter().map(|path| typeable(path)).collect(),
            Origin::Git(_) => None,
        };
        let target = &self.arguments.target;
        RunSettings {
            policy: *self.policy,
            state_dir: typeable(&self.state_base),
            manifests: manifests.unwrap_or_default(),
            uses_sim: target.sim,
            endpoint: target.endpoint.as_ref().map(ToString::to_string),
            pid: std::process::id(),
        }
    }

    fn settings(&self) -> Settings {
        let arguments = self.arguments;
        Settings {
            interval: arguments.interval,
            timeout: arguments.timeout,
            warn_before: arguments.reporting.warn_before,
            policy: *self.policy,
            selector: arguments.selection.selector(),
        }
    }

    fn source_settings(&self) -> source::Settings {
        source::Settings {
            origin: self.origin.clone(),
            partial_ok: self.arguments.working.partial_ok,
            debounce: self.arguments.source.debounce,
            poll: self.arguments.source.poll,
        }
    }

    /// Reports a state that was never used before. A daemon that is restarted after its state was removed must not
    /// continue silently.
    fn report_new_state(&self, store: Option<&Store>, publisher: &StatusPublisher<System>) {
        if !store.is_some_and(Store::is_new) {
            return;
        }
        let prune = self.arguments.guards.prune();
        match state::new_state_warning(self.directory, prune) {
            Some(warning) => {
                tracing::warn!("{warning}");
                publisher.state_created();
            }
            None => {
                let directory = self.directory.display();
                tracing::info!(
                    "the state in {directory} is new: it knows no suspensions and no earlier shares"
                );
            }
        }
    }

    /// Warns if the flags have unknown names or select nothing, unless that is already `known`. Later manifests may
    /// contain the names, so this is no reason to end.
    fn warn_of_selection(&self, generation: &Generation, known: &RefCell<Vec<String>>) {
        let selector = self.arguments.selection.selector();
        if !generation.problems.is_empty() {
            return;
        }
        let found = state::read(self.directory).and_then(|reader| {
            let names = Known {
                desired: &generation.desired,
                reader: &reader,
            };
            // A reader of the state never waits.
            let mut found = names
                .unknown(&selector)
                .now_or_never()
                .unwrap_or(Ok(Vec::new()))?;
            let nothing = names.nothing(&selector, self.policy.prune).now_or_never();
            found.extend(nothing.unwrap_or(Ok(None))?);
            Ok(found)
        });
        match found {
            Ok(found) => {
                let mut known = known.borrow_mut();
                for line in found.iter().filter(|line| !known.contains(line)) {
                    tracing::warn!("{line}");
                }
                *known = found;
            }
            Err(failure) => {
                tracing::warn!("cannot check whether the flags select anything: {failure}")
            }
        }
    }

    /// Warns about images of ours in scopes that no manifest names any longer, unless they are already `known`.
    fn warn_of_orphans(&self, generation: &Generation, known: &RefCell<Orphans>) {
        // An image that is not selected, or that a left-out file may name, is no orphan.
        let selector = self.arguments.selection.selector();
        if !selector.is_all() || !generation.problems.is_empty() {
            return;
        }
        let named: BTreeSet<&Scope> = generation.desired.scopes().collect();
        let is_named = |scope: &Scope| named.contains(scope);
        let orphans =
            state::read(self.directory).and_then(|reader| state::orphans(&reader, is_named));
        match orphans {
            Ok(orphans) => {
                if let Some(warning) = orphans.warning()
                    && *known.borrow() != orphans
                {
                    tracing::warn!("{warning}");
                }
                known.replace(orphans);
            }
            Err(failure) => tracing::warn!(
                "cannot check for images that no manifest names any longer: {failure}"
            ),
        }
    }
}

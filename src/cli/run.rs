//! `run`: joins the daemon to files, git, the cloud, the port, webhooks, signals and systemd.

use std::cell::RefCell;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use super::args::{Common, Output, RunArguments, Target};
use super::output::{self, Failure};
use super::session::{self, System};
use super::simulated::{self, Simulated};
use super::{connect, port, signals, state};
use crate::api::{ClientContext, Connection, ProviderCache};
use crate::daemon::{Connect, Daemon, Observer, PassRunner, Reconciler, Settings, StatusPublisher};
use crate::desired::Account;
use crate::engine::{Stop, StopReason};
use crate::host::{Clock, Supervisor, SystemClock, SystemCommandRunner, SystemRng, SystemWatch};
use crate::model::{AccountName, Scope};
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::serve::Port;
use crate::source::{self, Generation, Origin, Repository, Update};
use crate::store::Store;
use crate::webhooks::{self, DeliveryWorker, WebhookSender, Webhooks};

/// Updates that wait for the daemon. It takes them at once; more than a few never wait.
const QUEUE_MAX: usize = 8;

/// What `run -o json` prints at its end.
#[derive(Serialize)]
struct Document {
    format_version: u32,
    exit_code: u8,
    stopped_by: &'static str,
}

/// `run`.
pub(super) async fn run(arguments: &RunArguments, common: &Common) -> Result<u8, Failure> {
    arguments.check()?;
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let context = session::context()?;
    let webhooks = match &arguments.show.notify {
        Some(file) => Webhooks::load(file).map_err(|error| Failure::from_error(&error))?,
        None => Webhooks::default(),
    };
    let cloud = Cloud::open(&arguments.target, &directory).await?;
    // Locked for as long as the process lives.
    let (origin, _lock) = origin(arguments, &directory)?;
    let parts = Parts {
        arguments,
        directory: &directory,
        context: &context,
        cloud: &cloud,
        origin,
    };
    let (outbox, worker) = webhooks::channel(webhooks);
    let seen = Seen {
        port: port::open(&arguments.show).await?,
        outbox,
        worker,
    };
    let done = if arguments.observe_only {
        let ledger = state::read(&directory)?;
        let work = Observer { ledger: &ledger };
        parts.carry_out(&work, |_| {}, None, seen).await
    } else {
        let clock = Rc::clone(&context);
        let max = arguments.working.history_max;
        let store = state::open(&directory, "run", None, max, move || clock.present())?;
        let work = Reconciler { ledger: &store };
        let commit = |generation: &Generation| store.set_commit(generation.commit.clone());
        let done = parts.carry_out(&work, commit, Some(&store), seen).await;
        state::close(store);
        done
    };
    cloud.close().await?;
    let reason = done?;
    let (exit, stopped_by) = match reason {
        StopReason::Interrupted => (ExitStatus::Interrupted, "SIGINT"),
        _ => (ExitStatus::Terminated, "SIGTERM"),
    };
    if common.output == Output::Json {
        let document = Document {
            format_version: FORMAT_VERSION,
            exit_code: exit.code(),
            stopped_by,
        };
        output::print(common.output, &document, "")?;
    }
    Ok(exit.code())
}

/// Which API is worked with.
enum Cloud<'a> {
    Real(&'a Target, ProviderCache),
    Simulated(Box<Simulated>),
}

impl<'a> Cloud<'a> {
    async fn open(target: &'a Target, state: &Path) -> Result<Self, Failure> {
        if !target.sim {
            // One for the whole process: it knows what was fetched, and for whom.
            return Ok(Self::Real(target, connect::provider_cache()));
        }
        let simulated = Simulated::start(state).await?;
        tracing::info!(
            "the simulator listens on http://{}; `POST /_sim/share` there makes drift",
            simulated.address()
        );
        Ok(Self::Simulated(Box::new(simulated)))
    }

    async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Real(..) => Ok(()),
            Self::Simulated(simulated) => simulated.stop().await,
        }
    }
}

impl Connect for Cloud<'_> {
    fn connect(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, String> {
        match self {
            Self::Real(target, provider_cache) => {
                Ok(connect::one(name, document, target, provider_cache))
            }
            Self::Simulated(simulated) => simulated
                .connection(name, document)
                .map_err(|error| error.to_string()),
        }
    }
}

/// What a daemon is put together from.
struct Parts<'a> {
    arguments: &'a RunArguments,
    directory: &'a Path,
    context: &'a Rc<ClientContext<System>>,
    cloud: &'a Cloud<'a>,
    origin: Origin,
}

/// Where the manifests come from; and what keeps the private copy of a repository to this process.
fn origin(arguments: &RunArguments, directory: &Path) -> Result<(Origin, Option<File>), Failure> {
    let watch = &arguments.watch;
    let Some(url) = &watch.git else {
        return Ok((Origin::Files(arguments.paths.paths.clone()), None));
    };
    let (home, lock) = private_copy(directory)?;
    let repository = Repository {
        url: url.clone(),
        reference: watch.reference.clone(),
        dir: watch.path.clone(),
        every: watch.git_interval,
        home,
    };
    Ok((Origin::Git(repository), Some(lock)))
}

/// A directory for the private copy that no other process uses: one that only observes may run beside this one, and at
/// another commit.
fn private_copy(directory: &Path) -> Result<(PathBuf, File), Failure> {
    /// Processes with one state directory.
    const COPIES_MAX: u32 = 16;
    let failure = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(format_args!(
            "cannot lock {}: {error}; check the rights of the state directory",
            path.display()
        ))
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| failure(directory, &error))?;
    for number in 0..COPIES_MAX {
        let name = match number {
            0 => "git".to_owned(),
            number => format!("git.{number}"),
        };
        let path = directory.join(format!("{name}.lock"));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let lock = lock.map_err(|error| failure(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => return Ok((directory.join(name), lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failure(&path, &error)),
        }
    }
    Err(Failure::new(format_args!(
        "{COPIES_MAX} other processes follow a repository with the state directory {}; give this one another `--state-dir`",
        directory.display()
    )))
}

/// Who hears and sees what the daemon does.
struct Seen {
    port: Option<Port>,
    outbox: WebhookSender,
    worker: DeliveryWorker,
}

impl<'a> Parts<'a> {
    async fn carry_out<W: PassRunner<System>>(
        &self,
        work: &W,
        on_load: impl Fn(&Generation),
        store: Option<&Store>,
        seen: Seen,
    ) -> Result<StopReason, Failure> {
        let arguments = self.arguments;
        let Seen {
            port,
            outbox,
            worker,
        } = seen;
        let publisher = self.publisher(outbox.clone());
        let is_new = store.is_some_and(Store::is_new);
        let new = state::describe_new(self.directory, arguments.guards.policy().prune);
        match new {
            Some(warning) if is_new => {
                tracing::warn!("{warning}");
                publisher.state_created();
            }
            // A daemon that is started anew after its state was removed should not go on without a word.
            None if is_new => {
                let directory = self.directory.display();
                tracing::info!(
                    "the state in {directory} is new: it knows no suspensions and no earlier shares"
                );
            }
            _ => {}
        }
        let (commands, queue) = mpsc::channel(QUEUE_MAX);
        let reload = Rc::new(Notify::new());
        let supervisor = Supervisor::of_environment();
        let orphans = RefCell::default();
        let on_load = |generation: &Generation| {
            on_load(generation);
            if let Cloud::Simulated(simulated) = self.cloud {
                simulated.add(&generation.desired);
            }
            warn_of_orphans(self.directory, arguments, generation, &orphans);
        };
        let settings = Settings {
            interval: arguments.interval,
            timeout: arguments.timeout,
            warn_before: arguments.show.warn_before,
            policy: arguments.guards.policy(),
            selector: arguments.narrow.selector(),
        };
        let stop = Stop::default();
        let context = Rc::clone(self.context);
        let daemon = Daemon::new(
            context,
            work,
            self.cloud,
            settings,
            Rc::clone(&publisher),
            &on_load,
        );
        let daemon = std::pin::pin!(daemon.run(queue, &stop));
        let mut beside: FuturesUnordered<LocalBoxFuture<'_, Failure>> = FuturesUnordered::new();
        beside.push(Box::pin(async {
            let error = signals::end_daemon(&stop).await;
            Failure::new(format_args!("cannot listen for signals: {error}"))
        }));
        beside.push(Box::pin(again(&reload, &supervisor)));
        beside.push(Box::pin(self.feed(
            &commands,
            Rc::clone(&reload),
            &supervisor,
        )));
        beside.push(Box::pin(async {
            worker.run(&self.context.host).await;
            Failure::new("the webhooks' courier has ended")
        }));
        if let Some(port) = port {
            let show = port::Shown::new(&publisher, self.context, outbox);
            beside.push(Box::pin(async move {
                port.serve(show).await;
                Failure::new("the status port has ended")
            }));
        }
        if let Some(store) = store {
            beside.push(Box::pin(look_after(store, self.context)));
        }
        beside.push(Box::pin(report_to(&supervisor, self.context, &publisher)));
        let ended = select(daemon, beside.next()).await;
        supervisor.stopping();
        match ended {
            Either::Left((reason, _)) => Ok(reason),
            // None of them ends but by a fault.
            Either::Right((failure, _)) => {
                Err(failure.unwrap_or_else(|| Failure::new("nothing is left to do")))
            }
        }
    }
}

impl Parts<'_> {
    fn publisher(&self, outbox: WebhookSender) -> Rc<StatusPublisher<System>> {
        let origin = self.origin.to_string();
        let observe_only = self.arguments.observe_only;
        let tell = move |told: &[_]| outbox.tell(told);
        StatusPublisher::new(Rc::clone(self.context), origin, observe_only, tell)
    }

    /// Hands what the manifests' source tells on to the daemon.
    async fn feed(
        &self,
        commands: &mpsc::Sender<Update>,
        reload: Rc<Notify>,
        supervisor: &Supervisor,
    ) -> Failure {
        let watch = &self.arguments.watch;
        let settings = source::Settings {
            origin: self.origin.clone(),
            partial_ok: self.arguments.working.partial_ok,
            debounce: watch.debounce,
            poll: watch.poll,
        };
        let (updates, mut arriving) = mpsc::channel::<Update>(1);
        let hand_on = std::pin::pin!(async {
            while let Some(update) = arriving.recv().await {
                let asked = matches!(update, Update::Asked);
                // The daemon ends before this does.
                let _ = commands.send(update).await;
                if asked {
                    supervisor.ready();
                }
            }
        });
        let ports = source::Ports {
            clock: SystemClock::start(),
            rng: SystemRng,
            programs: SystemCommandRunner,
            watch: SystemWatch::new(),
        };
        let feed = std::pin::pin!(source::feed(settings, ports, updates, reload));
        select(feed, hand_on).await;
        Failure::new("nobody watches the manifests any longer")
    }
}

/// SIGHUP: everything is read, and when that is done, looked at and tried again.
async fn again(reload: &Notify, supervisor: &Supervisor) -> Failure {
    let mut signal = match signals::hang_up() {
        Ok(signal) => signal,
        Err(error) => return Failure::new(format_args!("cannot listen for SIGHUP: {error}")),
    };
    loop {
        signal.recv().await;
        supervisor.reloading();
        reload.notify_one();
    }
}

/// Looks after the state while nothing is written, so that the port and the supervisor soon tell that it is lost.
async fn look_after(store: &Store, context: &ClientContext<System>) -> Failure {
    /// Between two looks.
    const EVERY: Duration = Duration::from_secs(10);
    loop {
        // The daemon hears from the store what does not pass.
        if let Err(error) = store.check().await {
            tracing::debug!(%error, "the state cannot be looked at");
        }
        let host = &context.host;
        host.sleep_until(host.monotonic() + EVERY).await;
    }
}

/// Tells systemd that the process lives, and where it stands.
async fn report_to(
    supervisor: &Supervisor,
    context: &ClientContext<System>,
    publisher: &StatusPublisher<System>,
) -> Failure {
    /// Between two lines of `systemctl status`.
    const STATUS_EVERY: Duration = Duration::from_secs(10);
    supervisor.ready();
    if !supervisor.is_there() {
        return std::future::pending().await;
    }
    let every = supervisor.watchdog().map_or(STATUS_EVERY, |watchdog| {
        // Twice in the time, as systemd asks for.
        STATUS_EVERY.min(watchdog / 2)
    });
    let mut told = String::new();
    loop {
        let (line, alive) = publisher.board(|board| (board.summary(), board.alive()));
        // Otherwise it is to be started anew, as `/healthz` says.
        if alive.is_ok() {
            supervisor.alive();
        }
        if line != told {
            supervisor.status(&line);
            told = line;
        }
        let host = &context.host;
        host.sleep_until(host.monotonic() + every).await;
    }
}

/// Images of ours in scopes that no manifest names any longer, told when they are others than before.
fn warn_of_orphans(
    directory: &Path,
    arguments: &RunArguments,
    generation: &Generation,
    told: &RefCell<Vec<(Scope, u64)>>,
) {
    // A file that was left out may name them.
    if !arguments.narrow.selector().is_all() || !generation.problems.is_empty() {
        return;
    }
    let named = |scope: &Scope| generation.desired.of(scope).next().is_some();
    let orphans = state::read(directory).and_then(|reader| state::orphans(&reader, named));
    match orphans {
        Ok(orphans) => {
            if let Some(warning) = state::describe_orphans(&orphans)
                && *told.borrow() != orphans
            {
                tracing::warn!("{warning}");
            }
            told.replace(orphans);
        }
        Err(failure) => tracing::warn!(
            "cannot look for images that no manifest names any longer: {}",
            failure.message
        ),
    }
}

//! `run`: the daemon, joined to the manifests' source, the API, the state, the status port and webhooks. The work is
//! done in `daemon`; the tasks beside it are in `tasks`.

mod daemon;
mod summary;
mod tasks;
mod told;

use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use super::api_target::ApiTarget;
use super::args::{Common, OutputFormat, RunArguments};
use super::output::{self, Failure};
use super::signals::SignalListener;
use super::{session, shutdown, sim_target, state, status_server};
use crate::daemon::{Observer, Reconciler};
use crate::engine::StopReason;
use crate::model::Scope;
use crate::plan::Policy;
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::source::{CopyHome, Generation, Origin, Repository};
use crate::webhooks::{self, Webhooks};
use daemon::{DaemonSetup, Services};

/// The document that `run -o json` prints at its end.
#[derive(Serialize)]
struct RunDocument {
    format_version: u32,
    exit_code: ExitStatus,
    stopped_by: &'static str,
}

pub(super) async fn run(
    arguments: &RunArguments,
    common: &Common,
    signals: &SignalListener,
) -> Result<ExitStatus, Failure> {
    arguments.check(common)?;
    let policy = policy(arguments, common)?;
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let context = session::client_context()?;
    let webhooks = match &arguments.reporting.notify {
        Some(file) => Webhooks::load(file).map_err(|error| Failure::from_error(&error))?,
        None => Webhooks::default(),
    };
    let api = ApiTarget::open(&arguments.target, &directory, true).await?;
    if let Some(address) = api.sim_address() {
        tracing::info!(
            "the simulator listens on http://{address}; `POST /_sim/share` there causes drift"
        );
    }
    // The lock is held for as long as the process lives.
    let (origin, _home) = origin(arguments, &directory)?;
    let (webhook_sender, delivery_worker) = webhooks::channel(webhooks);
    let setup = DaemonSetup {
        arguments,
        policy: &policy,
        directory: &directory,
        state_base: state::base(common)?,
        context: &context,
        api: &api,
        origin,
        webhook_sender,
        signals,
    };
    let services = Services {
        port: status_server::bind(&arguments.reporting)?,
        delivery_worker,
    };
    let stopped = if arguments.observe_only {
        let ledger = state::read(&directory)?;
        let work = Observer { ledger: &ledger };
        setup.run(&work, |_| {}, None, services).await
    } else {
        let clock = Rc::clone(&context);
        let max = arguments.working.history_max;
        shutdown::now_waits_for("the state to be opened; another process may have locked it");
        let store = state::open(&directory, "run", None, max, move || clock.present())?;
        let work = Reconciler { ledger: &store };
        let on_load = |generation: &Generation| store.set_commit(generation.commit.clone());
        let stopped = setup.run(&work, on_load, Some(&store), services).await;
        shutdown::now_waits_for("the state to be closed; another process may have locked it");
        state::close(store);
        stopped
    };
    shutdown::now_waits_for("the simulator to end");
    api.close().await?;
    let (exit, stopped_by) = match stopped? {
        StopReason::Interrupted => (ExitStatus::Interrupted, "SIGINT"),
        _ => (ExitStatus::Terminated, "SIGTERM"),
    };
    if common.output == OutputFormat::Json {
        let document = RunDocument {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            stopped_by,
        };
        output::print(common.output, &document, "")?;
    }
    Ok(exit)
}

/// The guards. While the daemon runs, manifests may add accounts and regions, so only the flags decide which ones are
/// worked on.
fn policy(arguments: &RunArguments, common: &Common) -> Result<Policy, Failure> {
    let selector = arguments.selection.selector();
    let accounts = selector.accounts.iter();
    let scopes = accounts.flat_map(|account| {
        let regions = selector.regions.iter();
        regions.map(|&region| Scope {
            account: account.clone(),
            region,
        })
    });
    let scopes: Vec<_> = scopes.collect();
    arguments
        .guards
        .policy(common, &scopes.iter().collect::<Vec<_>>())
}

/// The source of the manifests. For a git repository, also the locked directory of its private copy.
fn origin(
    arguments: &RunArguments,
    directory: &Path,
) -> Result<(Origin, Option<CopyHome>), Failure> {
    let source = &arguments.source;
    let Some(url) = &source.git else {
        return Ok((Origin::Files(arguments.paths.paths.clone()), None));
    };
    let home = CopyHome::lock(directory).map_err(Failure::new)?;
    let repository = Repository {
        url: url.clone(),
        reference: source.reference.clone(),
        dir: source.path.clone(),
        every: source.git_interval,
        timeout: source.git_timeout,
        home: home.path().to_owned(),
    };
    Ok((Origin::Git(repository), Some(home)))
}

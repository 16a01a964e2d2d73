use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::args::{Common, PlanArguments};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::work::Work;
use super::{connect, simulated, state};
use crate::api::wire::Action;
use crate::api::{ReadClient, Shared};
use crate::engine::{self, ScopeOutcome};
use crate::host::Host;
use crate::model::AccountName;
use crate::plan::{Budget, SavedPlan, ScopeCost, budget};
use crate::report::PlanDocument;
use crate::store::Reader;

/// `plan`. Built with clients and a state that have no way to write.
pub(super) async fn run(
    arguments: &PlanArguments,
    work: &Work,
    common: &Common,
) -> Result<u8, Failure> {
    work.warn_of_nothing();
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let reader = state::read(&directory)?;
    let accounts = connect::accounts(&work.desired, &work.selector);
    let mut session =
        Session::open(&arguments.target, &directory, &work.desired, &accounts).await?;
    let shared = session::shared()?;
    let clients = session.clients(&shared).await?;
    let scopes = engine::preview(&clients, &reader, &work.task(None)).await;
    let budget = cost(&scopes, &clients, &shared);
    session.close().await?;
    let mut document = PlanDocument::new(&scopes, budget, arguments.detailed_exitcode);
    let new = state::describe_new(&directory, work.policy.prune).filter(|_| reader.is_new());
    if let Some(warning) = new {
        document.state_is_new(warning);
    }
    document.warn(work.orphans(&reader)?);
    document.warn(older(work, &reader)?);
    for warning in document.warnings() {
        output::warn(warning);
    }
    if let Some(file) = &arguments.out {
        if document.is_complete() {
            save(file, arguments, work, &scopes)?;
        } else {
            output::warn("the plan was not saved: a part of it could not be made");
        }
    }
    output::print(common.output, &document, document.text())?;
    Ok(document.exit_code())
}

/// A warning that `reconcile` would refuse the manifests.
fn older(work: &Work, reader: &Reader) -> Result<Option<String>, Failure> {
    let Some(commit) = work.clean_commit() else {
        return Ok(None);
    };
    let newest = reader.newest().map_err(Failure::new)?;
    let newer = newest.filter(|newest| commit.is_older_than(&newest.commit));
    Ok(newer.map(|newest| {
        format!(
            "`reconcile` would refuse these manifests, without `--allow-older-commit`: they are of commit {commit}, and commit {}, \
             which is newer, has been worked on since {}",
            newest.commit,
            newest.since.format("%Y-%m-%dT%H:%M:%SZ")
        )
    }))
}

/// Writes the plan to a file, whole or not at all.
fn save(
    file: &Path,
    arguments: &PlanArguments,
    work: &Work,
    scopes: &[ScopeOutcome],
) -> Result<(), Failure> {
    let plans = scopes.iter().map(|scope| &scope.plan);
    let saved = SavedPlan::new(
        plans,
        &work.selector,
        &work.policy,
        work.uins(),
        work.commit(),
        state::now(),
    );
    put(file, &saved.text()).map_err(|error| {
        Failure::new(format_args!(
            "cannot save the plan to {}: {error}",
            file.display()
        ))
    })?;
    let paths = arguments.paths.paths.iter();
    let paths: String = paths.map(|path| format!(" {}", path.display())).collect();
    output::note(format_args!(
        "saved: `sharekeeper reconcile{paths} --plan {}{}` does exactly this, or refuses if anything has moved",
        file.display(),
        if arguments.target.sim { " --sim" } else { "" },
    ));
    Ok(())
}

/// A file is replaced whole or not at all. What is no file, such as `/dev/stdout`, is written to.
fn put(file: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return fs::write(file, text);
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, file))
        .inspect_err(|_| {
            // The error that led here is the one to tell.
            let _ = fs::remove_file(&beside);
        })
}

fn cost<H: Host>(
    scopes: &[ScopeOutcome],
    accounts: &BTreeMap<AccountName, ReadClient<H>>,
    shared: &Shared<H>,
) -> Budget {
    let costs = scopes.iter().filter_map(|outcome| {
        let scope = &outcome.plan.scope;
        let client = accounts.get(&scope.account)?;
        let bucket = client.bucket(Action::ModifyImageSharePermission, scope.region);
        let bucket = (bucket.secret_id.to_string(), bucket.host.to_string());
        Some(ScopeCost {
            plan: &outcome.plan,
            bucket,
            rate: client.rate(),
        })
    });
    budget(
        &costs.collect::<Vec<_>>(),
        shared.calls.reads.get(),
        shared.calls.listings.get(),
    )
}

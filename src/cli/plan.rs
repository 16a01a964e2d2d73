use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::args::{Common, PlanArguments};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::work::Work;
use super::{commit, connect, saved, simulated, state};
use crate::api::protocol::wire::Action;
use crate::api::{ClientContext, ReadClient};
use crate::engine::{self, ScopeOutcome};
use crate::host::Host;
use crate::model::{AccountName, Scope};
use crate::plan::{Budget, PlanKey, Policy, SavedPlan, ScopeCost, budget};
use crate::report::PlanDocument;

/// `plan`. Built with clients and a state that have no way to write.
pub(super) async fn run(
    arguments: &PlanArguments,
    work: &Work,
    common: &Common,
) -> Result<u8, Failure> {
    work.warn_of_nothing();
    let key = match (&arguments.out, &arguments.plan_key_file) {
        (Some(_), Some(file)) => Some(saved::key(file)?),
        _ => None,
    };
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let reader = state::read(&directory)?;
    let reached = connect::accounts(&work.desired, &work.selector);
    let mut session = Session::open(
        &arguments.target,
        &directory,
        &work.desired,
        &reached.accounts,
    )
    .await?;
    let context = session::context()?;
    let clients = session
        .clients(&context, |name| reached.worked_on.contains(name))
        .await?;
    let scopes = engine::preview(&clients, &reader, &work.task(None)).await;
    let budget = cost(&scopes, &clients, &context);
    session.close().await?;
    let mut document = PlanDocument::new(&scopes, budget, arguments.detailed_exitcode);
    let new = state::describe_new(&directory, work.policy.prune).filter(|_| reader.is_new());
    if let Some(warning) = new {
        document.state_is_new(warning);
    }
    document.warn(work.orphans(&reader, &taken_over(&scopes))?);
    let newest = reader.newest().map_err(Failure::new)?;
    let standing = commit::standing(&work.revision, newest).await;
    let forecast = standing.forecast();
    document.warn(forecast.map(|forecast| standing.with_remedy(forecast)));
    for warning in document.warnings() {
        output::warn(warning);
    }
    document.warn(work.doubt());
    for warning in output::clock_warnings(&context) {
        document.warn(Some(warning));
    }
    if let Some(file) = &arguments.out {
        if document.is_complete() {
            save(file, key.as_ref(), arguments, work, &scopes)?;
        } else {
            output::warn("the plan was not saved: a part of it could not be made");
        }
    }
    output::print(common.output, &document, document.text())?;
    Ok(document.exit_code())
}

/// The scopes of the state whose images go over to another account name.
fn taken_over(scopes: &[ScopeOutcome]) -> BTreeSet<Scope> {
    let plans = scopes.iter().map(|scope| &scope.plan);
    let taken = plans.flat_map(|plan| {
        plan.taken_over.iter().map(|account| Scope {
            account: account.clone(),
            region: plan.scope.region,
        })
    });
    taken.collect()
}

/// Writes the plan to a file, whole or not at all.
fn save(
    file: &Path,
    key: Option<&PlanKey>,
    arguments: &PlanArguments,
    work: &Work,
    scopes: &[ScopeOutcome],
) -> Result<(), Failure> {
    let plans = scopes.iter().map(|scope| &scope.plan);
    let mut saved = SavedPlan::new(
        plans,
        &work.selector,
        &work.policy,
        work.uins(),
        work.commit(),
        state::now(),
    );
    if let Some(key) = key {
        saved.sign(key);
    }
    let text = saved.text();
    saved::fits(&text)
        .and_then(|()| put(file, &text))
        .map_err(|error| {
            Failure::new(format_args!(
                "cannot save the plan to {}: {error}",
                file.display()
            ))
        })?;
    let widens = !work.policy.exceeds(&Policy::DEFAULT).is_empty();
    output::note(format_args!(
        "saved: `{}` does exactly this, or refuses if anything has moved{}",
        saved::command(file, arguments, work),
        match widens {
            true => " or these flags are not repeated",
            false => "",
        }
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
    context: &ClientContext<H>,
) -> Budget {
    let costs = scopes.iter().filter_map(|outcome| {
        let scope = &outcome.plan.scope;
        let client = accounts.get(&scope.account)?;
        let bucket = client.bucket(Action::ModifyImageSharePermission, scope.region);
        let bucket = (bucket.caller.to_string(), bucket.host.to_string());
        Some(ScopeCost {
            plan: &outcome.plan,
            bucket,
            rate: client.rate(),
        })
    });
    budget(
        &costs.collect::<Vec<_>>(),
        context.calls.reads.get(),
        context.calls.listings.get(),
    )
}

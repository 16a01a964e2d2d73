//! `plan`: shows what `reconcile` would do, and can save it. Its clients and its state cannot write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::args::{Common, OutputFormat, PlanArguments};
use super::context::CommandContext;
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{accounts, commit, saved_plan, sim_target, state};
use crate::api::protocol::wire::Action;
use crate::api::{ClientContext, ReadClient};
use crate::engine::{self, ScopeOutcome};
use crate::host::Host;
use crate::ledger::LedgerReader;
use crate::model::{AccountName, Scope};
use crate::plan::{Budget, PlanKey, Policy, SavedPlan, ScopeCost, budget};
use crate::report::{ExitStatus, PlanDocument, PlanShown};

pub(super) async fn run(arguments: &PlanArguments, common: &Common) -> Result<ExitStatus, Failure> {
    let (paths, selection) = (&arguments.paths, &arguments.selection);
    let context = CommandContext::load(paths, selection, &arguments.guards, false, common).await?;
    let key = match (&arguments.out, &arguments.plan_key_file) {
        (Some(_), Some(file)) => Some(saved_plan::key(file)?),
        _ => None,
    };
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let reader = state::read(&directory)?;
    let nothing = context
        .check_selection(&reader, arguments.require_match)
        .await?;
    let accounts = accounts::selected(&context.desired, &context.selector);
    let (target, documents) = (&arguments.target, &accounts.documents);
    let mut session = Session::open(target, &directory, &context.desired, documents).await?;
    let client_context = session::client_context()?;
    let clients = session
        .clients(&client_context, |name| accounts.worked_on.contains(name))
        .await?;
    let scopes = engine::preview(&clients, &reader, &context.task(None)).await;
    let budget = cost(&scopes, &clients, &client_context);
    session.close().await?;
    let mut document = PlanDocument::new(
        &scopes,
        &context.selector,
        budget,
        PlanShown {
            detailed_exitcode: arguments.detailed_exitcode,
            unmanaged: arguments.unmanaged,
        },
    );
    document.warn(nothing);
    let new_state = state::new_state_warning(&directory, context.policy.prune);
    if let Some(warning) = new_state.filter(|_| reader.is_new()) {
        document.state_is_new(warning);
    }
    document.warn(context.orphan_warning(&reader, &taken_over(&scopes))?);
    let suspensions = reader.suspensions().await.map_err(Failure::new)?;
    let (holds, lines) = context.holds(&suspensions, &client_context, &scopes);
    document.hold(holds);
    lines.into_iter().for_each(|line| document.warn(Some(line)));
    let newest = reader.newest().map_err(Failure::new)?;
    let standing = commit::standing(&context.revision, newest).await;
    let forecast = standing.forecast();
    document.warn(forecast.map(|forecast| standing.with_remedy(forecast)));
    let shows_text = matches!(common.output, OutputFormat::Text);
    for warning in document.warnings(shows_text) {
        output::warn(warning);
    }
    document.warn(context.completeness_warning());
    for warning in output::clock_warnings(&client_context) {
        document.warn(Some(warning));
    }
    if let Some(file) = &arguments.out {
        if document.is_complete() {
            save(file, key.as_ref(), (arguments, common), &context, &scopes)?;
        } else {
            output::warn("the plan was not saved because a part of it could not be made");
        }
    }
    output::print(common.output, &document, document.text())?;
    Ok(document.exit_status())
}

/// The scopes of the state whose images move to another account name.
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

/// Writes the plan to a file, signed if there is a key, and prints the command that executes it.
fn save(
    file: &Path,
    key: Option<&PlanKey>,
    (arguments, common): (&PlanArguments, &Common),
    context: &CommandContext,
    scopes: &[ScopeOutcome],
) -> Result<(), Failure> {
    let plans = scopes.iter().map(|scope| &scope.plan);
    let mut saved = SavedPlan::new(
        plans,
        &context.selector,
        &context.policy,
        context.uins(),
        context.commit(),
        state::now(),
    );
    if let Some(key) = key {
        saved.sign(key);
    }
    let text = saved.text();
    saved_plan::fits(&text)
        .and_then(|()| replace(file, &text))
        .map_err(|error| {
            Failure::new(format_args!(
                "cannot save the plan to {}: {error}",
                file.display()
            ))
        })?;
    let widens = !context.policy.exceeds(&Policy::DEFAULT).is_empty();
    output::note(format_args!(
        "saved: `{}` does exactly this, or refuses if anything has changed{}",
        saved_plan::command(file, arguments, common, context),
        match widens {
            true => " or these flags are not repeated",
            false => "",
        }
    ));
    Ok(())
}

/// Replaces a file atomically. Anything but a file, such as `/dev/stdout`, is written to directly.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return fs::write(file, text);
    }
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, file))
        .inspect_err(|_| {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&temporary);
        })
}

/// The calls that the plan costs. Accounts with one key share a bucket at each access point.
fn cost<H: Host>(
    scopes: &[ScopeOutcome],
    clients: &BTreeMap<AccountName, ReadClient<H>>,
    client_context: &ClientContext<H>,
) -> Budget {
    let costs = scopes.iter().filter_map(|outcome| {
        let scope = &outcome.plan.scope;
        let client = clients.get(&scope.account)?;
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
        client_context.calls.reads.get(),
        client_context.calls.listings.get(),
    )
}

use std::collections::BTreeMap;
use std::rc::Rc;

use super::args::{Output, PlanArguments};
use super::output::{self, Failure};
use super::session::{self, Session};
use crate::api::wire::Action;
use crate::api::{ReadClient, Shared};
use crate::desired::Desired;
use crate::engine::{self, ScopeOutcome};
use crate::host::Host;
use crate::model::AccountName;
use crate::plan::{Budget, ScopeCost, budget};
use crate::report::PlanDocument;

/// `plan`. Built with clients that have no way to write.
pub(super) async fn run(
    arguments: &PlanArguments,
    desired: &Desired,
    mut session: Session,
    output: Output,
) -> Result<u8, Failure> {
    let shared = session::shared()?;
    let connections = std::mem::take(&mut session.connections).into_iter();
    let accounts: BTreeMap<_, _> = connections
        .map(|(name, connection)| (name, ReadClient::new(Rc::clone(&shared), connection)))
        .collect();
    let scopes = engine::preview(&accounts, desired).await;
    let budget = cost(&scopes, &accounts, &shared);
    session.close().await?;
    let document = PlanDocument::new(&scopes, budget, arguments.detailed_exitcode);
    for warning in document.warnings() {
        output::warn(warning);
    }
    output::print(output, &document, document.text())?;
    Ok(document.exit_code())
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

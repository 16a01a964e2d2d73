//! Names that match no image, or several, and policies that are held: a person must act.

use serde::Serialize;

use super::names::NameColumn;
use super::place;
use super::style::Sign;
use crate::plan::Plan;
use crate::resolve::UnresolvedName;
use crate::words::safe;

/// Why a policy makes no change in a scope.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PolicyHold {
    policy: String,
    account: String,
    region: &'static str,
    reason: String,
}

/// The policies of a plan that are held.
pub(super) fn policy_holds(plan: &Plan) -> impl Iterator<Item = PolicyHold> {
    let holds = plan.policy_holds.iter();
    holds.map(|(policy, reason)| PolicyHold {
        policy: policy.to_string(),
        account: plan.scope.account.to_string(),
        region: plan.scope.region.as_str(),
        reason: reason.to_string(),
    })
}

impl PolicyHold {
    /// One line for a person.
    pub(super) fn line(&self) -> String {
        Sign::Withheld.paint(safe(&self.reason))
    }
}

/// One line about the name, for a person, in the column of the images' labels.
pub(super) fn line(column: NameColumn, unresolved: &UnresolvedName) -> String {
    let UnresolvedName { name, problem, .. } = unresolved;
    let name = Sign::Blocked.paint(column.label_without_id(name.as_str()));
    let place = place(Some(&unresolved.entry.source));
    format!("{name}  {}  {place}", safe(problem))
}

//! Points of a scope that a person must settle and that belong to no single image: names that match no image or several,
//! and policies that are held.

use crate::desired::Source;
use crate::model::Timestamp;
use crate::plan::Plan;
use crate::resolve::NameProblem;

/// A point that a person must settle in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// Name of an image, or of a policy.
    pub subject: String,
    /// One line for a person, with the remedy.
    pub message: String,
    /// Manifest entry with the name; `None` for a policy.
    pub source: Option<Source>,
    /// Time when it was first found.
    pub since: Timestamp,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The name in an entry matches no image, or several.
    UnresolvedName,
    /// A policy does nothing until a person settles something.
    PolicyHold,
}

impl FindingKind {
    /// The word in JSON documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnresolvedName => "unresolved_name",
            Self::PolicyHold => "policy_hold",
        }
    }

    /// The kind of the subject, for people.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::UnresolvedName => "name",
            Self::PolicyHold => "policy",
        }
    }
}

impl Finding {
    /// Whether both findings are equal, apart from their times.
    pub fn is_same(&self, other: &Self) -> bool {
        let content = |finding: &Self| {
            (
                finding.kind,
                finding.subject.clone(),
                finding.message.clone(),
            )
        };
        content(self) == content(other)
    }
}

/// The findings of a plan. A finding that is also in `before` keeps its time.
pub(super) fn of_plan(plan: &Plan, before: &[Finding], now: Timestamp) -> Vec<Finding> {
    let unresolved = plan.unresolved.iter();
    let names = unresolved.filter(|name| name.kind != NameProblem::NotSeen);
    let names = names.map(|name| Finding {
        kind: FindingKind::UnresolvedName,
        subject: name.name.to_string(),
        message: name.problem.clone(),
        source: Some(name.entry.source.clone()),
        since: now,
    });
    let holds = plan.policy_holds.iter().map(|(policy, why)| Finding {
        kind: FindingKind::PolicyHold,
        subject: policy.to_string(),
        message: why.to_string(),
        source: None,
        since: now,
    });
    let mut findings: Vec<_> = names.chain(holds).collect();
    for finding in &mut findings {
        let of =
            |other: &&Finding| (other.kind, &other.subject) == (finding.kind, &finding.subject);
        if let Some(known) = before.iter().find(of) {
            finding.since = known.since;
        }
    }
    findings
}

//! What a person must settle in a scope and that no single image stands for: names that mean no image, or several, and
//! policies that hold still.

use crate::desired::Source;
use crate::model::Timestamp;
use crate::plan::Plan;
use crate::resolve::NameProblem;

/// Something that a person must settle in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// The name of an image, or of a policy.
    pub subject: String,
    /// One line for a person, with the remedy.
    pub message: String,
    /// The entry; `None` for a policy.
    pub source: Option<Source>,
    /// When it was first found.
    pub since: Timestamp,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// An entry's name that means no image, or several.
    UnresolvedName,
    /// A policy that does nothing until something is settled.
    PolicyHold,
}

impl FindingKind {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnresolvedName => "unresolved_name",
            Self::PolicyHold => "policy_hold",
        }
    }

    /// What the subject is, for people.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::UnresolvedName => "name",
            Self::PolicyHold => "policy",
        }
    }
}

impl Finding {
    /// Whether both say the same, whenever they were found.
    pub fn is_same(&self, other: &Self) -> bool {
        let said = |finding: &Self| {
            (
                finding.kind,
                finding.subject.clone(),
                finding.message.clone(),
            )
        };
        said(self) == said(other)
    }
}

/// What the plan finds. What was found `before` keeps its time.
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

//! A plan in a file: exactly what was reviewed is carried out, or nothing is.
//!
//! It holds the actions, with the policy and selection that they were made with, and no secret. Anybody may have written
//! the file, so it allows nothing by itself. When it is carried out, the plan is made again, and unless the new plan has
//! exactly the same actions, the saved one is stale. The command line limits what may be done: a plan that was made with
//! wider bounds is refused as a whole ([`SavedPlan::policy_within`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    AcceptedLosses, ApprovedActions, Bound, BoundOrigin, CapOrigins, Decision, Plan, PlanKey,
    Policy, Prune, Verdict,
};
use crate::history::SourceLocation;
use crate::model::{AccountName, Cause, ImageId, ImageKey, Permission, Scope, Selector, Timestamp};
use crate::resolve::ResolvedVerdict;
use crate::words::brief;

/// Why a call that no document mentions is no longer made.
const NOBODY_ASKS: &str = "no manifest asks for it";

/// The value of `kind` in the file.
const KIND: &str = "sharekeeper-plan";
/// The version of the file's format.
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    kind: String,
    format_version: u32,
    /// Time at which the plan was made.
    pub made_at: Timestamp,
    /// Name and version of the program that made it.
    pub made_by: String,
    /// The git commit of the manifests.
    pub commit: Option<String>,
    /// The part of the manifests that the plan covers.
    pub selector: Selector,
    /// The bounds that the plan was made with.
    pub policy: SavedPolicy,
    /// The `uin` of each account whose document gives one.
    pub uins: BTreeMap<AccountName, String>,
    /// All planned actions, in order, including those that wait for a window or for the end of a suspension.
    pub actions: Vec<SavedAction>,
    /// A digest of everything above, so that a truncated or edited file is noticed. Anybody can compute it again.
    digest: String,
    /// A MAC of the same bytes. Nobody can compute it without the [`PlanKey`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

/// [`Policy`] in the form of the file. Only the check against the command line turns it into a [`Policy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPolicy {
    prune: Prune,
    max_cancels: u32,
    max_cancels_percent: u32,
    /// Accepted losses by scope, as `ACCOUNT/REGION`.
    #[serde(with = "by_scope")]
    accept_lost: AcceptedLosses,
}

/// A JSON object needs strings as keys.
mod by_scope {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::AcceptedLosses;
    use crate::model::Scope;

    pub(super) fn serialize<S: Serializer>(
        losses: &AcceptedLosses,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(losses.iter().map(|(scope, lost)| (scope.to_string(), lost)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<AcceptedLosses, D::Error> {
        let map = BTreeMap::<String, u32>::deserialize(deserializer)?;
        let scope = |text: &str| {
            Scope::parse(text).ok_or_else(|| D::Error::custom("a key is not `ACCOUNT/REGION`"))
        };
        map.iter()
            .map(|(text, lost)| Ok((scope(text)?, *lost)))
            .collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAction {
    #[serde(flatten)]
    pub key: ImageKey,
    pub action: Permission,
    pub cause: Cause,
    /// The manifest line that asks for the action.
    pub source: Option<SourceLocation>,
}

/// Why a file is not a saved plan that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedPlanError {
    /// The file is not JSON of this form.
    #[error("it is not a saved plan: {0}; make one with `sharekeeper plan --out FILE`")]
    Form(String),
    /// The file has a version that this program does not know.
    #[error(
        "its format version is {0}, but this version of sharekeeper knows {VERSION}; make the plan again"
    )]
    Version(u32),
    #[error("it was changed after it was made (its digest does not match); make the plan again")]
    Digest,
    /// It has two actions for one image, and nobody can know which one is meant.
    #[error("it has more than one action for {0}; make the plan again")]
    Twice(ImageKey),
    /// A key was given, but the file has no MAC to verify.
    #[error(
        "it has no MAC, so its author cannot be verified; make it with `sharekeeper plan --out FILE --plan-key-file FILE`"
    )]
    Unsigned,
    /// The MAC does not match the given key.
    #[error(
        "its MAC was not made with this key: somebody else made or changed it, or the key differs; do not use it, and make the plan again"
    )]
    Mac,
}

/// A saved plan was made with wider bounds than the command line allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it needs more than this command line allows ({}), so nothing was done; check the plan, and if all of it is intended, repeat: {}",
    list(.0.iter().map(|(_, allowed)| allowed), ", "),
    list(.0.iter().map(|(needed, _)| needed), " ")
)]
pub struct BoundsExceeded(pub Vec<(Bound, Bound)>);

/// One difference between a saved plan and a new plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanDifference {
    #[serde(flatten)]
    pub key: ImageKey,
    /// Action in the saved plan.
    pub planned: Option<Permission>,
    /// Action in the new plan.
    pub now: Option<Permission>,
    /// Why nothing would be done now, if that is so.
    pub reason: Option<String>,
}

impl SavedPlan {
    /// Collects the actions of `plans`.
    pub fn new<'a>(
        plans: impl IntoIterator<Item = &'a Plan>,
        selector: &Selector,
        policy: &Policy,
        uins: BTreeMap<AccountName, String>,
        commit: Option<String>,
        made_at: Timestamp,
    ) -> Self {
        let actions = plans.into_iter().flat_map(|plan| {
            let intended = plan
                .decisions
                .iter()
                .filter(|(_, d)| d.verdict.is_intended());
            intended.map(|(image, decision)| SavedAction {
                key: key(&plan.scope, image),
                action: Permission::towards(decision.desired),
                cause: decision.cause,
                source: decision.source.as_ref().map(SourceLocation::from),
            })
        });
        let mut saved = Self {
            kind: KIND.into(),
            format_version: VERSION,
            made_at,
            made_by: concat!("sharekeeper ", env!("CARGO_PKG_VERSION")).into(),
            commit,
            selector: selector.clone(),
            policy: SavedPolicy {
                prune: policy.prune,
                max_cancels: policy.max_cancels,
                max_cancels_percent: policy.max_cancels_percent,
                accept_lost: policy.accept_lost,
            },
            uins,
            actions: actions.collect(),
            digest: String::new(),
            mac: None,
        };
        saved.digest = saved.digest();
        saved
    }

    /// Adds the proof that it was made by somebody who has the key.
    pub fn sign(&mut self, key: &PlanKey) {
        self.mac = Some(key.sign(&self.bytes()));
    }

    /// Whether it has a MAC. This does not verify it.
    pub fn is_signed(&self) -> bool {
        self.mac.is_some()
    }

    /// Fails unless the plan was made by somebody who has the key.
    pub fn verify(&self, key: &PlanKey) -> Result<(), SavedPlanError> {
        let mac = self.mac.as_ref().ok_or(SavedPlanError::Unsigned)?;
        match key.verifies(&self.bytes(), mac) {
            true => Ok(()),
            false => Err(SavedPlanError::Mac),
        }
    }

    /// Parses a file's text.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            format_version: u32,
        }
        // The error may quote the file.
        let form = |error: serde_json::Error| SavedPlanError::Form(brief(&error.to_string()));
        let head: Head = serde_json::from_str(text).map_err(form)?;
        if head.kind != KIND {
            return Err(SavedPlanError::Form(format!("`kind` is not `{KIND}`")));
        }
        if head.format_version != VERSION {
            return Err(SavedPlanError::Version(head.format_version));
        }
        let saved: Self = serde_json::from_str(text).map_err(form)?;
        if saved.digest != saved.digest() {
            return Err(SavedPlanError::Digest);
        }
        if saved.policy.max_cancels_percent > 100 {
            let what = "`max_cancels_percent` is more than 100";
            return Err(SavedPlanError::Form(what.into()));
        }
        let mut keys = BTreeSet::new();
        let mut actions = saved.actions.iter();
        if let Some(twice) = actions.find(|action| !keys.insert(&action.key)) {
            return Err(SavedPlanError::Twice(twice.key.clone()));
        }
        Ok(saved)
    }

    /// The file's content, with a newline at the end.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        format!("{}\n", text.unwrap_or_default())
    }

    /// The bounds for carrying it out, where `allowed` are the bounds of the command line. The plan is refused if it was
    /// made with any wider bound, whether or not its actions need it, because a plan needs the bounds that it was made
    /// with. Otherwise each bound is the stricter of the two.
    pub fn policy_within(&self, allowed: &Policy) -> Result<Policy, BoundsExceeded> {
        let own = Policy {
            prune: self.policy.prune,
            max_cancels: self.policy.max_cancels,
            max_cancels_percent: self.policy.max_cancels_percent,
            accept_lost: self.policy.accept_lost,
            cap_origins: CapOrigins {
                count: BoundOrigin::SavedPlan,
                percent: BoundOrigin::SavedPlan,
            },
            trust_acknowledged: allowed.trust_acknowledged,
            ..Policy::DEFAULT
        };
        let exceeding = own.exceeds(allowed);
        match exceeding.is_empty() {
            true => Ok(own.stricter(allowed)),
            false => Err(BoundsExceeded(exceeding)),
        }
    }

    /// The first account with an action whose `uin` differs between `uins` and the saved plan, with its saved value.
    pub fn other_uin(
        &self,
        uins: &BTreeMap<AccountName, String>,
    ) -> Option<(&AccountName, Option<&String>)> {
        let mut accounts = self.actions.iter().map(|action| &action.key.scope.account);
        let other = accounts.find(|&name| self.uins.get(name) != uins.get(name))?;
        Some((other, self.uins.get(other)))
    }

    /// The allowed actions, by scope.
    pub fn approved_by_scope(&self) -> BTreeMap<Scope, ApprovedActions> {
        let mut approved_by_scope: BTreeMap<_, ApprovedActions> = BTreeMap::new();
        for action in &self.actions {
            approved_by_scope
                .entry(action.key.scope.clone())
                .or_default()
                .insert(action.key.image.clone(), action.action);
        }
        approved_by_scope
    }

    /// The differences between this plan and the plans that would be made now; if there are none, it may be carried out.
    /// An image that is already in its planned state is no difference, so that a killed run can be repeated.
    pub fn differences<'a>(&self, now: impl IntoIterator<Item = &'a Plan>) -> Vec<PlanDifference> {
        let mut planned: BTreeMap<_, _> = self
            .actions
            .iter()
            .map(|action| (&action.key, action))
            .collect();
        let mut differences = Vec::new();
        let mut plans: BTreeMap<&Scope, &Plan> = BTreeMap::new();
        for plan in now {
            plans.insert(&plan.scope, plan);
            // An image that was due for pruning and is gone has been pruned.
            planned.retain(|key, action| {
                let done = action.action == Permission::Cancel
                    && key.scope == plan.scope
                    && plan.is_gone(&key.image);
                !done
            });
            for (image, decision) in &plan.decisions {
                let key = key(&plan.scope, image);
                let planned = planned.remove(&key);
                let permission = Permission::towards(decision.desired);
                let intended = decision.verdict.is_intended();
                let as_planned = match planned {
                    // It is not known either whether it differs. The run withholds it and continues with the rest.
                    _ if decision.verdict.is_unsettled() => true,
                    Some(action) => {
                        action.action == permission
                            && (intended && action.cause == decision.cause
                                || decision.verdict == Verdict::InSync)
                    }
                    None => !intended,
                };
                if !as_planned {
                    differences.push(PlanDifference {
                        key,
                        planned: planned.map(|action| action.action),
                        now: intended.then_some(permission),
                        reason: Some(
                            decision
                                .verdict
                                .why_not()
                                .unwrap_or_else(|| asked_by(plan, image, decision)),
                        ),
                    });
                }
            }
        }
        differences.extend(planned.into_values().map(|action| PlanDifference {
            key: action.key.clone(),
            planned: Some(action.action),
            now: None,
            reason: Some(plans.get(&action.key.scope).map_or_else(
                || NOBODY_ASKS.to_owned(),
                |plan| unasked(plan, &action.key.image),
            )),
        }));
        differences.sort_by(|a, b| a.key.cmp(&b.key));
        differences
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(self.bytes())))
    }

    /// The bytes that the digest and the MAC cover.
    fn bytes(&self) -> Vec<u8> {
        let bare = Self {
            digest: String::new(),
            mac: None,
            ..self.clone()
        };
        serde_json::to_vec(&bare).unwrap_or_default()
    }
}

/// The cause of a call as text, with the policy that asks for it.
fn asked_by(plan: &Plan, image: &ImageId, decision: &Decision) -> String {
    let resolved = plan.resolution.images.get(image);
    let document = decision.entry.as_ref().map(|entry| &entry.document.name);
    match (decision.cause, resolved, document) {
        (Cause::Policy | Cause::Retention | Cause::Revoked, Some(resolved), Some(policy)) => {
            format!("{} by policy `{policy}`", resolved.verdict.word())
        }
        (Cause::Pruned, ..) => "due for pruning: no manifest names it".to_owned(),
        (cause, ..) => cause.as_str().to_owned(),
    }
}

/// Why no document asks for a change of an image.
fn unasked(plan: &Plan, image: &ImageId) -> String {
    let resolved = plan.resolution.images.get(image);
    let spoken_of = resolved.filter(|resolved| {
        let verdict = &resolved.verdict;
        !matches!(verdict, ResolvedVerdict::Unnamed | ResolvedVerdict::Foreign)
    });
    match spoken_of {
        Some(resolved) => resolved.verdict.to_string(),
        None => NOBODY_ASKS.to_owned(),
    }
}

fn list<'a>(bounds: impl Iterator<Item = &'a Bound>, between: &str) -> String {
    let bounds: Vec<_> = bounds.map(ToString::to_string).collect();
    bounds.join(between)
}

impl fmt::Display for PlanDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word =
            |permission: Option<Permission>| permission.map_or("nothing", Permission::as_str);
        write!(
            f,
            "{}: planned {}, now {}",
            self.key,
            word(self.planned),
            word(self.now)
        )?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

fn key(scope: &Scope, image: &ImageId) -> ImageKey {
    ImageKey {
        scope: scope.clone(),
        image: image.clone(),
    }
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;

//! A plan in a file: what was reviewed is what is done, or nothing is.
//!
//! It holds actions, the policy and the selection they were made with, and no secret. Anybody may have made the file, so it
//! allows nothing by itself. When it is carried out, the same plan is made anew, and unless that has the very same actions
//! the saved one is stale. What may be done is bounded by the command line: a plan that was made with wider bounds is
//! refused whole ([`SavedPlan::policy_within`]).

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

/// Why a call is no longer made of which no document speaks.
const NOBODY_ASKS: &str = "no manifest asks for it";

/// What the file says it is.
const KIND: &str = "sharekeeper-plan";
/// The version of the file's form.
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    kind: String,
    format_version: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Name and version of the program that made it.
    pub made_by: String,
    /// The git commit of the manifests.
    pub commit: Option<String>,
    /// The part of the manifests it was made for.
    pub selector: Selector,
    /// The bounds it was made with.
    pub policy: SavedPolicy,
    /// The `uin` of each account that gives one.
    pub uins: BTreeMap<AccountName, String>,
    /// Exactly what is to be done, in order. What waits for a window, or for a suspension to end, is in it, too.
    pub actions: Vec<SavedAction>,
    /// Over everything above, so that a file that was cut or edited is noticed. Anybody can make it anew.
    digest: String,
    /// Over the same. Nobody without the [`PlanKey`] can make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

/// [`Policy`], as the file has it. Nothing but a check against the command line makes a [`Policy`] of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPolicy {
    prune: Prune,
    max_cancels: u32,
    max_cancels_percent: u32,
    /// By scope, as `ACCOUNT/REGION`.
    #[serde(with = "by_scope")]
    accept_lost: AcceptedLosses,
}

/// Keys of a JSON object are texts.
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
    /// The manifest line that asks for it.
    pub source: Option<SourceLocation>,
}

/// Why a file is not a saved plan that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedPlanError {
    /// Not JSON of this form.
    #[error("it is not a saved plan: {0}; make one with `sharekeeper plan --out FILE`")]
    Form(String),
    /// Made by a version that this one does not know.
    #[error(
        "its format version is {0}, and this version of sharekeeper knows {VERSION}; make it anew"
    )]
    Version(u32),
    #[error("it was changed after it was made (its digest does not fit); make it anew")]
    Digest,
    /// Which of the two is meant, nobody can tell.
    #[error("it has more than one action for {0}; make it anew")]
    Twice(ImageKey),
    /// A key was given, and nothing in the file can be held against it.
    #[error(
        "it has no MAC, so nobody can tell who made it; make it with `sharekeeper plan --out FILE --plan-key-file FILE`"
    )]
    Unsigned,
    /// Not made with the key that was given.
    #[error(
        "its MAC was not made with this key: somebody else made or changed it, or the key is another; do not use it, and make it anew"
    )]
    Mac,
}

/// A saved plan was made with wider bounds than those that it is to be carried out within.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it needs more than this command line allows ({}), so nothing was done; look through it, and if all of it is meant, repeat: {}",
    list(.0.iter().map(|(_, allowed)| allowed), ", "),
    list(.0.iter().map(|(needed, _)| needed), " ")
)]
pub struct BoundsExceeded(pub Vec<(Bound, Bound)>);

/// One difference between a saved plan and the plan that would be made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanDifference {
    #[serde(flatten)]
    pub key: ImageKey,
    /// What the saved plan does.
    pub planned: Option<Permission>,
    /// What would be done now.
    pub now: Option<Permission>,
    /// Why nothing would be done now, where that is so.
    pub reason: Option<String>,
}

impl SavedPlan {
    /// The actions of `plans`.
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

    /// Whether it has a MAC; nobody has checked it.
    pub fn is_signed(&self) -> bool {
        self.mac.is_some()
    }

    /// Demands that it was made by somebody who has the key.
    pub fn verify(&self, key: &PlanKey) -> Result<(), SavedPlanError> {
        let mac = self.mac.as_ref().ok_or(SavedPlanError::Unsigned)?;
        match key.verifies(&self.bytes(), mac) {
            true => Ok(()),
            false => Err(SavedPlanError::Mac),
        }
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            format_version: u32,
        }
        // It may quote the file.
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

    /// The bounds to carry it out within, where `allowed` are those of the command line. It is refused if it was made with
    /// any that is wider, whether or not its actions need that: what a plan needs is what it was made with. Otherwise each
    /// bound is the stricter of the two.
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

    /// The first account that it acts on whose `uin` is not among `uins` as it was when the plan was made, and what it was.
    pub fn other_uin(
        &self,
        uins: &BTreeMap<AccountName, String>,
    ) -> Option<(&AccountName, Option<&String>)> {
        let mut accounts = self.actions.iter().map(|action| &action.key.scope.account);
        let other = accounts.find(|&name| self.uins.get(name) != uins.get(name))?;
        Some((other, self.uins.get(other)))
    }

    /// What it allows, by scope.
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

    /// What has moved since it was made, held against the plans that would be made now; nothing: it may be carried out.
    /// What is as planned already has been done: a run that was killed is run again.
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
            // What was to be pruned and is gone has been pruned.
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
                    // Whether it has moved is not known either. The run withholds it, and goes on with the rest.
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

    /// What digest and MAC are made over.
    fn bytes(&self) -> Vec<u8> {
        let bare = Self {
            digest: String::new(),
            mac: None,
            ..self.clone()
        };
        serde_json::to_vec(&bare).unwrap_or_default()
    }
}

/// What asks for a call, in a word and with the policy that does.
fn asked_by(plan: &Plan, image: &ImageId, decision: &Decision) -> String {
    let resolved = plan.resolution.images.get(image);
    let document = decision.entry.as_ref().map(|entry| &entry.document.name);
    match (decision.cause, resolved, document) {
        (Cause::Policy | Cause::Retention | Cause::Revoked, Some(resolved), Some(policy)) => {
            format!("{} by policy `{policy}`", resolved.verdict.word())
        }
        (Cause::Pruned, ..) => "to be pruned: no manifest names it".to_owned(),
        (cause, ..) => cause.as_str().to_owned(),
    }
}

/// Why nothing is asked of an image.
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

//! A plan in a file: what was reviewed is what is done, or nothing is.
//!
//! It holds actions, the policy and the selection they were made with, and no secret. It is not trusted for anything
//! but what it allows: when it is carried out, the same plan is made anew, and unless that has the very same actions
//! the saved one is stale.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{License, Plan, Policy, Prune, Verdict};
use crate::history::Place;
use crate::model::{AccountName, Cause, ImageId, ImageKey, Permission, Scope, Selector, Timestamp};

/// What the file says it is.
const KIND: &str = "sharekeeper-plan";
/// The version of the file's form.
const VERSION: u32 = 1;

/// A saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    kind: String,
    format_version: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// By which version.
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
    /// Over everything above, so that a file that was cut or edited is noticed.
    digest: String,
}

/// [`Policy`], as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPolicy {
    prune: String,
    max_cancels: u32,
    max_cancels_percent: u32,
    accept_lost: u32,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAction {
    /// Which image.
    #[serde(flatten)]
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub action: Permission,
    /// Why.
    pub cause: Cause,
    /// The manifest line that asks for it.
    pub source: Option<Place>,
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
    /// Cut or edited.
    #[error("it was changed after it was made (its digest does not fit); make it anew")]
    Digest,
}

/// One difference between a saved plan and the plan that would be made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Which image.
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
                source: decision.source.as_ref().map(Place::from),
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
                prune: policy.prune.as_str().into(),
                max_cancels: policy.max_cancels,
                max_cancels_percent: policy.max_cancels_percent,
                accept_lost: policy.accept_lost,
            },
            uins,
            actions: actions.collect(),
            digest: String::new(),
        };
        saved.digest = saved.digest();
        saved
    }

    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            format_version: u32,
        }
        let form = |error: serde_json::Error| SavedPlanError::Form(error.to_string());
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
        Prune::new(&saved.policy.prune)
            .ok_or_else(|| SavedPlanError::Form("`prune` is none of its words".into()))?;
        Ok(saved)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        format!("{}\n", text.unwrap_or_default())
    }

    /// The bounds it was made with.
    pub fn policy(&self) -> Policy {
        Policy {
            prune: Prune::new(&self.policy.prune).unwrap_or_default(),
            max_cancels: self.policy.max_cancels,
            max_cancels_percent: self.policy.max_cancels_percent,
            accept_lost: self.policy.accept_lost,
            shares_only: false,
        }
    }

    /// What it allows, by scope.
    pub fn licenses(&self) -> BTreeMap<Scope, License> {
        let mut licenses: BTreeMap<_, License> = BTreeMap::new();
        for action in &self.actions {
            licenses
                .entry(action.key.scope.clone())
                .or_default()
                .insert(action.key.image.clone(), action.action);
        }
        licenses
    }

    /// What has moved since it was made, held against the plans that would be made now; nothing: it may be carried out.
    /// What is as planned already has been done: a run that was killed is run again.
    pub fn moved<'a>(&self, now: impl IntoIterator<Item = &'a Plan>) -> Vec<Moved> {
        let mut planned: BTreeMap<_, _> = self
            .actions
            .iter()
            .map(|action| (&action.key, action))
            .collect();
        let mut moved = Vec::new();
        for plan in now {
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
                    moved.push(Moved {
                        key,
                        planned: planned.map(|action| action.action),
                        now: intended.then_some(permission),
                        reason: Some(decision.verdict.why_not().unwrap_or_else(|| {
                            format!("because it is {}", decision.cause.as_str())
                        })),
                    });
                }
            }
        }
        moved.extend(planned.into_values().map(|action| Moved {
            key: action.key.clone(),
            planned: Some(action.action),
            now: None,
            reason: Some("no manifest asks for it".into()),
        }));
        moved.sort_by(|a, b| a.key.cmp(&b.key));
        moved
    }

    fn digest(&self) -> String {
        let bare = Self {
            digest: String::new(),
            ..self.clone()
        };
        let bytes = serde_json::to_vec(&bare).unwrap_or_default();
        format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
    }
}

impl fmt::Display for Moved {
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

//! That nothing is seen or done: in a scope, or in a whole account. What is wrong with an account is told of once, and not
//! for each of its scopes.

use std::collections::BTreeSet;

use super::{
    Activity, Board, ImageStatus, Kind, PassResult, Reason, ScopeStatus, Subject, Transition,
};
use crate::attempts::WritePause;
use crate::model::{AccountName, Scope, Timestamp};
use crate::plan::{Plan, Verdict, View};

/// Passes in a row that did not see a scope before that counts as stalled: one lost page is no news.
const UNSEEN_PASSES_MAX: u32 = 3;

/// How a scope stands with respect to being seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Stall {
    /// Nothing is seen or done in it, for whatever reason.
    holds: bool,
    /// It was told of on its own, and its end will be.
    told: bool,
    /// Passes in a row that did not see it, though its account works for all that is known.
    lost: u32,
    /// The board's version when the last pass began.
    began: u64,
    /// Why what is to be done in it is not tried, until something is permitted or nothing is denied any longer.
    rest: Option<WritePause>,
    /// Something has been permitted since the last pass began.
    permitted: bool,
}

impl Stall {
    /// Whether its scope was told of on its own.
    pub(super) fn is_told(&self) -> bool {
        self.told
    }

    pub(super) fn began(&mut self, version: u64) {
        self.began = version;
        // Only the next pass tells which of the images are denied alone.
        if std::mem::take(&mut self.permitted) {
            self.rest = None;
        }
    }

    /// Takes in what a plan leaves untried. One that leaves nothing because each image was denied by itself meanwhile is
    /// no good news.
    pub(super) fn planned(&mut self, plan: &Plan) {
        let mut verdicts = plan.decisions.values().map(|decision| &decision.verdict);
        if let Some(rest) = plan.rest() {
            self.permitted = false;
            self.rest = Some(rest.clone());
        } else if plan.unobserved().is_none() && !verdicts.any(|verdict| self.explains(verdict)) {
            self.rest = None;
        }
    }

    /// A write was permitted.
    pub(super) fn permitted(&mut self) {
        self.permitted = true;
    }

    /// Whether an image is denied as all that was tried is.
    pub(super) fn explains(&self, verdict: &Verdict) -> bool {
        match (verdict, &self.rest) {
            (Verdict::Blocked(problem), Some(rest)) => {
                problem.unmet.is_none() && problem.code == rest.problem.code && !lacks_role(rest)
            }
            _ => false,
        }
    }

    /// Why nothing is done in the scope, or in its whole account. That the service role is missing is told of as such.
    fn denied(&self, of_account: bool) -> Option<String> {
        let rest = self.rest.as_ref()?;
        let id = rest.problem.request_id.as_ref();
        let id = id.map_or_else(String::new, |id| format!(" [RequestId {id}]"));
        (rest.of_account == of_account && !lacks_role(rest))
            .then(|| format!("nothing is done in it: {}{id}", rest.problem))
    }
}

impl Board {
    /// Takes in how a pass ended; what of it is new of the scope and of its account.
    pub(super) fn stall_news(
        &mut self,
        scope: &Scope,
        result: PassResult,
        now: Timestamp,
    ) -> Vec<Transition> {
        let Some(status) = self.scopes.get_mut(scope) else {
            return Vec::new();
        };
        let unobserved = match (&status.view, result) {
            (Some(View::Unobserved(unobserved)), PassResult::Unobserved) => {
                Some(unobserved.clone())
            }
            _ => None,
        };
        let is_broken = unobserved
            .as_ref()
            .is_some_and(|unobserved| unobserved.account_broken);
        let why = unobserved
            .map(|unobserved| unobserved.reason)
            .unwrap_or_default();
        status.count(result, is_broken);
        let mut told = Vec::new();
        let mut tell = |subject, kind, message| {
            told.push(Transition {
                at: now,
                subject,
                kind,
                reason: None,
                message,
            });
        };
        let account = || Subject::Account(scope.account.clone());
        let was_seen = matches!(result, PassResult::Synced | PassResult::Incomplete);
        let known_at = self.broken.get(&scope.account).copied();
        match known_at {
            None if is_broken => {
                self.broken.insert(scope.account.clone(), self.version);
                let message = format!("nothing is seen or done in it: {why}");
                tell(account(), Kind::Stalled, message);
            }
            // What was looked at before says nothing about what came after.
            Some(at) if was_seen && status.stall.began > at => {
                self.broken.remove(&scope.account);
                tell(account(), Kind::Recovered, "it works again".to_owned());
            }
            None | Some(_) => {}
        }
        let held = match &status.activity {
            Activity::Held { why } => Some(why.clone()),
            _ => None,
        };
        let is_known = self.broken.contains_key(&scope.account);
        let is_lost = status.stall.lost >= UNSEEN_PASSES_MAX && !is_known;
        let (message, stalls) = match (held, status.stall.denied(false)) {
            (Some(why), _) => (why, true),
            (None, Some(denied)) if was_seen => (denied, true),
            (None, denied) => (format!("not observed: {why}"), is_lost || denied.is_some()),
        };
        let subject = || Subject::Scope(scope.clone());
        if stalls && !status.stall.told {
            status.stall.told = true;
            tell(subject(), Kind::Stalled, message);
        } else if was_seen && status.stall.told && !stalls && status.stall.rest.is_none() {
            status.stall.told = false;
            let message = "it is worked on again".to_owned();
            tell(subject(), Kind::Recovered, message);
        }
        if was_seen {
            told.extend(self.denial_news(&scope.account, now));
        }
        told
    }

    /// That an account is denied all that is tried is told of once, until none of its scopes says so.
    fn denial_news(&mut self, account: &AccountName, now: Timestamp) -> Option<Transition> {
        let scopes = self
            .scopes
            .iter()
            .filter(|(scope, _)| scope.account == *account);
        let why = scopes
            .filter_map(|(_, status)| status.stall.denied(true))
            .next();
        let (kind, message) = match why {
            Some(why) if self.denied.insert(account.clone()) => (Kind::Stalled, why),
            None if self.denied.remove(account) => {
                (Kind::Recovered, "it is worked on again".to_owned())
            }
            _ => return None,
        };
        Some(Transition {
            at: now,
            subject: Subject::Account(account.clone()),
            kind,
            reason: None,
            message,
        })
    }
}

fn lacks_role(rest: &WritePause) -> bool {
    Reason::of_problem(&rest.problem, Reason::NotTried) == Reason::RoleMissing
}

/// The service role is the account's: that it is missing is told of once, and not for each image. `known` are the
/// accounts that it was told of.
pub(super) fn role_news(
    known: &mut BTreeSet<AccountName>,
    account: &AccountName,
    was: Option<Reason>,
    after: &ImageStatus,
    now: Timestamp,
) -> Option<Transition> {
    const MISSING: Option<Reason> = Some(Reason::RoleMissing);
    let (was, is) = (was == MISSING, after.blocked == MISSING);
    let (kind, message) = if is && !was && known.insert(account.clone()) {
        let trouble = after.trouble.as_ref();
        let why = trouble.map_or_else(String::new, |trouble| trouble.message.to_string());
        (Kind::Blocked, why)
    } else if was && !is && known.remove(account) {
        (Kind::Unblocked, "its images can be shared".to_owned())
    } else {
        return None;
    };
    Some(Transition {
        at: now,
        subject: Subject::Account(account.clone()),
        kind,
        reason: Some(after.reason),
        message,
    })
}

impl ScopeStatus {
    fn count(&mut self, result: PassResult, account_broken: bool) {
        let is_held = matches!(self.activity, Activity::Held { .. });
        match result {
            PassResult::Unobserved => {
                self.unseen_passes += 1;
                self.stall.lost = if account_broken {
                    0
                } else {
                    self.stall.lost + 1
                };
                let is_lost = self.unseen_passes >= UNSEEN_PASSES_MAX;
                self.stall.holds |= is_held || account_broken || is_lost;
            }
            // Cut off, it says nothing either way.
            PassResult::Stopped => {}
            PassResult::Synced | PassResult::Incomplete | PassResult::Panicked => {
                self.unseen_passes = 0;
                self.stall.lost = 0;
                self.stall.holds = is_held || self.stall.rest.is_some();
            }
        }
    }

    /// Whether it is stalled as a whole.
    pub fn is_stalled(&self) -> bool {
        self.stall.holds
    }
}

#[cfg(test)]
#[path = "stall_tests.rs"]
mod tests;

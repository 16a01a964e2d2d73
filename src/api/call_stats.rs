//! Counts the calls of a process: their number, their answers, and how long each waited for its permit and for its
//! reply. Labels come from closed sets, so that unknown error codes cannot increase the number of counters. It must not
//! know who shows them.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::error::{CallError, Class};
use super::protocol::wire::Action;
use crate::model::{AccountName, Monotonic, Region};
use crate::pace::DurationHistogram;

/// Error codes of `ModifyImageSharePermission` that are counted separately: all codes in its documentation.
const WRITE_CODES: [&str; 12] = [
    "FailedOperation.ImageOperationFailed",
    "FailedOperation.RequestError",
    "InternalError.RequestError",
    "InvalidParameterValue.InvalidImageIdMalformed",
    "ResourceInUse.ImageInUse",
    "ResourceNotFound.ImageIdNotFound",
    "ResourceNotFound.RoleNotFound",
    "UnauthorizedOperation.NoPermission",
    "UnsupportedOperation.AssumeRoleFailed",
    "UnsupportedOperation.ImageAlreadyShared",
    "UnsupportedOperation.ImageOccupied",
    "UnsupportedOperation.ImageUnableToShare",
];
/// Other codes are counted by the part before the dot. A code of another family is counted as `other`: it is new, or
/// caused by a fault in sharekeeper, and the log contains it.
const FAMILIES: [&str; 7] = [
    "AuthFailure",
    "FailedOperation",
    "InternalError",
    "RequestLimitExceeded",
    "ResourceUnavailable",
    "ServiceUnavailable",
    "UnauthorizedOperation",
];

/// Families of codes that mean a fault of the API itself.
const API_FAULTS: [&str; 2] = ["InternalError", "ServiceUnavailable"];

/// All calls of this process so far.
#[derive(Debug, Default)]
pub struct CallStats {
    /// Calls that change nothing and were sent.
    pub reads: Cell<u64>,
    /// The part of `reads` that lists blueprints.
    pub listings: Cell<u64>,
    pub writes: Cell<u64>,
    /// Replies that said that the rate was exceeded.
    pub throttled: Cell<u64>,
    breakdown: RefCell<CallBreakdown>,
}

/// Calls by action, region and answer.
#[derive(Clone, Debug, Default)]
pub struct CallBreakdown {
    /// Calls that ended, by action, region and answer. The answer is from a closed set: `ok`, an error code, the part
    /// of one before its dot, `other`, `no_reply` or `not_sent`.
    pub requests: BTreeMap<(Action, Region, &'static str), u64>,
    /// The same calls by account and result, so that a busy account does not hide the others.
    pub accounts: BTreeMap<(AccountName, CallResult), u64>,
    /// Further data about calls, by action.
    pub actions: BTreeMap<Action, ActionStats>,
    /// Reads that were repeated.
    pub retries: u64,
}

/// The calls of one action.
#[derive(Clone, Debug, Default)]
pub struct ActionStats {
    /// The time from sending a call to its reply, or to giving it up.
    pub took: DurationHistogram,
    /// How long calls waited for their permits.
    pub waited: DurationHistogram,
    /// The number of calls that wait for a permit now.
    pub queue: u64,
    /// Replies that said that the rate was exceeded.
    pub throttled: u64,
}

/// The result of a call, as far as it shows where to look for a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallResult {
    Ok,
    /// The API refused it, for a reason in the request, the key or the image.
    Refused,
    /// The rate limit was exceeded.
    Throttled,
    /// It had no usable result: no connection, no readable reply, or a fault of the API itself.
    Failed,
}

impl CallResult {
    /// All results, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Throttled, Self::Failed];

    /// The label that a result is counted under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }

    /// The result of a call; `error` is why it failed, if it did.
    fn of(error: Option<&CallError>) -> Self {
        let refusal = match error {
            None => return Self::Ok,
            Some(CallError::NotSent(_) | CallError::Unclear(_)) => return Self::Failed,
            Some(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => refusal,
        };
        let family = refusal.code.split('.').next().unwrap_or_default();
        match refusal.class {
            Class::Throttled(_) => Self::Throttled,
            _ if API_FAULTS.contains(&family) => Self::Failed,
            _ => Self::Refused,
        }
    }
}

/// A call that waits for its permit. Dropping it gives the call up.
#[must_use]
pub struct QueuedCall<'a> {
    calls: &'a CallStats,
    action: Action,
    since: Monotonic,
}

impl CallStats {
    /// The calls in detail. The borrow must end before the next call.
    pub fn breakdown(&self) -> Ref<'_, CallBreakdown> {
        self.breakdown.borrow()
    }

    /// All labels that an answer to an action can be counted under.
    pub fn answers(action: Action) -> impl Iterator<Item = &'static str> {
        let codes = [&["ok"][..], codes(action), &FAMILIES];
        let rest = ["no_reply", "not_sent", "other"];
        codes.into_iter().flatten().copied().chain(rest)
    }

    /// Counts a call that begins to wait for its permit.
    pub fn enqueue(&self, action: Action, since: Monotonic) -> QueuedCall<'_> {
        self.of(action, |stats| stats.queue += 1);
        QueuedCall {
            calls: self,
            action,
            since,
        }
    }

    /// Counts a call that is about to be sent.
    pub fn sent(&self, action: Action) {
        let count = match action {
            Action::ModifyImageSharePermission => &self.writes,
            Action::DescribeBlueprints
            | Action::DescribeImagesToShare
            | Action::GetCallerIdentity
            | Action::DescribeInstances
            | Action::DescribeImages => &self.reads,
        };
        increase(count);
        if action == Action::DescribeBlueprints {
            increase(&self.listings);
        }
    }

    /// Counts a call that is about to be sent to fetch credentials.
    pub(super) fn read_sent(&self) {
        increase(&self.reads);
    }

    /// Counts how long a call took.
    pub fn took(&self, action: Action, took: Duration) {
        self.of(action, |stats| stats.took.add(took));
    }

    /// Counts a call of `account` that has ended, with `error` if it did not succeed.
    pub fn ended(
        &self,
        account: &AccountName,
        action: Action,
        region: Region,
        error: Option<&CallError>,
    ) {
        let result = CallResult::of(error);
        if result == CallResult::Throttled {
            increase(&self.throttled);
            self.of(action, |stats| stats.throttled += 1);
        }
        let mut breakdown = self.breakdown.borrow_mut();
        let key = (action, region, label(action, error));
        *breakdown.requests.entry(key).or_default() += 1;
        let key = (account.clone(), result);
        *breakdown.accounts.entry(key).or_default() += 1;
    }

    /// Counts a repeated read.
    pub fn repeated(&self) {
        self.breakdown.borrow_mut().retries += 1;
    }

    fn of(&self, action: Action, change: impl FnOnce(&mut ActionStats)) {
        change(
            self.breakdown
                .borrow_mut()
                .actions
                .entry(action)
                .or_default(),
        );
    }
}

impl QueuedCall<'_> {
    /// Notes that the permit came at `at`, and that the call is sent.
    pub fn permitted(self, at: Monotonic) {
        let waited = at.since(self.since);
        self.calls.of(self.action, |stats| stats.waited.add(waited));
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        self.calls.of(self.action, |stats| {
            stats.queue = stats.queue.saturating_sub(1)
        });
    }
}

fn increase(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// The error codes of an action that are counted separately.
const fn codes(action: Action) -> &'static [&'static str] {
    match action {
        Action::ModifyImageSharePermission => &WRITE_CODES,
        Action::DescribeBlueprints
        | Action::DescribeImagesToShare
        | Action::GetCallerIdentity
        | Action::DescribeInstances
        | Action::DescribeImages => &[],
    }
}

/// The label that an answer is counted under.
fn label(action: Action, error: Option<&CallError>) -> &'static str {
    let code = match error {
        None => return "ok",
        Some(CallError::NotSent(_)) => return "not_sent",
        Some(CallError::Unclear(_)) => return "no_reply",
        Some(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => &refusal.code,
    };
    let family = code.split('.').next().unwrap_or_default();
    let known = |set: &[&'static str], word: &str| set.iter().copied().find(|known| *known == word);
    known(codes(action), code)
        .or_else(|| known(&FAMILIES, family))
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Refusal;

    fn refused(code: &str) -> CallError {
        CallError::Refused(Refusal {
            code: code.into(),
            message: "img-secret is not yours".into(),
            request_id: None,
            class: Class::of(code, None),
            asked: None,
            relay: None,
        })
    }

    #[test]
    fn o3_answers_are_counted_under_a_closed_set_of_words() {
        let (write, read) = (
            Action::ModifyImageSharePermission,
            Action::DescribeBlueprints,
        );
        let table = [
            (
                write,
                "ResourceInUse.ImageInUse",
                "ResourceInUse.ImageInUse",
            ),
            (read, "ResourceInUse.ImageInUse", "other"),
            (
                write,
                "RequestLimitExceeded.UinLimitExceeded",
                "RequestLimitExceeded",
            ),
            (read, "AuthFailure.SecretIdNotFound", "AuthFailure"),
            (write, "InternalError.img-6pb6lrmy", "InternalError"),
            (write, "\"}\nevil 1", "other"),
            (read, "", "other"),
            (
                Action::DescribeInstances,
                "UnauthorizedOperation.NoPermission",
                "UnauthorizedOperation",
            ),
            (
                Action::DescribeImages,
                "InvalidFilterValue.LimitExceeded",
                "other",
            ),
        ];
        for (action, code, word) in table {
            assert_eq!(label(action, Some(&refused(code))), word, "{code}");
        }
        assert_eq!(label(read, None), "ok");
        assert_eq!(
            label(read, Some(&CallError::Unclear("x".into()))),
            "no_reply"
        );
        assert_eq!(
            label(read, Some(&CallError::NotSent("x".into()))),
            "not_sent"
        );
    }

    #[test]
    fn a_turn_that_is_given_up_leaves_the_line_and_is_no_wait() {
        let (calls, action) = (CallStats::default(), Action::DescribeBlueprints);
        let given_up = calls.enqueue(action, Monotonic::default());
        let permitted = calls.enqueue(action, Monotonic::default());
        assert_eq!(calls.breakdown().actions[&action].queue, 2);
        drop(given_up);
        permitted.permitted(Monotonic::new(Duration::from_millis(70)));
        let breakdown = calls.breakdown();
        assert_eq!(breakdown.actions[&action].queue, 0);
        assert_eq!(breakdown.actions[&action].waited.count, 1);
        assert_eq!(
            breakdown.actions[&action].waited.sum,
            Duration::from_millis(70)
        );
    }

    #[test]
    fn throttled_replies_are_counted_by_action_and_in_all() {
        let (calls, region) = (
            CallStats::default(),
            Region::all().next().expect("a region"),
        );
        let error = refused("RequestLimitExceeded");
        let account = AccountName::default();
        calls.ended(&account, Action::DescribeBlueprints, region, Some(&error));
        calls.ended(
            &account,
            Action::ModifyImageSharePermission,
            region,
            Some(&error),
        );
        assert_eq!(calls.throttled.get(), 2);
        let breakdown = calls.breakdown();
        assert!(breakdown.actions.values().all(|stats| stats.throttled == 1));
        assert_eq!(breakdown.requests.len(), 2);
    }

    #[test]
    fn n3_what_came_of_calls_is_counted_for_each_account() {
        let calls = CallStats::default();
        let region = Region::all().next().expect("a region");
        let [busy, failing] =
            ["busy", "failing"].map(|name| AccountName::new(name).expect("a name"));
        for _ in 0..9 {
            calls.ended(&busy, Action::DescribeBlueprints, region, None);
        }
        let ends = [
            (CallError::NotSent("x".into()), CallResult::Failed),
            (CallError::Unclear("x".into()), CallResult::Failed),
            (refused("InternalError"), CallResult::Failed),
            (refused("InternalError.RequestError"), CallResult::Failed),
            (refused("ServiceUnavailable.Brand.New"), CallResult::Failed),
            (refused("RequestLimitExceeded"), CallResult::Throttled),
            (
                refused("RequestLimitExceeded.UinLimitExceeded"),
                CallResult::Throttled,
            ),
            (
                refused("LimitExceeded.RateLimitExceeded"),
                CallResult::Throttled,
            ),
            (refused("AuthFailure.SecretIdNotFound"), CallResult::Refused),
            (
                refused("FailedOperation.ImageOperationFailed"),
                CallResult::Refused,
            ),
            (refused("Brand.New"), CallResult::Refused),
        ];
        for action in Action::ALL {
            for (error, result) in &ends {
                let count = || {
                    let key = (failing.clone(), *result);
                    let breakdown = calls.breakdown();
                    breakdown.accounts.get(&key).copied().unwrap_or_default()
                };
                let before = count();
                calls.ended(&failing, action, region, Some(error));
                assert_eq!(count(), before + 1, "{action:?} {error}");
            }
        }
        let breakdown = calls.breakdown();
        assert_eq!(breakdown.accounts[&(busy, CallResult::Ok)], 9);
        assert_eq!(breakdown.accounts.len(), 4, "{:?}", breakdown.accounts);
        let all: u64 = breakdown.accounts.values().sum();
        assert_eq!(all, breakdown.requests.values().sum::<u64>());
    }
}

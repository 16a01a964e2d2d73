//! Counts what a process calls: how often, with which answer, how long it waited for its turn and for the reply. Labels
//! come from closed sets, so that no error code, however strange, makes the count grow.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::error::{CallError, Class};
use super::protocol::wire::Action;
use crate::model::{Monotonic, Region};
use crate::pace::DurationHistogram;

/// Error codes of `ModifyImageSharePermission` that are counted one by one: all that its documentation lists.
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
/// The parts before the dot by which other codes are counted. What else there is means a fault in sharekeeper or is
/// new, and the log has it.
const FAMILIES: [&str; 7] = [
    "AuthFailure",
    "FailedOperation",
    "InternalError",
    "RequestLimitExceeded",
    "ResourceUnavailable",
    "ServiceUnavailable",
    "UnauthorizedOperation",
];

/// Calls made so far, by a whole process.
#[derive(Debug, Default)]
pub struct Calls {
    /// Calls sent that change nothing.
    pub reads: Cell<u64>,
    /// Those of them that list blueprints.
    pub listings: Cell<u64>,
    /// Modify calls sent.
    pub writes: Cell<u64>,
    /// Replies that said the rate was exceeded.
    pub throttled: Cell<u64>,
    /// Reads that were made again.
    pub retries: Cell<u64>,
    tally: RefCell<Tally>,
}

/// Calls in detail.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Calls that ended, by action, region and answer. The answer is `ok`, an error code, the part of one before its
    /// dot, `other`, `no_reply` or `not_sent`: a closed set.
    pub requests: BTreeMap<(Action, Region, &'static str), u64>,
    /// The rest, by action.
    pub actions: BTreeMap<Action, ActionTally>,
}

/// The calls of one action.
#[derive(Clone, Debug, Default)]
pub struct ActionTally {
    /// From when a call left until its reply was there, or was given up.
    pub took: DurationHistogram,
    /// How long calls waited for their turn.
    pub waited: DurationHistogram,
    /// Calls that wait for their turn now.
    pub queue: u64,
    /// Replies that said the rate was exceeded.
    pub throttled: u64,
}

/// A call's place in the line. Dropped, it is given up.
#[must_use]
pub struct Turn<'a> {
    calls: &'a Calls,
    action: Action,
    since: Monotonic,
}

impl Calls {
    /// The calls in detail. To be let go before the next call.
    pub fn tally(&self) -> Ref<'_, Tally> {
        self.tally.borrow()
    }

    /// A call waits for its turn.
    pub fn queue(&self, action: Action, since: Monotonic) -> Turn<'_> {
        self.of(action, |tally| tally.queue += 1);
        Turn {
            calls: self,
            action,
            since,
        }
    }

    /// A call is about to leave.
    pub fn sent(&self, action: Action) {
        let count = match action {
            Action::ModifyImageSharePermission => &self.writes,
            Action::DescribeBlueprints
            | Action::DescribeImagesToShare
            | Action::GetCallerIdentity => &self.reads,
        };
        increase(count);
        if action == Action::DescribeBlueprints {
            increase(&self.listings);
        }
    }

    /// A call that fetches credentials is about to leave.
    pub(super) fn read_sent(&self) {
        increase(&self.reads);
    }

    /// How long a call was on its way.
    pub fn took(&self, action: Action, took: Duration) {
        self.of(action, |tally| tally.took.add(took));
    }

    /// A call has ended, with `error` if it did not succeed.
    pub fn ended(&self, action: Action, region: Region, error: Option<&CallError>) {
        let throttled = matches!(
            error,
            Some(CallError::Refused(refusal)) if matches!(refusal.class, Class::Throttled(_))
        );
        if throttled {
            increase(&self.throttled);
            self.of(action, |tally| tally.throttled += 1);
        }
        let key = (action, region, label(action, error));
        *self.tally.borrow_mut().requests.entry(key).or_default() += 1;
    }

    /// A read is made again.
    pub fn repeated(&self) {
        increase(&self.retries);
    }

    fn of(&self, action: Action, change: impl FnOnce(&mut ActionTally)) {
        change(self.tally.borrow_mut().actions.entry(action).or_default());
    }
}

impl Turn<'_> {
    /// The turn has come, and the call leaves.
    pub fn taken(self, at: Monotonic) {
        let waited = at.since(self.since);
        self.calls.of(self.action, |tally| tally.waited.add(waited));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.calls.of(self.action, |tally| {
            tally.queue = tally.queue.saturating_sub(1)
        });
    }
}

fn increase(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// What an answer is counted as.
fn label(action: Action, error: Option<&CallError>) -> &'static str {
    let code = match error {
        None => return "ok",
        Some(CallError::NotSent(_)) => return "not_sent",
        Some(CallError::Unclear(_)) => return "no_reply",
        Some(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => &refusal.code,
    };
    let family = code.split('.').next().unwrap_or_default();
    let whole: &[&str] = match action {
        Action::ModifyImageSharePermission => &WRITE_CODES,
        Action::DescribeBlueprints | Action::DescribeImagesToShare | Action::GetCallerIdentity => {
            &[]
        }
    };
    let known = |set: &[&'static str], word: &str| set.iter().copied().find(|known| *known == word);
    known(whole, code)
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
        let (calls, action) = (Calls::default(), Action::DescribeBlueprints);
        let given_up = calls.queue(action, Monotonic::default());
        let taken = calls.queue(action, Monotonic::default());
        assert_eq!(calls.tally().actions[&action].queue, 2);
        drop(given_up);
        taken.taken(Monotonic::new(Duration::from_millis(70)));
        let tally = calls.tally();
        assert_eq!(tally.actions[&action].queue, 0);
        assert_eq!(tally.actions[&action].waited.count, 1);
        assert_eq!(tally.actions[&action].waited.sum, Duration::from_millis(70));
    }

    #[test]
    fn throttled_replies_are_counted_by_action_and_in_all() {
        let (calls, region) = (Calls::default(), Region::all().next().expect("a region"));
        let error = refused("RequestLimitExceeded");
        calls.ended(Action::DescribeBlueprints, region, Some(&error));
        calls.ended(Action::ModifyImageSharePermission, region, Some(&error));
        assert_eq!(calls.throttled.get(), 2);
        let tally = calls.tally();
        assert!(tally.actions.values().all(|tally| tally.throttled == 1));
        assert_eq!(tally.requests.len(), 2);
    }
}

//! The answer of STS about the owner of one version of credentials, and the time limits for it. It is separate from the
//! client that asks, because it belongs to the status of the credentials.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::model::{Monotonic, Uin};

/// The limit for one question to STS, including retries. Scopes of healthy accounts wait for the answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit if another account needs the answer and there was none last time: an account that hangs is waited for only
/// once.
const ANSWER_TIMEOUT_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// STS is not asked again for this long after it gave no answer. Otherwise, each scope of the account would wait for it
/// again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// The answer of STS about one version of credentials for which no document gives a `uin`.
#[derive(Default)]
pub(super) struct OwnerLookup {
    pub(super) known: OnceCell<Uin>,
    /// When STS last gave no answer, and the reason.
    failure: RefCell<Option<(Monotonic, String)>>,
}

impl OwnerLookup {
    /// The reason for the missing answer, if that was less than [`RETRY_AFTER`] ago.
    pub(super) fn recent_failure(&self, now: Monotonic) -> Option<String> {
        let failure = self.failure.borrow();
        let (at, why) = failure.as_ref()?;
        (now.since(*at) < RETRY_AFTER).then(|| why.clone())
    }

    /// How long to wait if another account needs the answer.
    pub(super) fn timeout(&self) -> Duration {
        match *self.failure.borrow() {
            Some(_) => ANSWER_TIMEOUT_AFTER_FAILURE,
            None => ANSWER_TIMEOUT,
        }
    }

    pub(super) fn fail(&self, at: Monotonic, why: String) {
        self.failure.replace(Some((at, why)));
    }
}

//! What STS has answered about the owner of one version of credentials, and how long it may take to. It stands apart from
//! the client that asks, because what is known of credentials holds it.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::model::{Monotonic, Uin};

/// For one question to STS, with its repetitions. Scopes of healthy accounts wait for the answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The same for the sake of another account, where there was no answer the last time: whoever hangs is waited for once.
const ANSWER_AGAIN_WITHIN: Duration = Duration::from_secs(1);
/// STS is not asked again before that, where it gave no answer: each scope of the account would wait for it anew.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What STS said of one version of credentials for which no document names a `uin`.
#[derive(Default)]
pub(super) struct OwnerLookup {
    pub(super) known: OnceCell<Uin>,
    /// When it could not be had, and why.
    failed: RefCell<Option<(Monotonic, String)>>,
}

impl OwnerLookup {
    /// Why there was no answer, if that was a moment ago.
    pub(super) fn failed_lately(&self, now: Monotonic) -> Option<String> {
        let failed = self.failed.borrow();
        let (at, why) = failed.as_ref()?;
        (now.since(*at) < ASK_AGAIN_AFTER).then(|| why.clone())
    }

    /// How long somebody waits who asks for the sake of another account.
    pub(super) fn patience(&self) -> Duration {
        match *self.failed.borrow() {
            Some(_) => ANSWER_AGAIN_WITHIN,
            None => ANSWER_WITHIN,
        }
    }

    pub(super) fn fail(&self, at: Monotonic, why: String) {
        self.failed.replace(Some((at, why)));
    }
}

//! Asks git how the commit of the manifests relates to the newest commit that a state knows. It must not judge the
//! consequences.

use crate::host::SystemCommandRunner;
use crate::manifest::Revision;
use crate::report::CommitCheck;
use crate::store::NewestCommit;

/// Compares the revision of the manifests with the newest commit.
pub(super) async fn standing(revision: &Revision, newest: Option<NewestCommit>) -> CommitCheck {
    match (revision, newest) {
        (Revision::Known(_) | Revision::NoRepository, None) => CommitCheck::Fine,
        (Revision::Known(checkout), Some(newest)) => {
            let ancestry = checkout
                .ancestry(&newest.commit, &SystemCommandRunner)
                .await;
            CommitCheck::compared(checkout.commit(), newest, ancestry)
        }
        (Revision::Unknown(why), newest) => CommitCheck::unknown(why, newest),
        (Revision::NoRepository, Some(newest)) => CommitCheck::no_repository(newest),
    }
}

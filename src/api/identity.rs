//! Verifies the account: if a manifest names the owner of the credentials, no call is made before STS has confirmed it.
//! It must not know how STS is asked.

use tokio::sync::OnceCell;

use super::error::{ACCOUNT_UNVERIFIED, CallError, Class, Refusal, WRONG_ACCOUNT};
use super::protocol::wire::CallerIdentity;
use crate::model::{AccountName, Uin};
use crate::words::brief;

/// Whether a key belongs to the account in its document. The first caller finds it out, while the others wait for the
/// same answer. If that caller gives up, the next one takes over. A new key gets its own `IdentityCheck`.
#[derive(Default)]
pub(super) struct IdentityCheck(OnceCell<Result<(), Box<Refusal>>>);

impl IdentityCheck {
    /// The answer, which `find_out` provides if there is none yet. The error says why no call may be made.
    pub(super) async fn get_or_check(
        &self,
        find_out: impl Future<Output = Result<(), Refusal>>,
    ) -> Result<(), Refusal> {
        let answer = self
            .0
            .get_or_init(|| async { find_out.await.map_err(Box::new) })
            .await;
        answer.clone().map_err(|refusal| *refusal)
    }

    /// Why no call may be made, if that is known.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let refusal = self.0.get()?.as_ref().err()?;
        Some((**refusal).clone())
    }
}

/// Compares the answer of STS with the uin in `account`'s document. If there is no usable answer, no call is made,
/// either.
pub(super) fn verify(
    account: &AccountName,
    named: &Uin,
    answer: Result<CallerIdentity, CallError>,
) -> Result<(), Refusal> {
    let unverified = |reason: String, request_id| Refusal {
        code: ACCOUNT_UNVERIFIED.into(),
        message: format!(
            "cannot verify that the credentials belong to uin {named}, as account `{account}` says: GetCallerIdentity: {reason}"
        ),
        request_id,
        class: Class::AccountBlocked,
        asked: None,
        relay: None,
    };
    let identity = match answer {
        Ok(identity) => identity,
        Err(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => {
            return Err(match refusal.class {
                // The key itself is at fault, and would fail in any other call.
                Class::AccountBlocked | Class::ClockOff => refusal,
                _ => unverified(refusal.told(), refusal.request_id),
            });
        }
        Err(CallError::NotSent(detail) | CallError::Unclear(detail)) => {
            return Err(unverified(detail.to_string(), None));
        }
    };
    let request_id = identity.request_id.as_deref().map(brief);
    match Uin::new(&identity.account_id) {
        Ok(found) if found == *named => {
            let arn = brief(&identity.arn.unwrap_or_default());
            tracing::info!(%account, uin = %found, arn, "the credentials are the account's own");
            Ok(())
        }
        Ok(found) => Err(Refusal {
            code: WRONG_ACCOUNT.into(),
            message: format!(
                "the credentials belong to uin {found}, but account `{account}` says uin {named}"
            ),
            request_id,
            class: Class::AccountBlocked,
            asked: None,
            relay: None,
        }),
        Err(error) => {
            let reason = format!(
                "AccountId is `{}`, but {error}",
                brief(&identity.account_id)
            );
            Err(unverified(reason, request_id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Asked;
    use crate::api::protocol::wire::Action;

    fn verified(answer: Result<CallerIdentity, CallError>) -> Result<(), Refusal> {
        let account = AccountName::new("prod").expect("a name");
        verify(&account, &Uin::new("100000000001").expect("a uin"), answer)
    }

    fn of(account_id: &str) -> Result<CallerIdentity, CallError> {
        Ok(CallerIdentity {
            account_id: account_id.into(),
            ..Default::default()
        })
    }

    fn refused(code: &str) -> Result<CallerIdentity, CallError> {
        Err(CallError::Refused(Refusal {
            code: code.into(),
            message: "No.".into(),
            request_id: Some("r".into()),
            class: Class::of(code, None),
            asked: Some(Asked::Read(Action::GetCallerIdentity)),
            relay: None,
        }))
    }

    #[test]
    fn s13_only_the_root_accounts_number_counts_and_both_are_named() {
        assert_eq!(verified(of("100000000001")), Ok(()));
        let refusal = verified(of("100000000002")).expect_err("another account");
        assert_eq!(refusal.class, Class::AccountBlocked);
        for words in ["100000000001", "100000000002", "`prod`", "`uin`"] {
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
        for nobody in ["", "root", "1000000000010000000000"] {
            let refusal = verified(of(nobody)).expect_err(nobody);
            assert_eq!(refusal.code, ACCOUNT_UNVERIFIED);
        }
    }

    #[test]
    fn s13_an_unverified_account_is_blocked_with_the_reason_and_the_remedy() {
        let lost = || Err(CallError::Unclear("sts.example: no reply".into()));
        for (answer, reason) in [
            (
                refused("UnauthorizedOperation.NoPermission"),
                "UnauthorizedOperation.NoPermission: No",
            ),
            (
                refused("AuthFailure.UnauthorizedOperation"),
                "AuthFailure.UnauthorizedOperation: No",
            ),
            (refused("Brand.NewCode"), "Brand.NewCode: No"),
            (lost(), "sts.example: no reply"),
        ] {
            let refusal = verified(answer).expect_err(reason);
            assert_eq!(refusal.class, Class::AccountBlocked);
            for words in [reason, "100000000001", "`prod`", "remove `uin`"] {
                assert!(refusal.to_string().contains(words), "{refusal}");
            }
            // The permission helps only if the key lacks it.
            let is_denied = reason.contains("UnauthorizedOperation");
            let says_so = refusal.to_string().contains("allow sts:GetCallerIdentity");
            assert_eq!(says_so, is_denied, "{refusal}");
        }
    }

    #[test]
    fn a_key_that_does_not_work_is_reported_as_that() {
        for code in [
            "AuthFailure.SecretIdNotFound",
            "AuthFailure.SignatureExpire",
        ] {
            let refusal = verified(refused(code)).expect_err(code);
            assert_eq!(refusal.code, code);
        }
    }

    #[tokio::test]
    async fn p7_one_who_gives_up_leaves_the_question_to_the_next() {
        let identity = IdentityCheck::default();
        let mut first = Box::pin(identity.get_or_check(std::future::pending()));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(identity.get_or_check(async { Ok(()) }));
        assert!(
            futures_util::poll!(&mut second).is_pending(),
            "it is asked once at a time"
        );
        drop(first);
        assert_eq!(second.await, Ok(()));
        assert_eq!(identity.refusal(), None);
    }
}

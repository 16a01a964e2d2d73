//! Whose the credentials in use are, for whoever must tell two accounts apart. STS is asked only by [`ReadClient::owner`],
//! once for each version of the credentials that it answered for.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::OnceCell;

use super::client::ReadClient;
use super::error::{CallError, Refusal};
use super::proof::Ready;
use super::retry;
use crate::host::Host;
use crate::model::{KeyDigest, Moment, Region, Uin};
use crate::words::brief;

/// For one question to STS, with its repetitions. Scopes of healthy accounts wait for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// STS is not asked again before that, where it gave no answer: each scope of the account would wait for it anew.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The credentials in use, and whose they are as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Stands for the secret id.
    pub key: KeyDigest,
    /// The version of the credentials; grows with each change.
    pub version: u64,
    /// The key stays the same until somebody replaces it; a temporary one has another id each time.
    pub lasts: bool,
    /// The root account: what the document says and STS has confirmed, or what STS answered.
    pub uin: Option<Uin>,
}

/// What STS said of one version of credentials for which no document names a `uin`.
#[derive(Default)]
pub(super) struct Answer {
    known: OnceCell<Uin>,
    /// When it could not be had, and why.
    failed: RefCell<Option<(Moment, String)>>,
}

impl<H: Host> ReadClient<H> {
    /// The credentials for the next call. Costs no call beyond those that come before every call: where the document
    /// names a `uin`, STS has confirmed it.
    pub async fn key(&self, region: Region) -> Result<Owner, Refusal> {
        let ready = self.ready(region).await?;
        Ok(self.owner_of(&ready))
    }

    /// [`Self::key`], with the account that STS names where no document does; why STS named none, for a person.
    pub async fn owner(&self, region: Region) -> Result<Result<Owner, String>, Refusal> {
        let ready = self.ready(region).await?;
        if self.connection.uin.is_some() {
            return Ok(Ok(self.owner_of(&ready)));
        }
        let answer = &ready.proof.owner;
        let asked = answer
            .known
            .get_or_try_init(|| self.ask(&ready, region))
            .await;
        Ok(match asked {
            Ok(_) => Ok(self.owner_of(&ready)),
            Err(why) => Err(why),
        })
    }

    fn owner_of(&self, ready: &Ready) -> Owner {
        let told = || ready.proof.owner.known.get().cloned();
        Owner {
            key: KeyDigest::of(&ready.issued.credentials.secret_id),
            version: ready.issued.version,
            lasts: ready.issued.credentials.token.is_none(),
            uin: self.connection.uin.clone().or_else(told),
        }
    }

    async fn ask(&self, ready: &Ready, region: Region) -> Result<Uin, String> {
        let now = self.shared().host.moment();
        let failed = &ready.proof.owner.failed;
        if let Some((at, why)) = &*failed.borrow()
            && now.since(*at) < ASK_AGAIN_AFTER
        {
            return Err(why.clone());
        }
        let ask = || self.caller_identity(ready, region);
        let answer = Box::pin(retry::while_it_helps(self.shared(), ask));
        let late = Box::pin(self.shared().host.sleep_until(now + PATIENCE));
        let answer = match select(answer, late).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(CallError::Unclear(format!(
                "STS did not answer within {} seconds",
                PATIENCE.as_secs()
            ))),
        };
        let answer = match answer {
            Ok(identity) => Uin::new(&identity.account_id).map_err(|error| {
                format!(
                    "AccountId is `{}`, but {error}",
                    brief(&identity.account_id)
                )
            }),
            Err(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => {
                Err(refusal.said())
            }
            Err(CallError::NotSent(detail) | CallError::Unclear(detail)) => Err(detail),
        };
        let since = self.shared().host.moment();
        *failed.borrow_mut() = answer.as_ref().err().map(|why| (since, why.clone()));
        answer
    }
}

//! Whose the credentials in use are, for whoever must tell two accounts apart. STS is asked only by [`ReadClient::owner`],
//! once for each version of the credentials that it answered for.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::client::ReadClient;
use super::error::CallError;
use super::owner_lookup::ANSWER_WITHIN;
use super::ready_credentials::ReadyCredentials;
use super::retry;
use crate::host::Host;
use crate::inventory::Claimant;
use crate::model::{KeyDigest, Region, Uin};
use crate::words::brief;

/// The credentials in use, and whose they are as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Stands for the secret id, or for the role whose temporary keys are called otherwise each time.
    pub key: KeyDigest,
    /// The version of the credentials; grows with each change.
    pub version: u64,
    /// The key has an id that stays until somebody replaces it.
    pub lasts: bool,
    /// The root account: what the document says and STS has confirmed, or what STS answered.
    pub uin: Option<Uin>,
    /// The document says which account it is.
    pub is_documented: bool,
}

impl Owner {
    /// As whom rows of the state are claimed.
    pub fn claimant(&self) -> Claimant<'_> {
        Claimant {
            uin: self.uin.as_ref(),
            key: self.lasting_key(),
        }
    }

    /// What proves that another scope is of the same account, where no uin does.
    pub fn lasting_key(&self) -> Option<&KeyDigest> {
        self.lasts.then_some(&self.key)
    }
}

impl<H: Host> ReadClient<H> {
    /// What stands for the key that is in use, whoever it belongs to. Makes no call but those that a source needs to
    /// fetch its keys.
    pub async fn key_digest(&self, region: Region) -> Option<KeyDigest> {
        let keys = &self.connection.keys;
        let current = keys.current(self.context(), region);
        let current = self.patiently(current).await?.ok()?;
        Some(KeyDigest::of(&keys.identity(&current.credentials).0))
    }

    /// [`Self::key_digest`], where that needs no waiting: of what has been fetched already, or is on this machine.
    pub fn key_at_hand(&self, region: Region) -> Option<KeyDigest> {
        let keys = &self.connection.keys;
        let credentials = match keys.in_use() {
            Some(credentials) => credentials,
            None if keys.is_fetched() => return None,
            None => {
                let current = keys.current(self.context(), region).now_or_never()?;
                current.ok()?.credentials
            }
        };
        Some(KeyDigest::of(&keys.identity(&credentials).0))
    }

    /// The credentials for the next call. Costs no call beyond those that come before every call: where the document
    /// names a `uin`, STS has confirmed it. `None` where there are none.
    pub async fn key(&self, region: Region) -> Option<Owner> {
        let ready = self.ready(region).await.ok()?;
        Some(self.owner_of(&ready))
    }

    /// Whether there are credentials, and they are those of the account that the document names. Who asks for the sake of
    /// another account does not wait for long.
    pub async fn is_confirmed(&self, region: Region) -> bool {
        let newest = self.proofs.newest();
        let now = || self.context().host.monotonic();
        if newest.owner.failed_lately(now()).is_some() {
            return false;
        }
        match self
            .within(newest.owner.patience(), self.ready(region))
            .await
        {
            Some(ready) => ready.is_ok(),
            None => {
                newest.owner.fail(now(), late());
                false
            }
        }
    }

    /// [`Self::key`], with the account that STS names where no document does; why there is no answer, for a person.
    pub async fn owner(&self, region: Region) -> Result<Owner, String> {
        let ready = self.patiently(self.ready(region)).await;
        let ready = ready.ok_or_else(late)?;
        let ready = ready.map_err(|refusal| refusal.to_string())?;
        if self.connection.uin.is_none() {
            let answer = &ready.proof.owner;
            let ask = || self.ask(&ready, region);
            answer.known.get_or_try_init(ask).await?;
        }
        Ok(self.owner_of(&ready))
    }

    /// [`Self::owner`], asked for the sake of another account: one that did not answer the last time is not waited for
    /// again. Its own scopes go on asking, and have the patience.
    pub async fn owner_of_rival(&self, region: Region) -> Result<Owner, String> {
        let patience = self.proofs.newest().owner.patience();
        let owner = self.within(patience, self.owner(region)).await;
        owner.unwrap_or_else(|| Err(late()))
    }

    /// `None` if it takes too long: scopes of healthy accounts wait for the answer.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.within(ANSWER_WITHIN, work).await
    }

    async fn within<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let host = &self.context().host;
        let late = Box::pin(host.sleep_until(host.monotonic() + patience));
        match select(Box::pin(work), late).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    fn owner_of(&self, ready: &ReadyCredentials) -> Owner {
        let told = || ready.proof.owner.known.get().cloned();
        let (identity, lasts) = self.connection.keys.identity(&ready.issued.credentials);
        Owner {
            key: KeyDigest::of(&identity),
            version: ready.issued.version,
            lasts,
            uin: self.connection.uin.clone().or_else(told),
            is_documented: self.connection.uin.is_some(),
        }
    }

    async fn ask(&self, ready: &ReadyCredentials, region: Region) -> Result<Uin, String> {
        let answered = &ready.proof.owner;
        if let Some(why) = answered.failed_lately(self.context().host.monotonic()) {
            return Err(why);
        }
        let ask = || self.caller_identity(ready, region);
        let answer = self.patiently(retry::while_it_helps(self.context(), ask));
        let answer = match answer.await {
            None => Err(late()),
            Some(Ok(identity)) => Uin::new(&identity.account_id).map_err(|error| {
                format!(
                    "AccountId is `{}`, but {error}",
                    brief(&identity.account_id)
                )
            }),
            Some(Err(CallError::Refused(refusal) | CallError::AccountBroken(refusal))) => {
                Err(refusal.said())
            }
            Some(Err(CallError::NotSent(detail) | CallError::Unclear(detail))) => Err(detail),
        };
        if let Err(why) = &answer {
            answered.fail(self.context().host.monotonic(), why.clone());
        }
        answer
    }
}

fn late() -> String {
    format!(
        "there was no answer within {} seconds",
        ANSWER_WITHIN.as_secs()
    )
}

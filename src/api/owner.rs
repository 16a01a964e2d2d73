//! The owner of the credentials in use, for telling two accounts apart. Only [`ReadClient::owner`] asks STS, once for
//! each version of the credentials that STS has answered for. It must not know the consequences of two names for one
//! account.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::client::ReadClient;
use super::error::CallError;
use super::owner_lookup::ANSWER_TIMEOUT;
use super::protocol::wire::Action;
use super::ready_credentials::ReadyCredentials;
use crate::host::Host;
use crate::inventory::AccountIdentity;
use crate::model::{KeyDigest, Region, Uin};
use crate::words::brief;

/// The credentials in use, and their owner as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Represents the secret id, or the role, whose temporary keys have a new id each time.
    pub key: KeyDigest,
    /// The version of the credentials; grows with each change.
    pub version: u64,
    /// Whether the key keeps its id until somebody replaces it.
    pub lasts: bool,
    /// The root account: the one in the document, confirmed by STS, or else the answer of STS.
    pub uin: Option<Uin>,
    /// Whether the document gives the account.
    pub is_documented: bool,
}

impl Owner {
    /// The identity under which rows of the state are claimed.
    pub fn identity(&self) -> AccountIdentity<'_> {
        AccountIdentity {
            uin: self.uin.as_ref(),
            key: self.lasting_key(),
        }
    }

    /// The key that proves that another scope belongs to the same account if no uin does.
    pub fn lasting_key(&self) -> Option<&KeyDigest> {
        self.lasts.then_some(&self.key)
    }
}

impl<H: Host> ReadClient<H> {
    /// The digest of the key in use, whoever owns it. Makes no calls except those that a source needs to fetch its
    /// keys.
    pub async fn key_digest(&self, region: Region) -> Option<KeyDigest> {
        let provider = &self.connection.provider;
        let current = provider.current(self.context(), region);
        let current = self.within_timeout(current).await?.ok()?;
        Some(KeyDigest::of(&provider.identity(&current.credentials).0))
    }

    /// Whether both use the same key, as far as that is known without waiting: from keys that were fetched already, or
    /// are on this machine.
    pub fn has_same_key_at_hand(&self, other: &Self, region: Region) -> bool {
        let ours = self.identity_at_hand(region);
        ours.is_some() && ours == other.identity_at_hand(region)
    }

    /// [`Self::key_digest`] without waiting, as in [`Self::has_same_key_at_hand`].
    pub fn key_at_hand(&self, region: Region) -> Option<KeyDigest> {
        let identity = self.identity_at_hand(region)?;
        Some(KeyDigest::of(&identity))
    }

    /// The text by which the key is compared. It is not a digest, because it is compared for each pair of accounts.
    fn identity_at_hand(&self, region: Region) -> Option<String> {
        let provider = &self.connection.provider;
        let credentials = match provider.active_credentials() {
            Some(credentials) => credentials,
            None if provider.is_fetched() => return None,
            None => {
                let current = provider.current(self.context(), region).now_or_never()?;
                current.ok()?.credentials
            }
        };
        Some(provider.identity(&credentials).0)
    }

    /// The credentials for the next call. Costs no call beyond those before every call: if the document gives a `uin`,
    /// STS has confirmed it. `None` if there are no credentials.
    pub async fn key(&self, region: Region) -> Option<Owner> {
        let ready = self.ready(region).await.ok()?;
        Some(self.owner_of(&ready))
    }

    /// Whether there are credentials, and they belong to the account in the document. This is asked for another
    /// account, so it does not wait for long.
    pub async fn is_confirmed(&self, region: Region) -> bool {
        let newest = self.status.newest();
        let now = || self.context().host.monotonic();
        if newest.owner.recent_failure(now()).is_some() {
            return false;
        }
        match self
            .within(newest.owner.timeout(), self.ready(region))
            .await
        {
            Some(ready) => ready.is_ok(),
            None => {
                newest.owner.fail(now(), timed_out());
                false
            }
        }
    }

    /// [`Self::key`], with the account from STS if no document gives it. The error says why there is no answer, for a
    /// person.
    pub async fn owner(&self, region: Region) -> Result<Owner, String> {
        let ready = self.within_timeout(self.ready(region)).await;
        let ready = ready.ok_or_else(timed_out)?;
        let ready = ready.map_err(|refusal| refusal.to_string())?;
        if self.connection.uin.is_none() {
            let answer = &ready.status.owner;
            let ask_sts = || self.ask_sts(&ready, region);
            answer.known.get_or_try_init(ask_sts).await?;
        }
        Ok(self.owner_of(&ready))
    }

    /// [`Self::owner`], asked on behalf of another account: if there was no answer last time, it is not waited for
    /// again. The account's own scopes keep asking, and wait longer.
    pub async fn owner_of_rival(&self, region: Region) -> Result<Owner, String> {
        let timeout = self.status.newest().owner.timeout();
        let owner = self.within(timeout, self.owner(region)).await;
        owner.unwrap_or_else(|| Err(timed_out()))
    }

    /// `None` if it takes too long, because scopes of healthy accounts wait for the answer.
    async fn within_timeout<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.within(ANSWER_TIMEOUT, work).await
    }

    async fn within<T>(&self, timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
        let host = &self.context().host;
        let timed_out = Box::pin(host.sleep_until(host.monotonic() + timeout));
        match select(Box::pin(work), timed_out).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    fn owner_of(&self, ready: &ReadyCredentials) -> Owner {
        let answered = || ready.status.owner.known.get().cloned();
        let (identity, lasts) = self.connection.provider.identity(&ready.lease.credentials);
        Owner {
            key: KeyDigest::of(&identity),
            version: ready.lease.version,
            lasts,
            uin: self.connection.uin.clone().or_else(answered),
            is_documented: self.connection.uin.is_some(),
        }
    }

    async fn ask_sts(&self, ready: &ReadyCredentials, region: Region) -> Result<Uin, String> {
        let answered = &ready.status.owner;
        if let Some(why) = answered.recent_failure(self.context().host.monotonic()) {
            return Err(why);
        }
        let ask_sts = || self.caller_identity(ready, region);
        let answer = self.within_timeout(self.repeat(Action::GetCallerIdentity, region, ask_sts));
        let answer = match answer.await {
            None => Err(timed_out()),
            Some(Ok(identity)) => Uin::new(&identity.account_id).map_err(|error| {
                format!(
                    "AccountId is `{}`, but {error}",
                    brief(&identity.account_id)
                )
            }),
            Some(Err(CallError::Refused(refusal) | CallError::AccountBroken(refusal))) => {
                Err(refusal.to_string())
            }
            Some(Err(CallError::NotSent(detail) | CallError::Unclear(detail))) => {
                Err(detail.to_string())
            }
        };
        if let Err(why) = &answer {
            answered.fail(self.context().host.monotonic(), why.clone());
        }
        answer
    }
}

fn timed_out() -> String {
    format!(
        "there was no answer within {} seconds",
        ANSWER_TIMEOUT.as_secs()
    )
}

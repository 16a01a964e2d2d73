//! Whose account a scope is: whether another account name of the same region is the same account, and whether that must
//! be known before anything is pruned. Asks STS only where two names could be confused.

use super::Job;
use crate::api::{Owner, ReadClient};
use crate::host::Host;
use crate::inventory::{KnownAccount, KnownAccounts};
use crate::memory::Memory;
use crate::model::{AccountName, Scope, Uin};
use crate::observed::Unseen;
use crate::plan::{AccountProof, Prune, ScopeAccount};

/// Our own code: two account names of one region are one account.
pub const ACCOUNT_NAMED_TWICE: &str = "AccountNamedTwice";

/// Another account name that manifests use in a scope's region.
pub struct Rival<'a, H> {
    /// The name.
    pub name: &'a AccountName,
    /// What its document says; its own calls are refused unless STS confirms it.
    pub uin: Option<&'a Uin>,
    /// The client that calls as it, or why there is none.
    pub client: Result<&'a ReadClient<H>, &'a str>,
}

/// The account that a scope's calls are made as.
#[derive(Clone, Debug, Default)]
pub(super) struct Identified {
    /// `None` where there are no credentials; the look that follows says why.
    pub(super) owner: Option<Owner>,
    /// Why a rival cannot be told apart, if one cannot.
    confusable: Option<String>,
}

/// Tells a scope's account apart from its rivals. An error is the finding that one of them is the same account: then
/// nothing may be written for either.
pub(super) async fn identify<H: Host>(
    client: &ReadClient<H>,
    rivals: &[Rival<'_, H>],
    scope: &Scope,
) -> Result<Identified, Unseen> {
    let Ok(mut owner) = client.key(scope.region).await else {
        return Ok(Identified::default());
    };
    let mut confusable = None;
    for rival in rivals {
        match tell_apart(client, &mut owner, rival, scope).await {
            Apart::Other => {}
            Apart::Same(how) => return Err(named_twice(scope, rival.name, &how)),
            Apart::Unknown(why) => {
                confusable.get_or_insert(why);
            }
        }
    }
    Ok(Identified {
        owner: Some(owner),
        confusable,
    })
}

/// Whether two names stand for one account.
enum Apart {
    Other,
    Same(String),
    Unknown(String),
}

async fn tell_apart<H: Host>(
    client: &ReadClient<H>,
    owner: &mut Owner,
    rival: &Rival<'_, H>,
    scope: &Scope,
) -> Apart {
    let of_rival = format!(
        "account `{}` names images in {} too",
        rival.name, scope.region
    );
    let mut uin = rival.uin.cloned();
    if uin.is_none() || owner.uin.is_none() {
        let theirs = match rival.client {
            Ok(rival) => rival.key(scope.region).await.ok(),
            Err(_) => None,
        };
        if theirs
            .as_ref()
            .is_some_and(|theirs| theirs.key == owner.key)
        {
            return Apart::Same("their keys have the same secret id".into());
        }
    }
    if owner.uin.is_none() {
        match client.owner(scope.region).await {
            Ok(Ok(known)) => *owner = known,
            Ok(Err(why)) => {
                return Apart::Unknown(format!(
                    "{of_rival}, and STS does not name the account of `{}`: {why}",
                    scope.account
                ));
            }
            Err(refusal) => return Apart::Unknown(format!("{of_rival}: {refusal}")),
        }
    }
    if uin.is_none() {
        let told = match rival.client {
            Ok(rival) => rival
                .owner(scope.region)
                .await
                .map_err(|refusal| refusal.to_string()),
            Err(why) => Err(why.to_owned()),
        };
        match told.and_then(|told| told) {
            Ok(known) => uin = known.uin,
            Err(why) => {
                return Apart::Unknown(format!(
                    "{of_rival}, and it is not known which account that is: {why}"
                ));
            }
        }
    }
    match (uin, &owner.uin) {
        (Some(theirs), Some(ours)) if theirs == *ours => {
            Apart::Same(format!("both are uin {ours}"))
        }
        _ => Apart::Other,
    }
}

fn named_twice(scope: &Scope, rival: &AccountName, how: &str) -> Unseen {
    let (account, region) = (&scope.account, scope.region);
    Unseen {
        code: Some(ACCOUNT_NAMED_TWICE.into()),
        ..Unseen::new(format!(
            "accounts `{account}` and `{rival}` are one account ({how}), and the manifests name images in {region} under both; use \
             one account name for each region (a `Restriction` in each directory keeps teams apart), or give the other \
             account its own credentials"
        ))
    }
}

impl Identified {
    /// What the planner must know of the account. STS is asked where pruning needs it.
    pub(super) async fn for_plan<H: Host>(
        &mut self,
        client: &ReadClient<H>,
        job: &Job<'_>,
        known: &KnownAccounts,
        memory: &Memory,
    ) -> ScopeAccount {
        let Some(owner) = &mut self.owner else {
            return ScopeAccount::default();
        };
        let mut proof = AccountProof::Certain;
        if job.policy.prune != Prune::None {
            if let Some(why) = &self.confusable {
                proof = AccountProof::Unproven(why.clone());
            } else if owner.uin.is_none()
                && let Some(reason) = must_know(job, known, owner)
            {
                match client.owner(job.scope.region).await {
                    Ok(Ok(asked)) => *owner = asked,
                    Ok(Err(why)) => {
                        proof = AccountProof::Unproven(format!(
                            "{reason}, and STS does not answer: {why}"
                        ))
                    }
                    Err(refusal) => proof = AccountProof::Unproven(format!("{reason}: {refusal}")),
                }
            }
        }
        let recorded = known
            .scopes
            .get(job.scope)
            .and_then(|known| known.uin.as_ref());
        if let (Some(was), Some(is)) = (memory.former_uin.as_ref().or(recorded), &owner.uin)
            && was != is
        {
            let (was, is) = (was.clone(), is.clone());
            proof = AccountProof::Changed { was, is };
        }
        ScopeAccount {
            uin: owner.uin.clone(),
            proof,
        }
    }
}

/// What the state should know of the scope's credentials from now on, if it has that otherwise. Keys that end are not
/// recorded: the next one says nothing of the last.
pub(super) fn to_record(before: Option<&KnownAccount>, owner: &Owner) -> Option<KnownAccount> {
    let known = before.cloned().unwrap_or_default();
    let now = KnownAccount {
        uin: owner.uin.clone().or_else(|| known.uin.clone()),
        key: owner
            .lasts
            .then(|| owner.key.clone())
            .or_else(|| known.key.clone()),
        ..known.clone()
    };
    (before != Some(&now)).then_some(now)
}

/// Why the account must be known before anything is pruned, if it must: where there is one name and one key, there is
/// nothing to confuse.
fn must_know(job: &Job<'_>, known: &KnownAccounts, owner: &Owner) -> Option<String> {
    let scope = job.scope;
    let mut names = job.used.anywhere.iter();
    if let Some(other) = names.find(|name| **name != scope.account) {
        return Some(format!("the manifests use account `{other}`, too"));
    }
    if let Some(other) = known.other_name(scope, owner.uin.as_ref(), &owner.key) {
        return Some(format!(
            "the state was used under the account name `{other}`, too"
        ));
    }
    let pruned_with = known.scopes.get(scope)?.pruned_with.as_ref()?;
    (*pruned_with != owner.key)
        .then(|| "the key is another than the one that pruned here last".into())
}

//! Whose account a scope is: whether another account name of the same region is the same account, and whether that must
//! be known before anything is pruned. Asks STS only where two names could be confused.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::look::Job;
use crate::api::{Owner, ReadClient};
use crate::attempts::{AccountDoubt, AttemptLog};
use crate::host::Host;
use crate::inventory::{KnownAccount, KnownAccounts};
use crate::model::{AccountName, KeyDigest, Scope, Uin};
use crate::observation::Unobserved;
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
    /// The accounts that rivals are known to be.
    pub(super) rivals: BTreeMap<AccountName, Uin>,
}

/// Tells a scope's account apart from its rivals. An error is the finding that one of them is the same account: then
/// nothing may be written for either.
pub(super) async fn identify<H: Host>(
    client: &ReadClient<H>,
    rivals: &[Rival<'_, H>],
    job: &Job<'_>,
) -> Result<Identified, Unobserved> {
    let (scope, mut identified) = (job.scope, Identified::default());
    // Side by side: each that hangs is waited for, and all of them no longer than one.
    let own = OnceCell::new();
    let told_apart = rivals.iter().map(async |rival| match (job.uin, rival.uin) {
        // The look verifies the own one, and whoever prunes the other one.
        (Some(ours), Some(theirs)) if ours != theirs => {
            documented_apart(client, rival, theirs, scope)
        }
        _ => tell_apart(client, &own, rival, scope).await,
    });
    for (rival, apart) in rivals.iter().zip(join_all(told_apart).await) {
        match apart {
            Apart::Other(uin) => {
                let uin = uin.map(|uin| (rival.name.clone(), uin));
                identified.rivals.extend(uin);
            }
            Apart::Same(how) => return Err(named_twice(scope, rival.name, &how)),
            Apart::Unknown(why) => {
                identified.confusable.get_or_insert(why);
            }
        }
    }
    identified.owner = match own.into_inner() {
        Some(Ok(owner)) => Some(owner),
        Some(Err(_)) | None => client.key(scope.region).await,
    };
    Ok(identified)
}

/// Whether two names stand for one account.
enum Apart {
    Other(Option<Uin>),
    Same(String),
    Unknown(String),
}

/// Two documents that name two accounts, one of which may be wrong about its key.
fn documented_apart<H: Host>(
    client: &ReadClient<H>,
    rival: &Rival<'_, H>,
    theirs: &Uin,
    scope: &Scope,
) -> Apart {
    let Ok(other) = rival.client else {
        return Apart::Other(Some(theirs.clone()));
    };
    // Of what is at hand: keys that must be fetched are fetched for calls, and not for this.
    let region = scope.region;
    match (client.key_at_hand(region), other.key_at_hand(region)) {
        (Some(ours), Some(theirs)) if ours == theirs => Apart::Same(SAME_ID.into()),
        _ => Apart::Other(Some(theirs.clone())),
    }
}

const SAME_ID: &str = "their keys have the same secret id";

async fn tell_apart<H: Host>(
    client: &ReadClient<H>,
    own: &OnceCell<Result<Owner, String>>,
    rival: &Rival<'_, H>,
    scope: &Scope,
) -> Apart {
    let too = format!(
        "account `{}` names images in {} too",
        rival.name, scope.region
    );
    let theirs = match rival.client {
        Ok(rival) => rival.key_digest(scope.region).await,
        Err(_) => None,
    };
    let ours = client.key_digest(scope.region).await;
    if ours.is_some() && ours == theirs {
        return Apart::Same(SAME_ID.into());
    }
    let owner = match own.get_or_init(|| client.owner(scope.region)).await {
        Ok(owner) => owner,
        Err(why) => {
            let name = &scope.account;
            return Apart::Unknown(format!(
                "{too}, and nobody names the account of `{name}`: {why}"
            ));
        }
    };
    let told = match (rival.uin, rival.client) {
        (Some(uin), _) => Ok(Some(uin.clone())),
        (None, Ok(rival)) => rival
            .owner_of_rival(scope.region)
            .await
            .map(|owner| owner.uin),
        (None, Err(why)) => Err(why.to_owned()),
    };
    let uin = match told {
        Ok(uin) => uin,
        Err(why) => {
            return Apart::Unknown(format!(
                "{too}, and it is not known which account that is: {why}"
            ));
        }
    };
    match (uin, owner.uin.as_ref()) {
        (Some(theirs), Some(ours)) if theirs == *ours => {
            Apart::Same(format!("both are uin {ours}"))
        }
        (uin, _) => Apart::Other(uin),
    }
}

fn named_twice(scope: &Scope, rival: &AccountName, how: &str) -> Unobserved {
    let (account, region) = (&scope.account, scope.region);
    Unobserved {
        code: Some(ACCOUNT_NAMED_TWICE.into()),
        ..Unobserved::new(format!(
            "accounts `{account}` and `{rival}` are one account ({how}), and the manifests name images in {region} under both; use \
             one account name for each region (a `Restriction` in each directory keeps teams apart), or give the other \
             account its own credentials"
        ))
    }
}

/// What the state and a look say of the account, for whoever prunes.
pub(super) struct Evidence<'e> {
    pub(super) known: &'e KnownAccounts,
    /// A share of ours shows as the blueprint that was recorded for it under the scope's own name.
    pub(super) shows_own: bool,
    /// Names that the look proves to be of the same account.
    pub(super) proven: BTreeSet<AccountName>,
    /// A name whose rows are taken back, though it had taken over this one's.
    pub(super) taken_back: Option<AccountName>,
}

impl<'e> Evidence<'e> {
    /// What there is before the look is compared with the state.
    fn nothing(known: &'e KnownAccounts) -> Self {
        Self {
            known,
            shows_own: false,
            proven: BTreeSet::new(),
            taken_back: None,
        }
    }
}

impl Identified {
    /// Asks STS whose the credentials are, where a prune must know and no document says it. Why it must be known and is
    /// not, if so.
    pub(super) async fn ask_for_prune<H: Host>(
        &mut self,
        client: &ReadClient<H>,
        rivals: &[Rival<'_, H>],
        job: &Job<'_>,
        known: &KnownAccounts,
        attempts: &AttemptLog,
    ) -> Option<String> {
        if job.policy.prune == Prune::None {
            return None;
        }
        // A document that is wrong about its key may stand for this account.
        let documented = || rivals.iter().filter(|rival| rival.uin.is_some());
        let confirmed = documented().map(async |rival| match rival.client {
            Ok(rival) => rival.is_confirmed(job.scope.region).await,
            Err(_) => false,
        });
        for (rival, is_confirmed) in documented().zip(join_all(confirmed).await) {
            if !is_confirmed {
                let name = rival.name;
                let why = format!(
                    "account `{name}` names images here too, and its credentials are not proven to be its own"
                );
                self.confusable.get_or_insert(why);
            }
        }
        let owner = self.owner.as_mut()?;
        if owner.uin.is_some() {
            return None;
        }
        let nothing = Evidence::nothing(known);
        let reason = must_know(job, &nothing, attempts, owner);
        // Credentials that tell nothing of their account are another account's one day, on another machine: what STS says
        // today is what they are compared with then.
        if reason.is_none() && owner.lasts {
            return None;
        }
        match client.owner(job.scope.region).await {
            Ok(asked) => {
                *owner = asked;
                None
            }
            Err(why) => Some(format!("{}, and STS does not answer: {why}", reason?)),
        }
    }

    /// What the planner must know of the account.
    pub(super) fn for_plan(
        &self,
        job: &Job<'_>,
        attempts: &AttemptLog,
        unasked: Option<String>,
        evidence: &Evidence<'_>,
    ) -> ScopeAccount {
        let Some(owner) = &self.owner else {
            let why = "it could not be found out which credentials there are";
            return ScopeAccount {
                proof: AccountProof::Unproven(why.into()),
                ..job.account()
            };
        };
        let proof = match job.policy.prune {
            Prune::None => AccountProof::Certain,
            Prune::Owned | Prune::Exclusive => self.proof(owner, job, attempts, unasked, evidence),
        };
        ScopeAccount {
            uin: owner.uin.clone(),
            proof,
        }
    }

    fn proof(
        &self,
        owner: &Owner,
        job: &Job<'_>,
        attempts: &AttemptLog,
        unasked: Option<String>,
        evidence: &Evidence<'_>,
    ) -> AccountProof {
        if let Some(doubt) = &attempts.account_doubt {
            return AccountProof::FirstRun(doubt.clone());
        }
        if let Some(why) = &self.confusable {
            return AccountProof::Unproven(why.clone());
        }
        // What the look has proven since STS was asked need not be known from STS.
        let still = |_: &String| must_know(job, evidence, attempts, owner).is_some();
        if let Some(why) = unasked.filter(still) {
            return AccountProof::Unproven(why);
        }
        if let Some(name) = &evidence.taken_back {
            return AccountProof::FirstRun(AccountDoubt::Unproven(format!(
                "images are taken back from account name `{name}`, which had taken over those of `{}`: one state serves two sets of \
                 manifests that each use a name of their own, or the account was renamed back",
                job.scope.account
            )));
        }
        let recorded = evidence.known.scopes.get(job.scope);
        match (recorded.and_then(|known| known.uin.as_ref()), &owner.uin) {
            (Some(was), Some(is)) if was != is => {
                let (was, is) = (was.clone(), is.clone());
                AccountProof::FirstRun(AccountDoubt::Changed { was, is })
            }
            (None, Some(_)) if !owner.is_documented && !evidence.shows_own => {
                match key_changed(job, evidence, attempts, owner) {
                    Some(how) => AccountProof::FirstRun(AccountDoubt::Unproven(format!(
                        "{how}, and none of the shares that sharekeeper made here shows, which would prove that it is the same account"
                    ))),
                    None => AccountProof::Certain,
                }
            }
            _ => AccountProof::Certain,
        }
    }
}

/// What the state should know of the scope's credentials from now on, if it has that otherwise. A uin and a key that do
/// not belong together are not recorded together, and a key that may be another account's does not take the place of the
/// one that is known: whoever prunes with it is asked whose it is.
pub(super) fn to_record(
    before: Option<&KnownAccount>,
    owner: &Owner,
    shows_own: bool,
) -> Option<KnownAccount> {
    let known = before.cloned().unwrap_or_default();
    let key = owner.lasting_key().cloned();
    let now = match &owner.uin {
        Some(uin) => KnownAccount {
            uin: Some(uin.clone()),
            key: key.or_else(|| {
                known
                    .key
                    .clone()
                    .filter(|_| known.uin.as_ref() == Some(uin))
            }),
            ..known.clone()
        },
        // With another key the account that was known may be another one.
        None if known.uin.is_some() => known.clone(),
        None if known.key.is_some() && !shows_own => known.clone(),
        None => KnownAccount {
            key: key.or_else(|| known.key.clone()),
            ..known.clone()
        },
    };
    (before != Some(&now)).then_some(now)
}

/// Why the account must be known before anything is pruned, if it must: where there is one name and one key, there is
/// nothing to confuse.
fn must_know(
    job: &Job<'_>,
    evidence: &Evidence<'_>,
    attempts: &AttemptLog,
    owner: &Owner,
) -> Option<String> {
    let (scope, known) = (job.scope, evidence.known);
    let mut names = job.used.anywhere.iter();
    if let Some(other) = names.find(|name| **name != scope.account) {
        return Some(format!("the manifests use account `{other}`, too"));
    }
    let other = known.other_name(scope, owner.identity());
    if let Some(other) = other.filter(|other| !evidence.proven.contains(*other)) {
        return Some(format!(
            "the state was used under the account name `{other}`, too"
        ));
    }
    key_changed(job, evidence, attempts, owner)
}

/// How the key is another than before, if it is.
fn key_changed(
    job: &Job<'_>,
    evidence: &Evidence<'_>,
    attempts: &AttemptLog,
    owner: &Owner,
) -> Option<String> {
    if owner.lasts && attempts.key.as_ref().is_some_and(|key| *key != owner.key) {
        return Some("the key is another than the one that this run began with".into());
    }
    let recorded = evidence.known.scopes.get(job.scope)?;
    let is_other = |key: &KeyDigest| *key != owner.key;
    if recorded.pruned_with.as_ref().is_some_and(is_other) {
        return Some("the key is another than the one that pruned here last".into());
    }
    // Which the shares that show are proof against.
    if evidence.shows_own {
        return None;
    }
    let how = match &recorded.key {
        Some(key) if is_other(key) => {
            "the key is another than the one that the state was used with last"
        }
        None if recorded.uin.is_some() => {
            "the state knows an account here, and not that the key is of it"
        }
        _ => return None,
    };
    Some(how.into())
}

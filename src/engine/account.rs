//! Finds out which account a scope belongs to: whether another account name of its region means the same account, and
//! whether that must be known before a prune. Asks STS only if two names could be confused. It must not know what will
//! be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::scope_task::ScopeTask;
use crate::api::{Owner, ReadClient};
use crate::attempts::{AccountDoubt, AttemptLog};
use crate::host::Host;
use crate::inventory::{KnownAccount, KnownAccounts, UsedNames};
use crate::model::{AccountName, KeyDigest, Scope, Uin};
use crate::observation::Unobserved;
use crate::plan::{AccountProof, Prune, ScopeAccount};

/// The error code, sharekeeper's own, for two account names in one region that mean the same account.
pub const ACCOUNT_NAMED_TWICE: &str = "AccountNamedTwice";

/// An account name that manifests use in a region.
pub struct OtherAccount<'a, H> {
    /// The name as the manifests spell it.
    pub name: &'a AccountName,
    /// The uin in its document. Calls under this name are refused unless STS confirms that uin.
    pub uin: Option<&'a Uin>,
    /// The client that calls as this account, or why there is none.
    pub client: Result<&'a ReadClient<H>, &'a str>,
}

/// Account data that all scopes of one region share. With many accounts, it is the largest part of what a pass needs.
pub struct RegionAccounts<'a, H> {
    /// The account names that manifests use.
    pub used: Arc<UsedNames>,
    /// The names that they use in the region, each with its client.
    pub accounts: Vec<OtherAccount<'a, H>>,
}

/// The account that signs a scope's calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// `None` if there are no credentials. The observation that follows reports the reason.
    pub(super) owner: Option<Owner>,
    /// Why another name may mean the same account, if one may.
    confusable: Option<String>,
    /// The accounts of other names, if they are known although no document gives them.
    pub(super) others: BTreeMap<AccountName, Uin>,
}

/// Checks that the other account names of the scope's region mean other accounts; `others` may contain the scope's own
/// name. An error says that one of them means the same account: then nothing may be written for either.
pub(super) async fn identify<H: Host>(
    client: &ReadClient<H>,
    others: &[OtherAccount<'_, H>],
    task: &ScopeTask<'_>,
) -> Result<Identity, Unobserved> {
    let (scope, mut identity) = (task.scope, Identity::default());
    let mut asked = Vec::new();
    for other in rivals(others, scope) {
        match (task.uin, other.uin) {
            // The observation verifies our uin. The other name's uin is verified before a prune, because its document
            // may be wrong about its key.
            (Some(ours), Some(theirs)) if ours != theirs => {
                if has_same_key(client, other, scope) {
                    return Err(named_twice(scope, other.name, SAME_ID));
                }
            }
            _ => asked.push(other),
        }
    }
    // All checks run concurrently, so that several hanging ones take no longer than one.
    let own = OnceCell::new();
    let told_apart = asked
        .iter()
        .map(|other| tell_apart(client, &own, other, scope));
    for (other, apart) in asked.iter().zip(join_all(told_apart).await) {
        match apart {
            Apart::Other(uin) => {
                let news = uin.filter(|uin| other.uin != Some(uin));
                let news = news.map(|uin| (other.name.clone(), uin));
                identity.others.extend(news);
            }
            Apart::Same(how) => return Err(named_twice(scope, other.name, &how)),
            Apart::Unknown(why) => {
                identity.confusable.get_or_insert(why);
            }
        }
    }
    identity.owner = match own.into_inner() {
        Some(Ok(owner)) => Some(owner),
        Some(Err(_)) | None => client.key(scope.region).await,
    };
    Ok(identity)
}

/// Whether two names mean the same account.
enum Apart {
    /// Another account, with its uin if that is known.
    Other(Option<Uin>),
    Same(String),
    Unknown(String),
}

/// The other account names in the region.
fn rivals<'o, 'a, H>(
    of_region: &'o [OtherAccount<'a, H>],
    scope: &Scope,
) -> impl Iterator<Item = &'o OtherAccount<'a, H>> {
    of_region
        .iter()
        .filter(|other| *other.name != scope.account)
}

/// Whether two names use the same key. Compares only keys that are in memory; none is fetched just for this.
fn has_same_key<H: Host>(
    client: &ReadClient<H>,
    other: &OtherAccount<'_, H>,
    scope: &Scope,
) -> bool {
    let theirs = other.client.ok();
    theirs.is_some_and(|theirs| client.has_same_key_at_hand(theirs, scope.region))
}

const SAME_ID: &str = "their keys have the same secret id";

async fn tell_apart<H: Host>(
    client: &ReadClient<H>,
    own: &OnceCell<Result<Owner, String>>,
    other: &OtherAccount<'_, H>,
    scope: &Scope,
) -> Apart {
    let too = format!(
        "account `{}` names images in {} too",
        other.name, scope.region
    );
    let theirs = match other.client {
        Ok(other) => other.key_digest(scope.region).await,
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
                "{too}, and the account of `{name}` is not known: {why}"
            ));
        }
    };
    let told = match (other.uin, other.client) {
        (Some(uin), _) => Ok(Some(uin.clone())),
        (None, Ok(other)) => other
            .owner_of_rival(scope.region)
            .await
            .map(|owner| owner.uin),
        (None, Err(why)) => Err(why.to_owned()),
    };
    let uin = match told {
        Ok(uin) => uin,
        Err(why) => {
            return Apart::Unknown(format!("{too}, and its account is not known: {why}"));
        }
    };
    match (uin, owner.uin.as_ref()) {
        (Some(theirs), Some(ours)) if theirs == *ours => {
            Apart::Same(format!("both are uin {ours}"))
        }
        (uin, _) => Apart::Other(uin),
    }
}

fn named_twice(scope: &Scope, other: &AccountName, how: &str) -> Unobserved {
    let (account, region) = (&scope.account, scope.region);
    Unobserved {
        code: Some(ACCOUNT_NAMED_TWICE.into()),
        ..Unobserved::new(format!(
            "accounts `{account}` and `{other}` are one account ({how}), and the manifests name images in {region} under both; use \
             one account name for each region (a `Restriction` in each directory keeps teams apart), or give the other \
             account its own credentials"
        ))
    }
}

/// What the state and an observation prove about the account, as a basis for pruning.
pub(super) struct Evidence<'e> {
    pub(super) known: &'e KnownAccounts,
    /// Whether one of our shares shows with the blueprint that is recorded for it under the scope's own name.
    pub(super) shows_own: bool,
    /// Names that the observation proves to mean the same account.
    pub(super) proven: BTreeSet<AccountName>,
    /// A name whose rows the scope takes back, although that name had taken over the scope's rows before.
    pub(super) taken_back: Option<AccountName>,
}

impl<'e> Evidence<'e> {
    /// The evidence before the observation is compared with the state.
    fn nothing(known: &'e KnownAccounts) -> Self {
        Self {
            known,
            shows_own: false,
            proven: BTreeSet::new(),
            taken_back: None,
        }
    }
}

impl Identity {
    /// Asks STS for the owner of the credentials, if a prune needs to know it and no document gives it. Returns why it
    /// must be known, if STS does not answer.
    pub(super) async fn ask_for_prune<H: Host>(
        &mut self,
        client: &ReadClient<H>,
        others: &[OtherAccount<'_, H>],
        task: &ScopeTask<'_>,
        known: &KnownAccounts,
        attempts: &AttemptLog,
    ) -> Option<String> {
        if task.policy.prune == Prune::None {
            return None;
        }
        // A name with a wrong uin in its document may mean this account.
        let documented = || rivals(others, task.scope).filter(|other| other.uin.is_some());
        let confirmed = documented().map(async |other| match other.client {
            Ok(other) => other.is_confirmed(task.scope.region).await,
            Err(_) => false,
        });
        for (other, is_confirmed) in documented().zip(join_all(confirmed).await) {
            if !is_confirmed {
                let name = other.name;
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
        let reason = must_know(task, &nothing, attempts, owner);
        // Temporary credentials do not identify an account, and another machine may use another account's later. The
        // answer of STS is kept to compare those with it.
        if reason.is_none() && owner.lasts {
            return None;
        }
        match client.owner(task.scope.region).await {
            Ok(asked) => {
                *owner = asked;
                None
            }
            Err(why) => Some(format!("{}, but STS does not answer: {why}", reason?)),
        }
    }

    /// The proof of the account that the planner needs.
    pub(super) fn for_plan(
        &self,
        task: &ScopeTask<'_>,
        attempts: &AttemptLog,
        unasked: Option<String>,
        evidence: &Evidence<'_>,
    ) -> ScopeAccount {
        let Some(owner) = &self.owner else {
            let why = "the credentials could not be read";
            return ScopeAccount {
                proof: AccountProof::Unproven(why.into()),
                ..task.account()
            };
        };
        let proof = match task.policy.prune {
            Prune::None => AccountProof::Certain,
            Prune::Owned | Prune::Exclusive => self.proof(owner, task, attempts, unasked, evidence),
        };
        ScopeAccount {
            uin: owner.uin.clone(),
            proof,
        }
    }

    fn proof(
        &self,
        owner: &Owner,
        task: &ScopeTask<'_>,
        attempts: &AttemptLog,
        unasked: Option<String>,
        evidence: &Evidence<'_>,
    ) -> AccountProof {
        if let Some(doubt) = &attempts.account_doubt {
            return AccountProof::AccountChanged(doubt.clone());
        }
        if let Some(why) = &self.confusable {
            return AccountProof::Unproven(why.clone());
        }
        // STS need not confirm what the observation has proven in the meantime.
        let still = |_: &String| must_know(task, evidence, attempts, owner).is_some();
        if let Some(why) = unasked.filter(still) {
            return AccountProof::Unproven(why);
        }
        if let Some(name) = &evidence.taken_back {
            return AccountProof::AccountChanged(AccountDoubt::Unproven(format!(
                "account name `{name}` had taken over the images of `{}`, and now they are taken back: either one state serves two sets of \
                 manifests with different names for the account, or the account was renamed back",
                task.scope.account
            )));
        }
        let recorded = evidence.known.scopes.get(task.scope);
        match (recorded.and_then(|known| known.uin.as_ref()), &owner.uin) {
            (Some(was), Some(is)) if was != is => {
                let (was, is) = (was.clone(), is.clone());
                AccountProof::AccountChanged(AccountDoubt::Changed { was, is })
            }
            (None, Some(_)) if !owner.is_documented && !evidence.shows_own => {
                match key_changed(task, evidence, attempts, owner) {
                    Some(how) => AccountProof::AccountChanged(AccountDoubt::Unproven(format!(
                        "{how}, and no share that sharekeeper made here is visible to prove that it is the same account"
                    ))),
                    None => AccountProof::Certain,
                }
            }
            _ => AccountProof::Certain,
        }
    }
}

/// The credentials that the state should record for the scope, if they differ from `before`. A uin and a key that do
/// not belong together are not recorded together. A key that may belong to another account does not replace the known
/// one, so that a prune with it still asks for its owner.
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
        // The key may belong to another account than the recorded one.
        None if known.uin.is_some() => known.clone(),
        None if known.key.is_some() && !shows_own => known.clone(),
        None => KnownAccount {
            key: key.or_else(|| known.key.clone()),
            ..known.clone()
        },
    };
    (before != Some(&now)).then_some(now)
}

/// Why the account must be known before a prune, if it must. With one name and one key, there is nothing to confuse.
fn must_know(
    task: &ScopeTask<'_>,
    evidence: &Evidence<'_>,
    attempts: &AttemptLog,
    owner: &Owner,
) -> Option<String> {
    let (scope, known) = (task.scope, evidence.known);
    let mut names = task.used.anywhere.iter();
    if let Some(other) = names.find(|name| **name != scope.account) {
        return Some(format!("the manifests use account `{other}`, too"));
    }
    let other = known.other_name(scope, owner.identity());
    if let Some(other) = other.filter(|other| !evidence.proven.contains(*other)) {
        return Some(format!(
            "the state was used under the account name `{other}`, too"
        ));
    }
    key_changed(task, evidence, attempts, owner)
}

/// The difference between the key and the recorded one, if there is one.
fn key_changed(
    task: &ScopeTask<'_>,
    evidence: &Evidence<'_>,
    attempts: &AttemptLog,
    owner: &Owner,
) -> Option<String> {
    if owner.lasts && attempts.key.as_ref().is_some_and(|key| *key != owner.key) {
        return Some("the key differs from the one that this run began with".into());
    }
    let recorded = evidence.known.scopes.get(task.scope)?;
    let is_other = |key: &KeyDigest| *key != owner.key;
    if recorded.pruned_with.as_ref().is_some_and(is_other) {
        return Some("the key differs from the one that pruned here last".into());
    }
    // A visible share of ours proves that the account is the same, whatever the key.
    if evidence.shows_own {
        return None;
    }
    let how = match &recorded.key {
        Some(key) if is_other(key) => {
            "the key differs from the one that the state was last used with"
        }
        None if recorded.uin.is_some() => {
            "the state knows an account here, but not whether the key belongs to it"
        }
        _ => return None,
    };
    Some(how.into())
}

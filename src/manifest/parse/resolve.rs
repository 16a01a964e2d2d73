//! Documents → desired state: checks everything that concerns more than one document.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::document::{Document, Header, Lock, PolicyDocument, Share};
use super::entries::Entries;
use super::policies;
use super::uin_conflicts::RegionUses;
use crate::desired::{Account, Completeness, Desired};
use crate::manifest::diagnostic::{Place, Sink};
use crate::manifest::suggest::did_you_mean;
use crate::model::AccountName;

/// Accounts by name, each with the place of its name.
type Accounts = BTreeMap<AccountName, (Place, Account)>;

/// Joins the documents. If an error is reported, the result must not be used.
pub(super) fn resolve(documents: Vec<Document>, sink: &mut Sink<'_>) -> Desired {
    let ByKind {
        accounts,
        shares,
        policies,
        locks,
    } = by_kind(documents, sink);
    let mut share_names = Names::of("ImageShare");
    let mut entries = Entries::default();
    let mut uses = RegionUses::default();
    for share in shares {
        check_header(&share.header, &accounts, &mut share_names, &mut uses, sink);
        entries.add(share, sink);
    }
    let mut policy_names = Names::of("ImageSharePolicy");
    for policy in &policies {
        check_header(
            &policy.header,
            &accounts,
            &mut policy_names,
            &mut uses,
            sink,
        );
    }
    uses.check(&accounts, sink);
    entries.warn_of_ids_in_several_regions(sink);
    policies::check_replacements(&policies, sink);
    let locks = policies::locks(locks, &policies, sink);
    let (images, names) = entries.into_parts();
    Desired {
        images,
        names,
        policies: policies::by_scope(policies),
        locks,
        accounts: accounts
            .into_iter()
            .map(|(name, (_, account))| (name, account))
            .collect(),
        // Set by `load`, because documents do not show it.
        completeness: Completeness::default(),
    }
}

/// The documents of each kind that make up the desired state.
#[derive(Default)]
struct ByKind {
    /// The accounts, each once.
    accounts: Accounts,
    shares: Vec<Share>,
    policies: Vec<PolicyDocument>,
    locks: Vec<Lock>,
}

fn by_kind(documents: Vec<Document>, sink: &mut Sink<'_>) -> ByKind {
    let mut all = ByKind::default();
    for document in documents {
        match document {
            Document::Share(share) => all.shares.push(share),
            Document::Policy(policy) => all.policies.push(*policy),
            Document::Lock(lock) => all.locks.push(lock),
            Document::Restriction(_) => {}
            Document::Account {
                name,
                place,
                mut account,
            } => {
                account.source = sink.source_of(place);
                match all.accounts.entry(name) {
                    Entry::Vacant(free) => {
                        free.insert((place, account));
                    }
                    Entry::Occupied(taken) => {
                        let message = format!("account `{}` is declared twice", taken.key());
                        sink.duplicate(place, taken.get().0, &message);
                    }
                }
            }
        }
    }
    all
}

/// The names of the documents of one kind, each with its place.
struct Names {
    kind: &'static str,
    places: BTreeMap<String, Place>,
}

impl Names {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            places: BTreeMap::new(),
        }
    }

    fn note(&mut self, name: &str, place: Place, sink: &mut Sink<'_>) {
        match self.places.entry(name.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(first) => {
                let message = format!("two {} documents are named `{name}`", self.kind);
                sink.duplicate(place, *first.get(), &message);
            }
        }
    }
}

fn check_header(
    header: &Header,
    accounts: &Accounts,
    names: &mut Names,
    uses: &mut RegionUses,
    sink: &mut Sink<'_>,
) {
    if let Some((name, place)) = &header.name {
        names.note(name, *place, sink);
    }
    if let Some((account, place)) = &header.account {
        known_account(sink, account, *place, accounts);
    }
    uses.note(&header.account_name(), &header.regions);
}

fn known_account(sink: &mut Sink<'_>, name: &AccountName, place: Place, accounts: &Accounts) {
    if accounts.contains_key(name) || *name == AccountName::default() {
        return;
    }
    let known = accounts
        .keys()
        .map(AccountName::as_str)
        .chain([AccountName::DEFAULT]);
    let help = did_you_mean(name.as_str(), known)
        .unwrap_or_else(|| format!("add an `Account` document named `{name}`, or omit `account`"));
    sink.error(place, format!("no Account document is named `{name}`"))
        .help(help);
}

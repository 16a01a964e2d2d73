//! Checks that no account is declared under two names in one region: two inventories of the same images would undo each
//! other's work.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::desired::Account;
use crate::manifest::diagnostic::{Place, Sink};
use crate::model::{AccountName, Region, Uin};

/// The place at which each account is first named in each region, in the order of the documents.
#[derive(Default)]
pub(super) struct RegionUses(BTreeMap<AccountName, BTreeMap<Region, Place>>);

impl RegionUses {
    pub(super) fn note(&mut self, account: &AccountName, regions: &[(Region, Place)]) {
        let uses = self.0.entry(account.clone()).or_default();
        for &(region, place) in regions {
            uses.entry(region).or_insert(place);
        }
    }

    /// Reports each pair of accounts that share a `uin` and a region, once for the pair.
    pub(super) fn check(
        &self,
        accounts: &BTreeMap<AccountName, (Place, Account)>,
        sink: &mut Sink<'_>,
    ) {
        let mut by_uin: BTreeMap<&Uin, Vec<&AccountName>> = BTreeMap::new();
        for (name, (_, account)) in accounts {
            if let Some(uin) = &account.uin {
                by_uin.entry(uin).or_default().push(name);
            }
        }
        for (uin, names) in by_uin {
            // The first account in each region. Each later one is reported against it.
            let mut taken: BTreeMap<Region, &AccountName> = BTreeMap::new();
            let mut pairs: BTreeMap<(&AccountName, &AccountName), Vec<Region>> = BTreeMap::new();
            for name in names {
                for &region in self.0.get(name).into_iter().flat_map(BTreeMap::keys) {
                    match taken.entry(region) {
                        Entry::Vacant(free) => {
                            free.insert(name);
                        }
                        Entry::Occupied(first) => {
                            pairs.entry((first.get(), name)).or_default().push(region);
                        }
                    }
                }
            }
            for ((first, second), regions) in pairs {
                self.report(uin, [first, second], &regions, sink);
            }
        }
    }

    fn report(&self, uin: &Uin, names: [&AccountName; 2], regions: &[Region], sink: &mut Sink<'_>) {
        let place = |name| self.0[name][&regions[0]];
        let [mut first, mut second] = names;
        let order = |place: Place| (place.file, place.start);
        if order(place(second)) < order(place(first)) {
            std::mem::swap(&mut first, &mut second);
        }
        let all: Vec<_> = regions.iter().map(|region| region.as_str()).collect();
        let message = format!(
            "accounts `{first}` and `{second}` are both uin {uin}, and both name {}",
            all.join(", ")
        );
        sink.error(place(second), message)
            .related(place(first), "named under the other account here")
            .help(format!(
                "use one account name for each region: write `account: {first}` in both documents (a `Restriction` in each \
                 directory keeps teams apart), or name other regions under `{second}`"
            ));
    }
}

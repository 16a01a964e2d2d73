//! Applies what people do to the state beside the processes, such as `adopt` and `accept`, and what somebody else does
//! to many shares at once.

use serde::{Deserialize, Serialize};
use sharekeeper::host::Clock;
use sharekeeper::inventory::{InventoryEntry, LossAcceptance, OwnedShare};
use sharekeeper::model::{AccountName, ImageId, Region, Scope};

use super::machine::Machine;
use super::run::Story;
use super::scenario::REGIONS;
use super::support::Recorded;

/// An action of a person. Images are given by their indexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PersonAction {
    /// The installation owns the share from now on, whoever made it.
    Adopt(usize),
    /// The installation no longer owns the share, which remains.
    Release(usize),
    /// The person knows that nobody will reverse the image any more.
    Unpark(usize),
    /// The person accepts that this many shares vanished at once.
    Accept {
        account: usize,
        region: usize,
        lost: u32,
    },
}

impl PersonAction {
    /// The image of the action, if it has one.
    pub(crate) fn image(&self) -> Option<usize> {
        match self {
            Self::Adopt(image) | Self::Release(image) | Self::Unpark(image) => Some(*image),
            Self::Accept { .. } => None,
        }
    }
}

impl Story {
    /// A person changes an installation's state.
    pub(crate) fn action(&self, installation: usize, action: &PersonAction) {
        match action {
            PersonAction::Adopt(image) => self.adopt(installation, *image),
            PersonAction::Release(image) => {
                self.change_entry(installation, *image, |entry| entry.owned = None);
                self.parts.checker.released(installation, *image);
            }
            PersonAction::Unpark(image) => {
                self.change_entry(installation, *image, |entry| {
                    entry.writes.clear();
                    entry.parked_since = None;
                });
                self.parts.checker.unparked(installation, *image);
            }
            PersonAction::Accept {
                account,
                region,
                lost,
            } => self.accept(installation, (*account, *region), *lost),
        }
    }

    /// The scope under the present name of its account.
    fn scope(&self, account: usize, region: usize) -> Scope {
        let name = &self.manifests.borrow().names[account];
        Scope {
            account: AccountName::new(name).expect("a name"),
            region: Region::new(REGIONS[region]).expect("a region"),
        }
    }

    fn ledger(&self, installation: usize) -> &Recorded<Machine> {
        &self.installations[installation].ledger
    }

    /// Changes the inventory entry of an image under each name of its account.
    fn change_entry(
        &self,
        installation: usize,
        image: usize,
        change: impl Fn(&mut InventoryEntry),
    ) {
        let id = ImageId::new(&self.parts.scenario.images[image].id()).expect("an id");
        let mut scopes = self.ledger(installation).scopes.borrow_mut();
        let rows = scopes.values_mut();
        rows.filter_map(|rows| rows.images.get_mut(&id))
            .for_each(change);
    }

    /// The person was shown the blueprint that exists now.
    fn adopt(&self, installation: usize, index: usize) {
        let image = &self.parts.scenario.images[index];
        let cloud = &self.parts.cloud;
        if !cloud.is_shared(image.region(), &image.id()) {
            return;
        }
        let blueprint = cloud.blueprint(image.region(), &image.id());
        let scope = self.scope(image.account, image.region);
        let id = ImageId::new(&image.id()).expect("an id");
        let mut scopes = self.ledger(installation).scopes.borrow_mut();
        // The entry under an earlier name of the account moves to the present name.
        let mut entry = InventoryEntry::default();
        let mut open = Vec::new();
        for rows in scopes.values_mut() {
            entry = rows.images.remove(&id).unwrap_or(entry);
            open.extend(rows.open_intents.remove(&id).unwrap_or_default());
        }
        entry.owned = Some(OwnedShare::adopted(&blueprint, cloud.now()));
        let rows = scopes.entry(scope).or_default();
        rows.images.insert(id.clone(), entry);
        if !open.is_empty() {
            rows.open_intents.insert(id, open);
        }
        self.parts.checker.adopted(installation, index, &blueprint);
    }

    fn accept(&self, installation: usize, place: (usize, usize), lost: u32) {
        let scope = self.scope(place.0, place.1);
        let mut scopes = self.ledger(installation).scopes.borrow_mut();
        let said = &mut scopes.entry(scope).or_default().acceptances;
        said.retain(|one| one.lost != lost);
        said.push(LossAcceptance {
            lost,
            images: None,
            by: "someone@somewhere".into(),
            since: self.parts.cloud.now(),
        });
        self.parts.checker.accepted(installation, place, lost);
    }

    /// People see the losses that the daemons report, and accept them.
    pub(crate) fn accept_what_is_lost(&self) {
        for installation in &self.installations {
            let Some(process) = &installation.process else {
                continue;
            };
            for (scope, loss) in process.losses() {
                let account = self.manifests.borrow().account(scope.account.as_str());
                let region = REGIONS.iter().position(|one| *one == scope.region.as_str());
                let lost = u32::try_from(loss).expect("a few");
                if let (Some(account), Some(region)) = (account, region) {
                    self.accept(installation.number, (account, region), lost);
                }
            }
        }
    }
}

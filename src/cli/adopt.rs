use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::args::{AdoptArguments, Common};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{connect, simulated, state, validate};
use crate::api::ReadClient;
use crate::desired::Desired;
use crate::engine::{self, Task};
use crate::host::Host;
use crate::inventory::{Inventory, OwnedShare, OwnershipState};
use crate::ledger::LedgerReader;
use crate::listing;
use crate::model::{AccountName, ImageId, ImageKey, Labels, Scope, Selector, ShareState};
use crate::observation::{Observation, Seen};
use crate::plan::Policy;
use crate::report::{AdoptDocument, Adopted};
use crate::store::Reader;

/// `adopt`: takes shared images into the inventory, or lets images go from it.
pub(super) async fn run(arguments: &AdoptArguments, common: &Common) -> Result<u8, Failure> {
    let selector = arguments.narrow.selector();
    if selector.is_all() && !arguments.all {
        return Err(Failure::usage(
            "say which images: `--image`, `--region`, `--account` or `-l`; or `--all` for every one",
        ));
    }
    let desired = match validate::load(&arguments.paths, common.output).await? {
        Ok(desired) => desired,
        Err(exit) => return Ok(exit.code()),
    };
    let directory = state::directory(common, arguments.target.sim)?;
    simulated::reset(&arguments.target, &directory)?;
    let reader = state::read(&directory)?;
    let document = if arguments.release {
        let released = owned(&reader, &desired, &selector).await?;
        if !arguments.dry_run && !released.is_empty() {
            let keys = released.clone();
            state::remark(&directory, "adopt --release")?
                .release(keys, &state::by(), "`sharekeeper adopt --release`")
                .map_err(Failure::new)?;
        }
        AdoptDocument::released(released, arguments.dry_run)
    } else {
        let reached = connect::accounts(&desired, &selector);
        if reached.accounts.is_empty() {
            return Err(Failure::new(format_args!(
                "the manifests name nothing of {selector}, so there is nothing to adopt; name the image, or another one in \
                 that account and region, first"
            )));
        }
        let mut session =
            Session::open(&arguments.target, &directory, &desired, &reached.accounts).await?;
        let shared = session::context()?;
        let worked_on = |name: &AccountName| reached.worked_on.contains(name);
        let clients = session.clients(&shared, worked_on).await?;
        let task = Task {
            desired: &desired,
            selector: &selector,
            policy: &Policy::DEFAULT,
            approved_by_scope: None,
        };
        if let Some(refused) = engine::refusal(&clients, &task).await {
            session.close().await?;
            return Err(Failure::new(refused));
        }
        let found = survey(&clients, &reader, &desired, &selector).await;
        session.close().await?;
        let found = found?;
        let adopted = found.adoptable.iter().map(|(key, owned)| Adopted {
            key: key.clone(),
            blueprint_id: owned.blueprint.clone().unwrap_or_default(),
        });
        let adopted = adopted.collect();
        if !arguments.dry_run && !found.adoptable.is_empty() {
            state::remark(&directory, "adopt")?
                .adopt(
                    found.adoptable,
                    &desired.names(),
                    &state::by(),
                    "`sharekeeper adopt`",
                )
                .map_err(Failure::new)?;
        }
        AdoptDocument::adopted(adopted, found.not_shared, found.unseen, arguments.dry_run)
    };
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_code())
}

/// Images in the inventory that are selected; of those that no manifest names, too.
async fn owned(
    reader: &Reader,
    desired: &Desired,
    selector: &Selector,
) -> Result<Vec<ImageKey>, Failure> {
    let mut keys = Vec::new();
    for scope in reader.summary().map_err(Failure::new)?.scopes.into_keys() {
        let inventory = reader.inventory(&scope).await.map_err(Failure::new)?;
        for (image, record) in inventory.images {
            let key = key(&scope, &image);
            let none = Labels::new();
            let labels = desired
                .images
                .get(&key)
                .map_or(&none, |image| &*image.labels);
            if record.owned.is_some() && selector.matches(&key, labels) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// What can be adopted.
#[derive(Default)]
struct Found {
    adoptable: Vec<(ImageKey, OwnedShare)>,
    not_shared: Vec<ImageKey>,
    unseen: Vec<String>,
}

async fn survey<H: Host>(
    clients: &BTreeMap<AccountName, ReadClient<H>>,
    reader: &Reader,
    desired: &Desired,
    selector: &Selector,
) -> Result<Found, Failure> {
    let scopes = desired.by_scope(selector);
    let looks = scopes.iter().filter_map(|(scope, wanted)| {
        let client = clients.get(&scope.account)?;
        Some(async move {
            let observation = listing::observe(client, scope).await;
            (*scope, wanted, observation, client.clocks(scope.region))
        })
    });
    let mut found = Found::default();
    // An image that no manifest names is adopted only by its id: to have it pruned may be the very purpose. It need not
    // be everywhere.
    let (mut placed, mut absent) = (BTreeSet::new(), Vec::new());
    for (scope, wanted, observation, clocks) in join_all(looks).await {
        let seen = match observation {
            Observation::Seen(seen) => seen,
            Observation::ReadDenied(why) | Observation::Unobserved(why) => {
                output::warn(format_args!("{scope}: not read: {why}"));
                found.unseen.push(scope.to_string());
                continue;
            }
        };
        let inventory = reader.inventory(scope).await.map_err(Failure::new)?;
        for (&image, named) in &wanted.images {
            placed.insert(image);
            let there = found.take(scope, image, &seen, &inventory);
            let meant = clocks.any(|now| named.intent.at(now).0 == ShareState::Shared)
                || selector.images.contains(image);
            if !there && meant {
                found.not_shared.push(key(scope, image));
            }
        }
        for image in selector.images.iter().filter(|image| !wanted.names(image)) {
            if found.take(scope, image, &seen, &inventory) {
                placed.insert(image);
            } else {
                absent.push(key(scope, image));
            }
        }
    }
    absent.retain(|key| !placed.contains(&key.image));
    found.not_shared.append(&mut absent);
    found.not_shared.sort();
    Ok(found)
}

fn key(scope: &Scope, image: &ImageId) -> ImageKey {
    ImageKey {
        scope: scope.clone(),
        image: image.clone(),
    }
}

impl Found {
    /// Takes the image, if it is shared and not ours already; false if there is nothing to take.
    fn take(&mut self, scope: &Scope, image: &ImageId, seen: &Seen, inventory: &Inventory) -> bool {
        let record = inventory.images.get(image);
        let ownership = record
            .and_then(|record| record.owned.as_ref())
            .map(|owned| owned.ownership);
        match (seen.shared.get(image), ownership) {
            (_, Some(OwnershipState::Acknowledged | OwnershipState::Adopted)) => true,
            (Some(blueprint), _) => {
                let owned = OwnedShare::adopted(&blueprint.id, state::now());
                self.adoptable.push((key(scope, image), owned));
                true
            }
            (None, _) => false,
        }
    }
}

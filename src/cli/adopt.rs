//! `adopt`: adds shared images to the inventory, or removes images from it. It writes only to the state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::join_all;

use super::args::{AdoptArguments, Common};
use super::output::{self, Failure};
use super::session::{self, Session};
use super::{accounts, manifests, sim_target, state};
use crate::api::ReadClient;
use crate::desired::{Desired, DesiredImage, DesiredScope};
use crate::engine::{self, Task};
use crate::host::Host;
use crate::inventory::{Inventory, OwnedShare, OwnershipState};
use crate::ledger::LedgerReader;
use crate::listing;
use crate::model::{AccountName, ImageId, ImageKey, Labels, Scope, Selector, ShareState};
use crate::observation::{Observation, OwnImages, Seen, Unobserved};
use crate::plan::Policy;
use crate::report::{AdoptDocument, Adopted, ExitStatus, UnreadRegions};
use crate::store::Reader;

pub(super) async fn run(
    arguments: &AdoptArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let selector = arguments.selection.selector();
    if selector.is_all() && !arguments.all {
        return Err(Failure::usage(
            "say which images: `--image`, `--region`, `--account` or `-l`; or `--all` for all of them",
        ));
    }
    let desired = manifests::load(&arguments.paths, common.output).await?;
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let document = if arguments.release {
        release(arguments, &directory, &desired, &selector).await?
    } else {
        adopt(arguments, &directory, &desired, &selector).await?
    };
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

/// Removes images from the inventory.
async fn release(
    arguments: &AdoptArguments,
    directory: &Path,
    desired: &Desired,
    selector: &Selector,
) -> Result<AdoptDocument, Failure> {
    let reader = state::read(directory)?;
    let released = owned_images(&reader, desired, selector).await?;
    if !arguments.dry_run && !released.is_empty() {
        let keys = released.clone();
        state::open_for_operator(directory, "adopt --release")?
            .release(
                keys,
                &state::operator_name(),
                "`sharekeeper adopt --release`",
            )
            .map_err(Failure::new)?;
    }
    Ok(AdoptDocument::released(released, arguments.dry_run))
}

/// Adds shared images to the inventory.
async fn adopt(
    arguments: &AdoptArguments,
    directory: &Path,
    desired: &Desired,
    selector: &Selector,
) -> Result<AdoptDocument, Failure> {
    let reader = state::read(directory)?;
    let accounts = accounts::selected(desired, selector);
    if accounts.documents.is_empty() {
        return Err(Failure::new(format_args!(
            "the manifests name nothing in {selector}, so there is nothing to adopt; name the image, or another one in \
             that account and region, first"
        )));
    }
    let mut session =
        Session::open(&arguments.target, directory, desired, &accounts.documents).await?;
    let client_context = session::client_context()?;
    let is_worked_on = |name: &AccountName| accounts.worked_on.contains(name);
    let clients = session.clients(&client_context, is_worked_on).await?;
    let task = Task {
        desired,
        selector,
        policy: &Policy::DEFAULT,
        approved_by_scope: None,
    };
    if let Some(refusal) = engine::refusal(&clients, &task).await {
        session.close().await?;
        return Err(Failure::new(refusal));
    }
    let survey = survey(&clients, &reader, desired, selector).await;
    session.close().await?;
    let survey = survey?;
    let adopted = survey.adoptable.iter().map(|(key, name, owned)| Adopted {
        key: key.clone(),
        image_name: name.clone(),
        blueprint_id: owned.blueprint.clone().unwrap_or_default(),
    });
    let adopted = adopted.collect();
    let adoptable: Vec<_> = survey
        .adoptable
        .into_iter()
        .map(|(key, _, owned)| (key, owned))
        .collect();
    if !arguments.dry_run && !adoptable.is_empty() {
        state::open_for_operator(directory, "adopt")?
            .adopt(
                adoptable,
                &desired.names(),
                &state::operator_name(),
                "`sharekeeper adopt`",
            )
            .map_err(Failure::new)?;
    }
    Ok(AdoptDocument::adopted(
        adopted,
        survey.not_shared,
        survey.unseen,
        arguments.dry_run,
    ))
}

/// Selected images in the inventory, including those that no manifest names.
async fn owned_images(
    reader: &Reader,
    desired: &Desired,
    selector: &Selector,
) -> Result<Vec<ImageKey>, Failure> {
    let mut keys = Vec::new();
    for scope in reader.summary().map_err(Failure::new)?.scopes.into_keys() {
        let inventory = reader.inventory(&scope).await.map_err(Failure::new)?;
        for (image, entry) in &inventory.images {
            let key = key(&scope, image);
            let none = Labels::new();
            let by_name = || {
                let names = desired.names.get(&scope)?;
                let mut meanings = inventory.memory.names.iter();
                let (name, _) = meanings.find(|(_, meant)| **meant == key.image)?;
                names.get(name)
            };
            let entry_of = desired.images.get(&key).or_else(by_name);
            let labels = entry_of.map_or(&none, |image| &*image.document.labels);
            if entry.owned.is_some() && selector.matches(&key, labels) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// The findings about the selected images.
#[derive(Default)]
struct Survey {
    /// Images that can be adopted, each with the name of its blueprint if it has one.
    adoptable: Vec<(ImageKey, Option<String>, OwnedShare)>,
    not_shared: Vec<ImageKey>,
    unseen: Vec<String>,
    unread: UnreadRegions,
}

impl Survey {
    fn not_read(&mut self, scope: &Scope, why: &Unobserved) {
        self.unread.add(scope, why);
        self.unseen.push(scope.to_string());
    }
}

async fn survey<H: Host>(
    clients: &BTreeMap<AccountName, ReadClient<H>>,
    reader: &Reader,
    desired: &Desired,
    selector: &Selector,
) -> Result<Survey, Failure> {
    let scopes = desired.by_scope(selector);
    let observations = scopes.iter().filter_map(|(scope, wanted)| {
        let client = clients.get(&scope.account)?;
        Some(async move {
            let mut observation = listing::observe(client, scope).await;
            if let Observation::Seen(seen) = &mut observation
                && !wanted.names.is_empty()
            {
                seen.own = listing::own_images(client, scope).await;
            }
            (*scope, wanted, observation, client.clocks(scope.region))
        })
    });
    let mut survey = Survey::default();
    // An image that no manifest names is adopted only by its id; pruning it may be the very purpose. It is reported as
    // missing only if no scope has it.
    let (mut placed, mut absent) = (BTreeSet::new(), Vec::new());
    for (scope, wanted, observation, clocks) in join_all(observations).await {
        let seen = match observation {
            Observation::Seen(seen) => seen,
            Observation::ReadDenied(why) | Observation::Unobserved(why) => {
                survey.not_read(scope, &why);
                continue;
            }
        };
        let inventory = reader.inventory(scope).await.map_err(Failure::new)?;
        if let OwnImages::Unknown(why) = &seen.own {
            let what = "images cannot be found by name";
            survey.unread.add_part(scope, what, why);
            survey.unseen.push(scope.to_string());
        }
        let named: BTreeMap<&ImageId, &DesiredImage> = wanted
            .images
            .iter()
            .map(|(&id, &image)| (id, image))
            .chain(by_name(&seen.own, wanted))
            .collect();
        for (image, named) in named.clone() {
            placed.insert(image.clone());
            let there = survey.take(scope, image, &seen, &inventory);
            let meant = clocks.any(|now| named.share.at(now).0 == ShareState::Shared)
                || selector.images.contains(image);
            if !there && meant {
                survey.not_shared.push(key(scope, image));
            }
        }
        for image in selector
            .images
            .iter()
            .filter(|image| !wanted.names(image) && !named.contains_key(image))
        {
            if survey.take(scope, image, &seen, &inventory) {
                placed.insert(image.clone());
            } else {
                absent.push(key(scope, image));
            }
        }
    }
    survey.unread.warnings().into_iter().for_each(output::warn);
    absent.retain(|key| !placed.contains(&key.image));
    survey.not_shared.append(&mut absent);
    survey.not_shared.sort();
    Ok(survey)
}

/// The images that selected entries name. An image counts only if no other has its name.
fn by_name<'o>(
    own: &'o OwnImages,
    wanted: &'o DesiredScope<'_>,
) -> Vec<(&'o ImageId, &'o DesiredImage)> {
    let OwnImages::Known(own) = own else {
        return Vec::new();
    };
    let (names, selector) = (wanted.names, wanted.selector);
    let found = names.iter().filter_map(|(name, image)| {
        let mut having = own.iter().filter(|(_, own)| own.name == name.as_str());
        let (id, _) = having.next()?;
        let is_selected = selector.matches_labels(&image.document.labels)
            && (selector.images.is_empty() || selector.images.contains(id));
        (having.next().is_none() && is_selected).then_some((id, image))
    });
    found.collect()
}

fn key(scope: &Scope, image: &ImageId) -> ImageKey {
    ImageKey {
        scope: scope.clone(),
        image: image.clone(),
    }
}

impl Survey {
    /// Adds the image if it is shared and not ours yet. False if it is neither shared nor ours.
    fn take(&mut self, scope: &Scope, image: &ImageId, seen: &Seen, inventory: &Inventory) -> bool {
        let entry = inventory.images.get(image);
        let ownership = entry
            .and_then(|entry| entry.owned.as_ref())
            .map(|owned| owned.ownership);
        match (seen.shared.get(image), ownership) {
            (_, Some(OwnershipState::Acknowledged | OwnershipState::Adopted)) => true,
            (Some(blueprint), _) => {
                let owned = OwnedShare::adopted(&blueprint.id, state::now());
                let name = Some(blueprint.name.to_string()).filter(|name| !name.is_empty());
                self.adoptable.push((key(scope, image), name, owned));
                true
            }
            (None, _) => false,
        }
    }
}

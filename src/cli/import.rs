//! `import`: reads which images are shared, and writes manifests that ask for that. Images that manifests already name
//! are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;

use super::args::{Common, ImportArguments, ImportBy};
use super::output::{self, Failure};
use super::{manifests, new_file, selection, session, sim_target, state};
use crate::api::{Owner, ReadClient};
use crate::desired::Desired;
use crate::host::Host;
use crate::listing;
use crate::manifest::{self, Imported, Sharing};
use crate::model::{AccountName, ImageId, ImageKey, ImageName, Labels, Region, Scope, Selector};
use crate::observation::{Observation, OwnImage, OwnImages, Seen};
use crate::report::{
    ExitStatus, ImportDocument, ImportedFile, ImportedStray, UnreadRegions, UnseenScope,
};
use crate::resolve;
use crate::words::rfc3339;

/// The flag that says where the files go.
const FLAG: &str = "--out DIR";

pub(super) async fn run(
    arguments: &ImportArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let desired = manifests::load_if_any(&arguments.paths, common.output).await?;
    let selector = arguments.selection.selector();
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    selection::refuse_unknown_accounts(&desired, &directory, &selector)?;
    let (session, clients) =
        session::open_known(&arguments.target, &directory, &desired, &selector).await?;
    let listings = one_name_each(clients, &desired).await;
    let observations = observe(&listings, &desired, &selector).await;
    session.close().await?;
    let document = write(arguments, &desired, &selector, observations)?;
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

/// The regions to list under one account name.
pub(super) struct AccountListing<H> {
    pub(super) name: AccountName,
    pub(super) client: ReadClient<H>,
    pub(super) regions: BTreeSet<Region>,
}

/// Lists each region of an account once: under the name that the manifests use there, or else under the first of its
/// names. A manifest with a second name for a region would be refused.
pub(super) async fn one_name_each<H: Host>(
    clients: BTreeMap<AccountName, ReadClient<H>>,
    desired: &Desired,
) -> Vec<AccountListing<H>> {
    // A single name needs no comparison.
    let several = clients.len() > 1;
    let owned = clients.into_iter().map(async |(name, client)| {
        let owner = match several {
            true => client.owner(Region::first()).await.ok(),
            false => None,
        };
        let owner = match owner {
            None if several => client.key(Region::first()).await,
            owner => owner,
        };
        (name, client, owner)
    });
    let used: BTreeMap<_, _> = Region::all()
        .map(|region| (region, desired.names_in(region)))
        .collect();
    let mut listings: Vec<(AccountListing<H>, Option<Owner>)> = Vec::new();
    for (name, client, owner) in join_all(owned).await {
        let same = |other: &&mut (AccountListing<H>, Option<Owner>)| match (&owner, &other.1) {
            (Some(a), Some(b)) => a.key == b.key || (a.uin.is_some() && a.uin == b.uin),
            _ => false,
        };
        let mut regions: BTreeSet<_> = Region::all().collect();
        for (earlier, _) in listings.iter_mut().filter(|other| same(other)) {
            for (region, names) in &used {
                if names.contains_key(&name) && !names.contains_key(&earlier.name) {
                    earlier.regions.remove(region);
                } else if earlier.regions.contains(region) {
                    regions.remove(region);
                }
            }
        }
        let listing = AccountListing {
            name,
            client,
            regions,
        };
        listings.push((listing, owner));
    }
    listings.into_iter().map(|(listing, _)| listing).collect()
}

/// Lists the shares in each scope. If any of them is to be imported, lists the account's own images, too.
async fn observe<H: Host>(
    listings: &[AccountListing<H>],
    desired: &Desired,
    selector: &Selector,
) -> Vec<(Scope, Observation)> {
    let scopes = listings.iter().flat_map(|listing| {
        listing
            .regions
            .iter()
            .map(|&region| {
                let scope = Scope {
                    account: listing.name.clone(),
                    region,
                };
                (scope, &listing.client)
            })
            .filter(|(scope, _)| selector.reaches(scope))
    });
    let observations = scopes.map(async |(scope, client)| {
        let mut observation = listing::observe(client, &scope).await;
        if let Observation::Seen(seen) = &mut observation {
            let mut shared = seen.shared.keys();
            let is_new = |image: &ImageId| {
                let key = ImageKey {
                    scope: scope.clone(),
                    image: image.clone(),
                };
                selector.matches(&key, &Labels::new()) && !desired.images.contains_key(&key)
            };
            if shared.any(is_new) {
                seen.own = listing::own_images(client, &scope).await;
                let mut policies = desired.policies.get(&scope).into_iter().flatten();
                if policies.any(|policy| policy.needs_cvm()) {
                    seen.cvm = listing::cvm_images(client, &scope).await;
                }
            }
        }
        (scope, observation)
    });
    join_all(observations).await
}

/// The findings in the observed scopes.
#[derive(Default)]
struct Found {
    sharing: Sharing,
    strays: Vec<ImportedStray>,
    unseen: Vec<UnseenScope>,
    named_already: usize,
    unread: UnreadRegions,
}

impl Found {
    fn not_read(&mut self, scope: &Scope, reason: String) {
        self.unseen.push(UnseenScope {
            account: scope.account.to_string(),
            region: scope.region.as_str(),
            reason,
            request_id: None,
        });
    }

    /// Adds the shared images of a scope.
    fn add(&mut self, scope: Scope, seen: Seen, desired: &Desired, selector: &Selector) {
        let own = match seen.own {
            OwnImages::Known(own) => Some(own),
            OwnImages::NotAsked => None,
            OwnImages::Unknown(why) => {
                let what = "the account's own images are not known";
                self.unread.add_part(&scope, what, &why);
                self.not_read(&scope, format!("{what}: {why}"));
                None
            }
        };
        let mut images = Vec::new();
        for (image, blueprint) in seen.shared {
            let key = ImageKey {
                scope: scope.clone(),
                image,
            };
            if !selector.matches(&key, &Labels::new()) {
                continue;
            }
            let row = own.as_ref().and_then(|own| own.get(&key.image));
            let name = row.and_then(|image| ImageName::new(&image.name).ok());
            let names = desired.names.get(&scope);
            let by_name = names.zip(name.as_ref());
            let is_named = by_name.is_some_and(|(names, name)| names.contains_key(name));
            let policies = desired.policies.get(&scope).map_or(&[][..], Vec::as_slice);
            let is_matched =
                row.is_some_and(|row| resolve::is_matched(policies, &key.image, row, &seen.cvm));
            if is_named || is_matched || desired.images.contains_key(&key) {
                self.named_already += 1;
                continue;
            }
            let Some(own) = &own else {
                continue;
            };
            if own.contains_key(&key.image) {
                let note = blueprint.name.to_string();
                images.push(imported(key.image, name, note, own));
            } else {
                self.strays.push(ImportedStray {
                    account: scope.account.to_string(),
                    region: scope.region.as_str(),
                    image_id: key.image.to_string(),
                    image_name: Some(blueprint.name.to_string()).filter(|name| !name.is_empty()),
                    blueprint_id: blueprint.id.to_string(),
                });
            }
        }
        if !images.is_empty() {
            self.sharing.insert(scope, images);
        }
    }
}

/// An image, with its name if no other image has it.
fn imported(
    id: ImageId,
    name: Option<ImageName>,
    note: String,
    own: &BTreeMap<ImageId, OwnImage>,
) -> Imported {
    let has_name = |name: &ImageName| {
        let named = own.values().filter(|image| image.name == name.as_str());
        named.count() == 1
    };
    Imported {
        id,
        name: name.filter(has_name),
        note,
    }
}

fn write(
    arguments: &ImportArguments,
    desired: &Desired,
    selector: &Selector,
    observations: Vec<(Scope, Observation)>,
) -> Result<ImportDocument, Failure> {
    let mut found = Found::default();
    for (scope, observation) in observations {
        match observation {
            Observation::Seen(seen) => found.add(scope, seen, desired, selector),
            Observation::ReadDenied(why) | Observation::Unobserved(why) => {
                found.unread.add(&scope, &why);
                found.not_read(&scope, why.told());
            }
        }
    }
    let Found {
        sharing,
        strays,
        unseen,
        named_already,
        unread,
    } = found;
    unread.warnings().into_iter().for_each(output::warn);
    let out = arguments
        .out
        .as_ref()
        .or(arguments.paths.paths.first())
        .ok_or_else(|| Failure::new("name the directory to write to: `--out DIR`"))?;
    let files = plan_files(arguments.by, out, sharing, &unseen);
    let written = write_files(out, &files)?;
    Ok(ImportDocument::new(written, named_already, unseen, strays))
}

/// The content of each file. A file for a whole account is written only if all of the account was read.
fn plan_files(
    by: ImportBy,
    out: &Path,
    sharing: Sharing,
    unseen: &[UnseenScope],
) -> BTreeMap<PathBuf, Sharing> {
    let mut files: BTreeMap<PathBuf, Sharing> = BTreeMap::new();
    for (scope, images) in sharing {
        let name = match by {
            ImportBy::Region => format!("{}-{}.yaml", scope.account, scope.region),
            ImportBy::Account => format!("{}.yaml", scope.account),
        };
        let is_partial = by == ImportBy::Account
            && unseen
                .iter()
                .any(|other| other.account == scope.account.as_str());
        if !is_partial {
            files
                .entry(out.join(name))
                .or_default()
                .insert(scope, images);
        }
    }
    files
}

/// Writes no file at all if one of them already exists.
fn write_files(
    out: &Path,
    files: &BTreeMap<PathBuf, Sharing>,
) -> Result<Vec<ImportedFile>, Failure> {
    for path in files.keys() {
        new_file::refuse_taken(path, FLAG)?;
    }
    if out.is_file() {
        return Err(Failure::new(format_args!(
            "cannot write {}: it is a file, but import writes to a directory; name one with `{FLAG}`",
            out.display()
        )));
    }
    let modeline = format!(
        "Images that were shared when `sharekeeper import` ran, {}",
        rfc3339(state::now())
    );
    let mut written = Vec::new();
    for (path, sharing) in files {
        let text = manifest::render(sharing, &modeline);
        new_file::write_new(path, &text, FLAG)?;
        written.push(ImportedFile {
            file: path.to_string_lossy().into_owned(),
            images: sharing.values().map(Vec::len).sum(),
        });
    }
    Ok(written)
}

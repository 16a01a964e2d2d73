//! `images`: lists the account's own images, and writes manifests for them. It changes nothing in the cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::args::{Common, ImagesArguments, OutputFormat};
use super::import::one_name_each;
use super::output::{self, Failure};
use super::survey::{SurveyedScope, survey};
use super::{manifests, new_file, selection, session, sim_target, state};
use crate::host::Host;
use crate::manifest::{self, SelectedImages};
use crate::model::{AccountName, ImageKey, ImageName, Labels, Region, Selector};
use crate::observation::{Observation, OwnImages};
use crate::report::{ExitStatus, ImageRow, ImagesDocument, UnreadRegions, UnseenScope};
use crate::words::rfc3339;

/// The flag that says where the manifest goes.
const FLAG: &str = "--write FILE";

pub(super) async fn run(
    arguments: &ImagesArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let desired = manifests::load_if_any(&arguments.paths, common.output).await?;
    let selector = arguments.selection.selector();
    if let Some(file) = &arguments.write {
        // Before any call.
        new_file::refuse_taken(file, FLAG)?;
    }
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    selection::refuse_unknown_accounts(&desired, &directory, &selector)?;
    let (session, clients) =
        session::open_known(&arguments.target, &directory, &desired, &selector).await?;
    let listings = one_name_each(clients, &desired).await;
    let scopes = survey(&listings, &selector, None).await;
    let mut unread = UnreadRegions::default();
    let (rows, unseen, read) = rows(&scopes, arguments, &selector, &mut unread);
    drop(scopes);
    session.close().await?;
    let mut document = ImagesDocument::new(rows, (unseen, unread), read);
    // The text form contains this already.
    if !matches!(common.output, OutputFormat::Text) {
        document.warnings().into_iter().for_each(output::warn);
    }
    if let Some(file) = arguments.write.as_deref().filter(|_| read > 0) {
        let (selected, left_out) = selected(document.rows());
        if selected.is_empty() {
            output::warn("nothing was written: none of these images is shared or can be");
        } else {
            write(file, &selected)?;
            document.written(file.to_string_lossy().into_owned(), left_out);
        }
    }
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

/// The rows, the scopes that could not be read, and the number of scopes.
fn rows<H: Host>(
    scopes: &[SurveyedScope<'_, H>],
    arguments: &ImagesArguments,
    selector: &Selector,
    unread: &mut UnreadRegions,
) -> (Vec<ImageRow>, Vec<UnseenScope>, usize) {
    let (mut rows, mut unseen, mut read) = (Vec::new(), Vec::new(), 0);
    for surveyed in scopes {
        let scope = &surveyed.scope;
        let mut not_read = |reason: String| {
            unseen.push(UnseenScope {
                account: scope.account.to_string(),
                region: scope.region.as_str(),
                reason,
                request_id: None,
            });
        };
        let own = match &surveyed.own {
            OwnImages::Known(own) => own,
            OwnImages::Unknown(why) => {
                unread.add(scope, why);
                not_read(why.told());
                continue;
            }
            OwnImages::NotAsked => continue,
        };
        read += 1;
        let shared = match &surveyed.observation {
            Observation::Seen(seen) => Some(&seen.shared),
            Observation::ReadDenied(why) | Observation::Unobserved(why) => {
                unread.add_part(scope, "which images are shared is not known", why);
                not_read(format!("which images are shared: {}", why.told()));
                None
            }
        };
        for (image, own) in own {
            let key = ImageKey {
                scope: scope.clone(),
                image: image.clone(),
            };
            let pattern = arguments.pattern.as_ref();
            if pattern.is_none_or(|pattern| pattern.matches(&own.name))
                && selector.matches(&key, &Labels::new())
            {
                let blueprint = shared.map(|shared| shared.get(image));
                rows.push(ImageRow::new(key, own, blueprint));
            }
        }
    }
    (rows, unseen, read)
}

/// The images that a manifest can ask to be shared, and the number of the others. Images with the same name are in one
/// document with all regions that have it; if a name is not unique, the images are given by id.
fn selected(rows: &[ImageRow]) -> (Vec<SelectedImages>, usize) {
    let can_be = |row: &&ImageRow| row.is_shared() || row.is_shareable();
    let mut by_name: BTreeMap<(&AccountName, ImageName), BTreeMap<Region, Vec<&ImageRow>>> =
        BTreeMap::new();
    let mut by_id: BTreeMap<(&AccountName, Region), Vec<&ImageRow>> = BTreeMap::new();
    for row in rows.iter().filter(can_be) {
        let scope = &row.key().scope;
        match SelectedImages::plain_name(row.name()) {
            Some(name) => {
                let regions = by_name.entry((&scope.account, name)).or_default();
                regions.entry(scope.region).or_default().push(row);
            }
            None => {
                let here = by_id.entry((&scope.account, scope.region)).or_default();
                here.push(row);
            }
        }
    }
    let all_of = |name: &ImageName, row: &ImageRow| {
        let same = rows
            .iter()
            .filter(|other| other.name() == name.as_str() && other.key().scope == row.key().scope);
        same.count()
    };
    let mut documents: BTreeMap<(&AccountName, BTreeSet<Region>), SelectedImages> = BTreeMap::new();
    for ((account, name), regions) in by_name {
        let mut unique = BTreeSet::new();
        for (region, here) in regions {
            match here.as_slice() {
                [row] if all_of(&name, row) == 1 => {
                    unique.insert(region);
                }
                several => by_id.entry((account, region)).or_default().extend(several),
            }
        }
        if !unique.is_empty() {
            let document = documents.entry((account, unique.clone()));
            let document = document.or_insert_with(|| SelectedImages::new(account.clone(), unique));
            document.names.insert(name);
        }
    }
    for ((account, region), rows) in by_id {
        let regions = BTreeSet::from([region]);
        let document = documents.entry((account, regions.clone()));
        let document = document.or_insert_with(|| SelectedImages::new(account.clone(), regions));
        let ids = rows.into_iter();
        document
            .ids
            .extend(ids.map(|row| (row.key().image.clone(), row.name().to_owned())));
    }
    let left_out = rows.iter().filter(|row| !can_be(row)).count();
    (documents.into_values().collect(), left_out)
}

fn write(file: &Path, selected: &[SelectedImages]) -> Result<(), Failure> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let modeline = format!(
        "Images found by `sharekeeper images`, {}",
        rfc3339(state::now())
    );
    let text = manifest::render_selection(&stem, selected, &modeline);
    new_file::write_new(file, &text, FLAG)
}

//! Entries of `ImageShare` documents → desired images by id and by name. Two entries must not have the same image id in
//! a scope, nor the same name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::document::Share;
use crate::desired::{DesiredImage, ImageRef};
use crate::manifest::diagnostic::{DiagnosticBuilder, Place, Sink};
use crate::model::{AccountName, ImageId, ImageKey, ImageName, Scope};
use crate::words::first_of;

/// Entries by id, in the form of [`crate::desired::Desired`].
type ById = BTreeMap<ImageKey, DesiredImage>;
type ByName = BTreeMap<Scope, BTreeMap<ImageName, DesiredImage>>;

/// The entries of all shares, each with the place of its id or name.
#[derive(Default)]
pub(super) struct Entries {
    images: BTreeMap<ImageKey, (Place, DesiredImage)>,
    names: BTreeMap<(Scope, ImageName), (Place, DesiredImage)>,
}

impl Entries {
    pub(super) fn add(&mut self, share: Share, sink: &mut Sink<'_>) {
        let Share { header, images } = share;
        let (account, document) = (header.account_name(), header.metadata());
        for entry in images {
            let several = header.regions.len();
            if let (ImageRef::Id(id), 2..) = (&entry.image, several) {
                let message =
                    format!("`{id}` is an image in one region, but this document covers {several}");
                sink.error(entry.place, message).help(
                    "a copy in another region has an id of its own, and the same name: write `name: …` instead, or one document for each region",
                );
            }
            let wanted = DesiredImage {
                share: entry.desired,
                protect: entry.protect,
                source: sink.source_of(entry.place),
                document: Arc::clone(&document),
                name: match &entry.image {
                    ImageRef::Name(name) => Some(name.clone()),
                    ImageRef::Id(_) => None,
                },
                note: entry.note,
                bounds: None,
                other_labels: Vec::new(),
            };
            // Reported once for the entry, not for each of its regions.
            let mut conflict: Option<DiagnosticBuilder<'_, '_>> = None;
            for &(region, _) in &header.regions {
                let scope = Scope {
                    account: account.clone(),
                    region,
                };
                let wanted = wanted.clone();
                let taken = match &entry.image {
                    ImageRef::Id(image) => {
                        let key = ImageKey {
                            scope: scope.clone(),
                            image: image.clone(),
                        };
                        set(&mut self.images, key, entry.place, wanted)
                    }
                    ImageRef::Name(name) => {
                        let key = (scope.clone(), name.clone());
                        set(&mut self.names, key, entry.place, wanted)
                    }
                };
                let Err((first, how)) = taken else {
                    continue;
                };
                if let Some(conflict) = &mut conflict {
                    conflict.blame(first);
                    continue;
                }
                let message = format!("`{}` in {scope} {how}", entry.image);
                conflict = Some(sink.duplicate(entry.place, first, &message));
            }
        }
    }

    /// An id that is named in two regions of an account is wrong in one of them. Entries of one document are already
    /// reported as errors.
    pub(super) fn warn_of_ids_in_several_regions(&self, sink: &mut Sink<'_>) {
        let keys = || self.images.keys();
        let (first, last) = (keys().next(), keys().next_back());
        if first.map(|key| &key.scope) == last.map(|key| &key.scope) {
            return;
        }
        let mut all: Vec<_> = self.images.iter().collect();
        // The entries are nearly sorted, because the keys of each region are.
        all.sort_by(|(a, _), (b, _)| {
            (&a.scope.account, &a.image).cmp(&(&b.scope.account, &b.image))
        });
        let same = |a: &(&ImageKey, _), b: &(&ImageKey, _)| {
            a.0.image == b.0.image && a.0.scope.account == b.0.scope.account
        };
        // One warning for each account: there may be thousands of ids.
        let mut found: BTreeMap<&AccountName, Vec<NamedTwice<'_>>> = BTreeMap::new();
        for named in all.chunk_by(same).filter(|named| named.len() > 1) {
            let places = || named.iter().map(|(_, (place, _))| *place);
            let order = |place: &Place| (place.file, place.start);
            let (Some(first), Some(last)) =
                (places().min_by_key(order), places().max_by_key(order))
            else {
                continue;
            };
            if first == last {
                continue;
            }
            let regions = named.iter().map(|(key, _)| key.scope.region.as_str());
            let ids = found.entry(&named[0].0.scope.account).or_default();
            ids.push(NamedTwice {
                image: &named[0].0.image,
                regions: regions.collect(),
                places: [first, last],
            });
        }
        for ids in found.into_values() {
            let one = &ids[0];
            let regions = one.regions.join(" and ");
            let others: Vec<_> = ids[1..]
                .iter()
                .map(|id| format!("`{}`", id.image))
                .collect();
            let message = match others.is_empty() {
                true => format!(
                    "`{}` is named in {regions}, but an image is in one region",
                    one.image
                ),
                false => format!(
                    "`{}` is named in {regions}, but an image is in one region; so are {}",
                    one.image,
                    first_of(&others)
                ),
            };
            let [first, last] = one.places;
            sink.warning(last, message)
                .mention(first, "and here")
                .help("a copy in another region has an id of its own, and the same name: write `name: …`, or correct the id");
        }
    }

    /// The entries by id, and those by name in each scope.
    pub(super) fn into_parts(self) -> (ById, ByName) {
        let by_id = self
            .images
            .into_iter()
            .map(|(key, (_, image))| (key, image));
        let mut by_name = ByName::new();
        for ((scope, name), (_, image)) in self.names {
            by_name.entry(scope).or_default().insert(name, image);
        }
        (by_id.collect(), by_name)
    }
}

/// An id that is named in several regions of an account.
struct NamedTwice<'e> {
    image: &'e ImageId,
    regions: Vec<&'static str>,
    /// The first and the last entry with it.
    places: [Place; 2],
}

/// Adds an entry, unless its key is already set. Then returns where, and how the two differ.
fn set<K: Ord>(
    entries: &mut BTreeMap<K, (Place, DesiredImage)>,
    key: K,
    place: Place,
    wanted: DesiredImage,
) -> Result<(), (Place, &'static str)> {
    match entries.entry(key) {
        Entry::Vacant(free) => {
            free.insert((place, wanted));
            Ok(())
        }
        Entry::Occupied(taken) => {
            let (first, known) = taken.get();
            let same = known.share == wanted.share && known.protect == wanted.protect;
            let how = if same {
                "is set twice"
            } else {
                "is set twice, with different values"
            };
            Err((*first, how))
        }
    }
}

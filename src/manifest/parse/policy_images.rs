//! The images of an `ImageSharePolicy`: those that it matches, excludes, pins and revokes.

use std::collections::BTreeMap;

use super::document::PolicyDocument;
use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::desired::{Exclusion, ImageMatch, ImageRef, NameRegex, Pin, Revocation};
use crate::manifest::diagnostic::Place;
use crate::model::{Glob, ImageName, Region};

/// Conditions on an image, in `match` and in `exclude`.
pub(super) const CONDITIONS: [&str; 9] = [
    "name",
    "nameRegex",
    "family",
    "tags",
    "osName",
    "platform",
    "architecture",
    "createdAfter",
    "createdBefore",
];
const EXCLUSION_FIELDS: [&str; 11] = [
    "name",
    "nameRegex",
    "family",
    "tags",
    "osName",
    "platform",
    "architecture",
    "createdAfter",
    "createdBefore",
    "id",
    "reason",
];
const REVOCATION_FIELDS: [&str; 6] = ["name", "id", "reason", "at", "replacement", "force"];
/// The limit for entries of `exclude`, `pin` and `revoke`, because each image is compared with each of them.
pub(super) const ENTRIES_MAX: usize = 500;

/// Reads `match`, which must have at least one condition.
pub(super) fn matches(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<ImageMatch> {
    let fields = reader.fields(node, "`match`", &CONDITIONS)?;
    needs_one_of(reader, &fields, &CONDITIONS, "`match` has no condition");
    conditions(reader, &fields)
}

/// Reports a mapping that has none of the conditions.
fn needs_one_of(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_, '_>,
    names: &[&str],
    message: &str,
) {
    let is_meant = |name: &&str| fields.get(name).is_some() || fields.seems_meant(name);
    if !names.iter().any(is_meant) {
        reader
            .sink
            .error(fields.place, message)
            .help(format!("give at least one of: {}", names.join(", ")));
    }
}

fn conditions(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<ImageMatch> {
    let mut glob = |name: &str| {
        reader.optional(fields, name, |reader, node| {
            reader.glob(node, &format!("`{name}`"))
        })
    };
    let [name, family, os_name, platform, architecture] =
        ["name", "family", "osName", "platform", "architecture"].map(&mut glob);
    let name_regex = reader.optional(fields, "nameRegex", name_regex);
    let tags = reader.optional(fields, "tags", tags);
    let [created_after, created_before] = ["createdAfter", "createdBefore"]
        .map(|name| reader.optional(fields, name, |reader, node| reader.instant(node, name)));
    let (created_after, created_before) = (created_after?, created_before?);
    if let (Some(after), Some(before)) = (created_after, created_before)
        && let Some(node) = fields.get("createdBefore")
        && after >= before
    {
        reader
            .error(
                node,
                "`createdBefore` is not after `createdAfter`, so no image matches",
            )
            .help("swap them");
        return None;
    }
    Some(ImageMatch {
        name: name?,
        name_regex: name_regex?,
        family: family?,
        tags: tags?.unwrap_or_default(),
        os_name: os_name?,
        platform: platform?,
        architecture: architecture?,
        created_after,
        created_before,
    })
}

fn name_regex(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<NameRegex> {
    let text = reader.text(node, "`nameRegex`")?;
    NameRegex::new(text)
        .map_err(|error| {
            reader
                .error(node, format!("`{text}` is not a regular expression"))
                .help(error);
        })
        .ok()
}

fn tags(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<BTreeMap<String, Glob>> {
    let Value::Map(pairs) = &node.value else {
        let message = format!("`tags` must be a mapping of texts, not {}", node.kind());
        reader
            .error(node, message)
            .help("write it as in `tags: {release: stable}`");
        return None;
    };
    if pairs.is_empty() {
        reader
            .error(node, "`tags` is empty")
            .help("omit it if tags do not matter");
        return None;
    }
    let mut tags = BTreeMap::new();
    let mut is_right = true;
    for (key_node, value_node) in pairs {
        let key = reader.text(key_node, "a key of `tags`");
        let value = reader.text(value_node, "a value of `tags`");
        let (Some(key), Some(value)) = (key, value) else {
            is_right = false;
            continue;
        };
        reader.warn_of_other_patterns(value_node, value);
        if tags.insert(key.to_owned(), Glob::new(value)).is_some() {
            is_right = false;
            reader
                .error(key_node, format!("tag `{key}` is given twice"))
                .help("keep one of the two; an image has one value for each key");
        }
    }
    is_right.then_some(tags)
}

/// The items of a policy's list that `read` accepts; `None` if one is wrong.
fn entries<'n, 'a, T>(
    reader: &mut Reader<'_, '_>,
    node: &'n Node<'a>,
    name: &str,
    mut read: impl FnMut(&mut Reader<'_, '_>, &'n Node<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = reader.list(node, &format!("`{name}`"), "omit it")?;
    if let Some(first) = items.get(ENTRIES_MAX) {
        let message = format!("`{name}` has more than {ENTRIES_MAX} entries");
        let help =
            "one pattern can cover many names; remove entries for images that no longer exist";
        reader.error(first, message).help(help);
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| read(reader, item)).collect();
    read.into_iter().collect()
}

/// Reads `exclude`: conditions or ids, each with a reason.
pub(super) fn exclusions(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Vec<Exclusion>> {
    entries(reader, node, "exclude", |reader, item| {
        let fields = reader.fields(item, "an exclusion", &EXCLUSION_FIELDS)?;
        let needed = &EXCLUSION_FIELDS[..EXCLUSION_FIELDS.len() - 1];
        needs_one_of(reader, &fields, needed, "the exclusion has no condition");
        let id = reader.optional(&fields, "id", Reader::image_id);
        let matches = conditions(reader, &fields);
        let reason = reader.free_text(&fields, "reason");
        Some(Exclusion {
            id: id?,
            matches: matches?,
            reason,
        })
    })
}

/// Reads `pin`. In each region, only one pin may decide what is shared, so two for one region are an error: each holds
/// from now on, whenever it ends.
pub(super) fn pins(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    document: &mut PolicyDocument,
) -> Option<Vec<Pin>> {
    let mut pinned: BTreeMap<Region, Place> = BTreeMap::new();
    let mut is_right = true;
    let pins = entries(reader, node, "pin", |reader, item| {
        let pin = pin(reader, item, document)?;
        let place = reader.place(item);
        let regions = match &pin.regions {
            Some(regions) => regions.iter().copied().collect(),
            None => document
                .header
                .regions
                .iter()
                .map(|(region, _)| *region)
                .collect::<Vec<_>>(),
        };
        let taken = regions
            .iter()
            .find_map(|region| Some((region, *pinned.get(region)?)));
        if let Some((region, first)) = taken {
            is_right = false;
            let message = format!("two pins apply to {region}");
            reader.error(item, message).related(first, "the other one").help(
                "combine their `names` in one pin, or remove one of them; a pin holds from now on, so an `until` does not separate them",
            );
        }
        for region in regions {
            pinned.entry(region).or_insert(place);
        }
        Some(pin)
    });
    pins.filter(|_| is_right)
}

fn pin(reader: &mut Reader<'_, '_>, node: &Node<'_>, document: &mut PolicyDocument) -> Option<Pin> {
    let fields = reader.fields(node, "a pin", &["regions", "names", "reason", "until"])?;
    let own = &document.header.regions;
    let regions = reader.optional(&fields, "regions", |reader, node| {
        let empty = "omit it to mean every region of the policy";
        let items = reader.list(node, "`regions`", empty)?;
        let found = reader.each_once(items, Reader::region);
        let mut is_right = found.len() == items.len();
        for (region, place) in &found {
            if !own.is_empty() && !own.iter().any(|(known, _)| known == region) {
                is_right = false;
                let message = format!("`{region}` is not a region of this policy");
                reader
                    .sink
                    .error(*place, message)
                    .help("add it to `spec.regions`, or remove it here");
            }
        }
        is_right.then(|| found.into_iter().map(|(region, _)| region).collect())
    });
    let names = reader
        .required(&fields, "names", "the pin")
        .and_then(|node| {
            let items = reader.list(node, "`names`", "remove the pin instead")?;
            let help = "a pin accepts only names, which are the same in every region";
            let found = reader.each_once(items, |reader, item| reader.image_name(item, help));
            let is_right = found.len() == items.len();
            let names = found.iter().map(|(name, _)| name.clone()).collect();
            document.pinned.extend(found);
            is_right.then_some(names)
        });
    let reason = reader.free_text(&fields, "reason");
    let until = reader.optional(&fields, "until", |reader, node| {
        reader.instant(node, "until")
    });
    Some(Pin {
        regions: regions?,
        names: names?,
        reason,
        until: until?,
        source: reader.sink.source_of(reader.place(node)),
    })
}

/// Reads `revoke`, in which each image may occur once.
pub(super) fn revocations(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    document: &mut PolicyDocument,
) -> Option<Vec<Revocation>> {
    let mut is_right = true;
    let revocations = entries(reader, node, "revoke", |reader, item| {
        let known = document.revoked.len();
        let revocation = revocation(reader, item, document)?;
        let earlier = document.revoked[..known].iter();
        let same = |(image, _): &&(ImageRef, Place)| *image == revocation.image;
        if let Some((_, first)) = earlier.clone().find(same) {
            is_right = false;
            let message = format!("`{}` is revoked twice", revocation.image);
            reader
                .error(item, message)
                .related(*first, "first revoked here")
                .help("keep one of the two");
        }
        Some(revocation)
    });
    revocations.filter(|_| is_right)
}

fn revocation(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    document: &mut PolicyDocument,
) -> Option<Revocation> {
    let fields = reader.fields(node, "a revocation", &REVOCATION_FIELDS)?;
    let image = reader.image_ref(&fields, "the revocation");
    document.revoked.extend(image.clone());
    let reason = reader.free_text(&fields, "reason");
    let at = reader.optional(&fields, "at", |reader, node| reader.instant(node, "at"));
    let replacement = reader.optional(&fields, "replacement", |reader, node| {
        let help = "a replacement is given by its name, which is the same in every region";
        let name: ImageName = reader.image_name(node, help)?;
        document
            .replacements
            .push((name.clone(), reader.place(node)));
        Some(name)
    });
    let force = reader.optional(&fields, "force", |reader, node| {
        reader.boolean(node, "`force`")
    });
    let (image, place) = image?;
    Some(Revocation {
        image,
        reason,
        at: at?,
        replacement: replacement?,
        force: force?.unwrap_or(false),
        source: reader.sink.source_of(place),
    })
}

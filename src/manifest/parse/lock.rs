//! `ImageShareLock` documents: the images that policies resolved to when `sharekeeper lock` ran. [`render`] writes
//! them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::document::Lock;
use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::desired::{LockedImage, PolicyLock};
use crate::manifest::diagnostic::Place;
use crate::model::{Region, is_object_name};
use crate::words::rfc3339;

/// The remedy for any error in a lock file.
const WRITE_ANEW: &str = "write it with `sharekeeper lock`, and do not edit it";
/// The hexadecimal digits of a digest.
pub(super) const DIGEST_PATTERN: &str = "^[0-9a-f]{64}$";

/// Reads an `ImageShareLock` document. Its `metadata` is optional, because nothing refers to it.
pub(super) fn read(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<Lock> {
    if fields.get("metadata").is_some() {
        reader.metadata(fields);
    }
    let spec = reader.required(fields, "spec", "the document")?;
    let spec = reader.fields(spec, "`spec`", &["policies"])?;
    let node = reader.required(&spec, "policies", "`spec`")?;
    let policies = items(reader, node, "`policies`")?;
    let policies = policies.iter().filter_map(|item| policy(reader, item));
    Some(Lock {
        place: fields.place,
        policies: policies.collect(),
    })
}

/// The items of a list that may be empty.
fn items<'n, 'a>(
    reader: &mut Reader<'_, '_>,
    node: &'n Node<'a>,
    what: &str,
) -> Option<&'n [Node<'a>]> {
    match &node.value {
        Value::List(items) => Some(items),
        _ => {
            let message = format!("{what} must be a list, not {}", node.kind());
            reader.error(node, message).help(WRITE_ANEW);
            None
        }
    }
}

fn policy(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<(Arc<str>, Place, PolicyLock)> {
    let what = "a policy";
    let fields = reader.fields(node, what, &["name", "digest", "regions"])?;
    let name_node = reader.required(&fields, "name", "the policy");
    let name = name_node.and_then(|node| {
        let text = reader.text(node, "`name`")?;
        let is_good = is_object_name(text);
        if !is_good {
            reader
                .error(node, format!("`{text}` is not a valid name"))
                .help(WRITE_ANEW);
        }
        is_good.then(|| Arc::<str>::from(text))
    });
    let digest = reader
        .required(&fields, "digest", "the policy")
        .and_then(|node| {
            // All of its characters may be digits, so that it looks like a number.
            let text = reader.scalar(node, "`digest`")?;
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let is_good = text.len() == 64 && text.bytes().all(is_hex);
            if !is_good {
                reader
                    .error(node, "`digest` is not a digest of a policy")
                    .help(WRITE_ANEW);
            }
            is_good.then(|| Arc::<str>::from(text))
        });
    let regions = reader.required(&fields, "regions", "the policy");
    let regions = regions.and_then(|node| self::regions(reader, node));
    let place = reader.place(name_node?);
    let lock = PolicyLock {
        digest: digest?,
        regions: regions?,
        source: reader.sink.source_of(place),
    };
    Some((name?, place, lock))
}

fn regions(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
) -> Option<BTreeMap<Region, Vec<LockedImage>>> {
    let Value::Map(pairs) = &node.value else {
        let message = format!("`regions` must be a mapping, not {}", node.kind());
        reader.error(node, message).help(WRITE_ANEW);
        return None;
    };
    let mut regions = BTreeMap::new();
    let mut is_right = true;
    for (key, value) in pairs {
        let region = reader.region(key);
        let images = images(reader, value);
        let (Some(region), Some(images)) = (region, images) else {
            is_right = false;
            continue;
        };
        if regions.insert(region, images).is_some() {
            is_right = false;
            reader
                .error(key, format!("`{region}` is given twice"))
                .help(WRITE_ANEW);
        }
    }
    is_right.then_some(regions)
}

fn images(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Vec<LockedImage>> {
    let items = items(reader, node, "a region's images")?;
    let mut images: Vec<LockedImage> = Vec::with_capacity(items.len());
    let mut is_right = true;
    for item in items {
        let Some(image) = image(reader, item) else {
            is_right = false;
            continue;
        };
        if images.iter().any(|other| other.id == image.id) {
            is_right = false;
            let message = format!("`{}` is listed twice", image.id);
            reader.error(item, message).help(WRITE_ANEW);
        }
        images.push(image);
    }
    is_right.then_some(images)
}

fn image(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<LockedImage> {
    let fields = reader.fields(node, "an image", &["id", "name", "created"])?;
    let id = reader.required(&fields, "id", "the image");
    let id = id.and_then(|node| reader.image_id(node));
    let name = reader.required(&fields, "name", "the image");
    let name = name.and_then(|node| reader.whole_name(node));
    let created = reader.optional(&fields, "created", |reader, node| {
        reader.instant(node, "created")
    });
    Some(LockedImage {
        id: id?,
        name: name?,
        created: created?,
    })
}

/// The text of a lock file. The same locks always give the same text.
pub fn render(locks: &BTreeMap<Arc<str>, PolicyLock>) -> String {
    let mut text = String::from(
        "# written by `sharekeeper lock`; do not edit\napiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec:\n",
    );
    if locks.is_empty() {
        text.push_str("  policies: []\n");
        return text;
    }
    text.push_str("  policies:\n");
    for (name, lock) in locks {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "    - name: \"{name}\"\n      digest: \"{}\"",
            lock.digest
        );
        let empty = if lock.regions.is_empty() { " {}" } else { "" };
        let _ = writeln!(text, "      regions:{empty}");
        for (region, images) in &lock.regions {
            let empty = if images.is_empty() { " []" } else { "" };
            let _ = writeln!(text, "        {region}:{empty}");
            for image in images {
                let name = serde_json::Value::from(image.name.as_str());
                let _ = write!(text, "          - {{id: {}, name: {name}", image.id);
                if let Some(created) = image.created {
                    let _ = write!(text, ", created: {}", rfc3339(created));
                }
                text.push_str("}\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Source;
    use crate::manifest::{SourceText, parse};
    use crate::model::{ImageId, ImageName, Timestamp};

    /// Writes these locks with `render` and parses the result together with policies of their names.
    fn read_back(locks: &BTreeMap<Arc<str>, PolicyLock>) -> BTreeMap<Arc<str>, PolicyLock> {
        let policy = |name: &Arc<str>| {
            format!(
                "---\napiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: '{name}'}}\nspec: {{region: ap-tokyo, match: {{name: a}}, keep: {{newest: 1}}}}\n"
            )
        };
        let other: Arc<str> = "another".into();
        let policies: String = locks.keys().chain([&other]).map(policy).collect();
        let text = render(locks);
        let loaded = parse(vec![
            SourceText::new("lock.yaml", text.clone()),
            SourceText::new("policies.yaml", policies),
        ]);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{text}{}", errors.render(false)));
        assert!(loaded.warnings.is_empty(), "{text}");
        loaded.desired.locks
    }

    #[test]
    fn o1_what_is_written_is_read_as_meant() {
        let region = |name| Region::new(name).expect("a region");
        let image = |id: &str, name: &str, created| LockedImage {
            id: ImageId::new(id).expect("an id"),
            name: ImageName::new(name).expect("a name"),
            created,
        };
        let created = Timestamp::from_timestamp(1_790_000_000, 0);
        let images = vec![
            image("img-b", "golden-2", created),
            image("img-a", "a: \"b\" # {c}", None),
            image("img-c", "img-looks", None),
            image("img-d", "golden-*", created),
            image("img-1", "yes", None),
        ];
        let lock = |digest: &str, regions: BTreeMap<_, _>| PolicyLock {
            digest: digest.repeat(64).into(),
            regions,
            source: Source {
                file: "lock.yaml".into(),
                line: 0,
            },
        };
        let full = [
            (region("ap-tokyo"), images),
            (region("eu-frankfurt"), Vec::new()),
        ];
        let locks: BTreeMap<Arc<str>, _> = [
            ("golden".into(), lock("0", full.into())),
            ("12".into(), lock("f", BTreeMap::new())),
            ("y".into(), lock("1", BTreeMap::new())),
        ]
        .into();
        let mut read = read_back(&locks);
        for lock in read.values_mut() {
            assert_eq!(&*lock.source.file, "lock.yaml");
            lock.source.line = 0;
        }
        assert_eq!(read, locks);
        assert_eq!(read_back(&BTreeMap::new()), BTreeMap::new());
        assert!(render(&locks).starts_with("# written by `sharekeeper lock`; do not edit\n"));
    }
}

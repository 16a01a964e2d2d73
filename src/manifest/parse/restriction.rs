//! `Restriction` documents: which accounts, regions and images the manifests in a directory may name. `restrict` applies
//! them to the other documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::fields::{Fields, Reader};
use super::shared_fields::Metadata;
use super::yaml::Node;
use crate::manifest::diagnostic::Place;
use crate::model::{AccountName, Glob, ImageId, ImageName};

/// The fields of `restrict`, at least one of which must be given.
const RESTRICTABLE: [&str; 3] = ["accounts", "regions", "images"];
/// The number of patterns in one list. Every name is compared with each pattern, whereas plain names are looked up.
pub(super) const PATTERNS_MAX: usize = 100;
/// The number of allowed names that an error lists.
const LISTED_MAX: usize = 5;

#[derive(Debug)]
pub(super) struct Restriction {
    pub name: String,
    pub place: Place,
    /// Relative to the directory of its file; without `.` and `..`, and empty for that directory itself.
    pub directory: PathBuf,
    /// Where to report a problem with `directory`.
    pub directory_place: Place,
    pub accounts: Option<Allowed>,
    pub regions: Option<Allowed>,
    /// The allowed image ids.
    pub images: Option<Allowed>,
    /// The allowed image names. Present if ids are given, though it may be empty.
    pub image_names: Option<Allowed>,
}

/// Names that are allowed, literally or by a pattern.
#[derive(Debug)]
pub(super) struct Allowed {
    pub place: Place,
    /// All entries of the list, patterns included.
    names: BTreeSet<String>,
    patterns: Vec<Glob>,
    /// Text for what is allowed if the list is empty.
    none: &'static str,
}

impl Allowed {
    /// Splits the names: those that begin with `img-` are ids, all others are names.
    fn of_ids_and_names(self) -> (Self, Self) {
        let is_id = |text: &str| text.starts_with("img-");
        let (ids, names) = self.names.into_iter().partition(|name| is_id(name));
        let of_ids = |pattern: &Glob| is_id(pattern.as_str());
        let (id_patterns, name_patterns) = self.patterns.into_iter().partition(of_ids);
        let part = |names, patterns, none| Self {
            place: self.place,
            names,
            patterns,
            none,
        };
        (
            part(ids, id_patterns, "names"),
            part(
                names,
                name_patterns,
                "ids (a pattern that does not begin with `img-` allows names)",
            ),
        )
    }

    pub(super) fn allows(&self, name: &str) -> bool {
        let is_like = |pattern: &Glob| pattern.matches(name);
        self.names.contains(name) || self.patterns.iter().any(is_like)
    }

    /// Whether all names that match `pattern` are allowed.
    pub(super) fn covers(&self, pattern: &Glob) -> bool {
        let is_wider = |allowed: &Glob| allowed.covers(pattern);
        let is_named = !pattern.is_pattern() && self.names.contains(pattern.as_str());
        is_named || self.patterns.iter().any(is_wider)
    }

    /// The first names, quoted for a message, and the number of the others.
    pub(super) fn listed(&self) -> String {
        let names = self.names.iter().take(LISTED_MAX);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            return self.none.to_owned();
        }
        match self.names.len() - names.len() {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// Reads a `Restriction` document. A part with an error restricts nothing here, as the set is broken anyway.
pub(super) fn read(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> Option<Restriction> {
    let metadata = reader.metadata(fields);
    let spec = reader.required(fields, "spec", "the document")?;
    let spec = reader.fields(spec, "`spec`", &["directory", "restrict"])?;
    let directory = match spec.get("directory") {
        Some(node) => directory(reader, node).map(|path| (path, reader.place(node))),
        None if spec.seems_meant("directory") => None,
        None => Some((PathBuf::new(), spec.place)),
    };
    let restrict = reader.required(&spec, "restrict", "`spec`");
    let restrict = restrict.and_then(|node| reader.fields(node, "`restrict`", &RESTRICTABLE))?;
    let is_meant = |field: &&str| restrict.get(field).is_some() || restrict.seems_meant(field);
    if !RESTRICTABLE.iter().any(is_meant) {
        reader
            .sink
            .error(restrict.place, "`restrict` restricts nothing")
            .help("give `accounts`, `regions` or `images`, or remove the document");
    }
    let accounts = allowed(reader, &restrict, "accounts", account);
    let regions = allowed(reader, &restrict, "regions", |reader, node| {
        let region = reader.region(node)?;
        Some(region.as_str().to_owned())
    });
    let images = allowed(reader, &restrict, "images", image);
    let (images, image_names) = images.map(Allowed::of_ids_and_names).unzip();
    let Metadata { name, place, .. } = metadata?;
    let (directory, directory_place) = directory?;
    Some(Restriction {
        name: name?,
        place,
        directory,
        directory_place,
        accounts,
        regions,
        images,
        image_names,
    })
}

fn directory(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<PathBuf> {
    let text = reader.text(node, "`directory`")?;
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let (message, help) = if text.is_empty() {
        (
            "`directory` is empty".to_owned(),
            "write `.`, or omit it, to mean the directory of this file",
        )
    } else if text.contains(Glob::WILDCARDS) {
        (
            format!("`{text}` is a pattern, not a directory"),
            "give each directory its own Restriction, or restrict the directory above them",
        )
    } else if !Path::new(text).components().all(is_inside) {
        (
            format!("`{text}` leads out of the directory of this file"),
            "name a directory below it, or move the Restriction up",
        )
    } else {
        let named = |part: &Component<'_>| *part != Component::CurDir;
        return Some(Path::new(text).components().filter(named).collect());
    };
    reader.error(node, message).help(help);
    None
}

/// One list in `restrict`, if it is given and valid.
fn allowed(
    reader: &mut Reader<'_, '_>,
    restrict: &Fields<'_, '_>,
    field: &str,
    read: fn(&mut Reader<'_, '_>, &Node<'_>) -> Option<String>,
) -> Option<Allowed> {
    let node = restrict.get(field)?;
    let empty = format!("omit `{field}` if all are allowed");
    let items = reader.list(node, &format!("`{field}`"), &empty)?;
    let mut names = BTreeMap::new();
    let mut is_right = true;
    for item in items {
        let place = reader.place(item);
        match read(reader, item) {
            None => is_right = false,
            Some(name) => match names.get(&name) {
                Some(&first) => reader.report_duplicate(item, first),
                None => {
                    names.insert(name, place);
                }
            },
        }
    }
    let patterns = names.keys().filter(|name| name.contains(Glob::WILDCARDS));
    let patterns: Vec<_> = patterns.map(|pattern| Glob::new(pattern)).collect();
    if patterns.len() > PATTERNS_MAX {
        reader
            .error(
                node,
                format!("`{field}` has more than {PATTERNS_MAX} patterns"),
            )
            .help("one pattern can cover many names; entries without `*` and `?` are not counted");
    }
    let place = reader.place(node);
    (is_right && patterns.len() <= PATTERNS_MAX).then_some(Allowed {
        place,
        names: names.into_keys().collect(),
        patterns,
        none: "nothing",
    })
}

fn account(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    pattern(
        reader,
        node,
        "an account's name",
        |name| AccountName::new(name).is_some(),
        "lower-case letters, digits, `-` and `.`; `*` stands for any of them, `?` for one",
    )
}

fn image(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<String> {
    pattern(
        reader,
        node,
        "an image's id or name",
        // A text that looks like an id must be one: here, a name cannot begin with `img-`.
        |text| match text
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("img-"))
        {
            true => ImageId::new(text).is_ok(),
            false => ImageName::new(text).is_ok(),
        },
        "an id is `img-`, then lower-case letters and digits; a name is of 1 to 128 characters; `*` stands for any of them, `?` for one",
    )
}

/// A pattern is valid if replacing its wildcards with letters gives a valid name.
fn pattern(
    reader: &mut Reader<'_, '_>,
    node: &Node<'_>,
    what: &str,
    is_good: fn(&str) -> bool,
    help: &str,
) -> Option<String> {
    let text = reader.text(node, what)?;
    let is_good = |text: &str| is_good(&text.replace(Glob::WILDCARDS, "a"));
    if is_good(text) {
        return Some(text.to_owned());
    }
    let lower = text.trim().to_lowercase();
    let help = match is_good(&lower) {
        true => format!("did you mean `{lower}`?"),
        false => help.to_owned(),
    };
    reader
        .error(
            node,
            format!("`{text}` is not {what}, nor a pattern of one"),
        )
        .help(help);
    None
}

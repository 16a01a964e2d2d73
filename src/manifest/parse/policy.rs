//! `ImageSharePolicy` documents: images that are shared by rule. `policy_images` reads which images these are.

use chrono::TimeDelta;

use super::document::PolicyDocument;
use super::fields::{Fields, Reader};
use super::policy_images;
use super::yaml::Node;
use crate::desired::{Availability, ImageRef, Keep, LockMode, NameRegex, Order, Policy};
use crate::model::ImageName;

const FIELDS: [&str; 16] = [
    "account",
    "region",
    "regions",
    "match",
    "deprecated",
    "exclude",
    "order",
    "semver",
    "minAge",
    "availability",
    "keep",
    "pin",
    "revoke",
    "lock",
    "rollout",
    "channels",
];
const KEEP_FIELDS: [&str; 6] = [
    "newest",
    "minimum",
    "unshareAfter",
    "inUse",
    "maxCancels",
    "owned",
];
/// The default for the number of CANCELs of one cause that may be due in one region.
pub(super) const MAX_CANCELS: u32 = 5;
/// The default for the number of versions that retention must leave.
pub(super) const MINIMUM: u32 = 1;

/// The meaning of each word of a field.
pub(super) const ORDERS: [(&str, OrderWord); 3] = [
    ("created", OrderWord::Created),
    ("semver", OrderWord::Semver),
    ("name", OrderWord::Name),
];
pub(super) const AVAILABILITIES: [(&str, Availability); 2] =
    [("each", Availability::Each), ("all", Availability::All)];
pub(super) const LOCKS: [(&str, LockMode); 2] = [
    ("optional", LockMode::Optional),
    ("required", LockMode::Required),
];
/// Whether a share that instances use is cancelled.
pub(super) const IN_USE: [(&str, bool); 2] = [("keep", false), ("cancel", true)];
/// Whether deprecated images are skipped when the newest versions are counted.
pub(super) const DEPRECATED: [(&str, bool); 1] = [("retire", true)];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderWord {
    Created,
    Semver,
    Name,
}

/// Reads an `ImageSharePolicy` document.
pub(super) fn read(reader: &mut Reader<'_, '_>, fields: &Fields<'_, '_>) -> PolicyDocument {
    let mut document = PolicyDocument {
        header: reader.header(fields),
        matched: None,
        pinned: Vec::new(),
        revoked: Vec::new(),
        replacements: Vec::new(),
        policy: None,
    };
    let spec = reader.required(fields, "spec", "the document");
    if let Some(spec) = spec.and_then(|spec| reader.fields(spec, "`spec`", &FIELDS)) {
        reader.scopes(&spec, &mut document.header);
        document.policy = policy(reader, &spec, &mut document);
    }
    document
}

/// Reads `spec`, and stores in `document` the parts that other documents are checked against.
fn policy(
    reader: &mut Reader<'_, '_>,
    spec: &Fields<'_, '_>,
    document: &mut PolicyDocument,
) -> Option<Policy> {
    // All fields are read before any is required, so that all errors are reported at once.
    refuse_unsupported(reader, spec);
    let matches = reader.required(spec, "match", "`spec`").and_then(|node| {
        let matches = policy_images::matches(reader, node)?;
        document.matched = Some((matches.name.clone(), reader.place(node)));
        Some(matches)
    });
    let retires_deprecated = reader.optional(spec, "deprecated", |reader, node| {
        reader.word(node, "deprecated", &DEPRECATED)
    });
    let exclude = reader.optional(spec, "exclude", policy_images::exclusions);
    let order = order(reader, spec);
    let min_age = reader.optional(spec, "minAge", |reader, node| {
        reader.duration(node, "minAge")
    });
    let availability = reader.optional(spec, "availability", |reader, node| {
        reader.word(node, "availability", &AVAILABILITIES)
    });
    let keep = reader.required(spec, "keep", "`spec`");
    let keep = keep.and_then(|node| keep_of(reader, node));
    let pins = reader.optional(spec, "pin", |reader, node| {
        policy_images::pins(reader, node, &mut *document)
    });
    let revocations = reader.optional(spec, "revoke", |reader, node| {
        policy_images::revocations(reader, node, document)
    });
    let lock = reader.optional(spec, "lock", |reader, node| {
        reader.word(node, "lock", &LOCKS)
    });
    let header = &document.header;
    let (_, place) = header.name.as_ref()?;
    let policy = Policy {
        document: header.metadata(),
        account: header.account_name(),
        regions: header.regions.iter().map(|(region, _)| *region).collect(),
        matches: matches?,
        retires_deprecated: retires_deprecated?.unwrap_or(false),
        exclude: exclude?.unwrap_or_default(),
        order: order?,
        min_age: min_age?.unwrap_or(TimeDelta::zero()),
        availability: availability?.unwrap_or(Availability::Each),
        keep: keep?,
        pins: pins?.unwrap_or_default(),
        revocations: revocations?.unwrap_or_default(),
        lock: lock?.unwrap_or(LockMode::Optional),
        source: reader.sink.source_of(*place),
        digest: "".into(),
    };
    let has_regions = !policy.regions.is_empty();
    warn(reader, spec, &policy, document);
    has_regions.then(|| Policy {
        digest: policy.meaning().into(),
        ..policy
    })
}

/// Reports fields that the format reserves but this version does not support.
fn refuse_unsupported(reader: &mut Reader<'_, '_>, spec: &Fields<'_, '_>) {
    for (name, help) in [
        (
            "rollout",
            "omit it: all regions change at once; or write a policy for each wave, and change one after another",
        ),
        ("channels", "omit it"),
    ] {
        if let Some(node) = spec.get(name) {
            reader
                .error(node, format!("`{name}` is not supported by this version"))
                .help(help);
        }
    }
}

fn order(reader: &mut Reader<'_, '_>, spec: &Fields<'_, '_>) -> Option<Order> {
    let word = reader.optional(spec, "order", |reader, node| {
        reader.word(node, "order", &ORDERS)
    });
    let range = reader.optional(spec, "semver", |reader, node| {
        let fields = reader.fields(node, "`semver`", &["range"])?;
        let node = reader.required(&fields, "range", "`semver`")?;
        range(reader, node)
    });
    let word = word?.unwrap_or(OrderWord::Created);
    if let Some(node) = spec.get("semver")
        && word != OrderWord::Semver
    {
        reader
            .error(node, "`semver` needs `order: semver`")
            .help("add `order: semver`, or remove `semver`");
        return None;
    }
    let range = range?;
    Some(match word {
        OrderWord::Created => Order::Created,
        OrderWord::Semver => Order::Semver(range),
        OrderWord::Name => Order::Name,
    })
}

fn range(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<semver::VersionReq> {
    let text = reader.text(node, "`range`")?;
    semver::VersionReq::parse(text)
        .map_err(|error| {
            reader
                .error(node, format!("`{text}` is not a range of versions"))
                .help(format!(
                    "{error}; a range has a form such as `>=1.4, <2` or `^1.4`"
                ));
        })
        .ok()
}

fn keep_of(reader: &mut Reader<'_, '_>, node: &Node<'_>) -> Option<Keep> {
    const EVERY: std::ops::RangeInclusive<u32> = 0..=u32::MAX;
    let fields = reader.fields(node, "`keep`", &KEEP_FIELDS)?;
    let newest = reader
        .required(&fields, "newest", "`keep`")
        .and_then(|node| {
            let help = "to end all of their shares, revoke them, or declare them `unshared`";
            reader.whole(node, "newest", 1..=u32::MAX, help)
        });
    let minimum = reader.optional(&fields, "minimum", |reader, node| {
        let help = "the number of versions that retention must leave";
        Some((node, reader.whole(node, "minimum", EVERY, help)?))
    });
    let unshare_after = reader.optional(&fields, "unshareAfter", |reader, node| {
        reader.duration(node, "unshareAfter")
    });
    let cancels_in_use = reader.optional(&fields, "inUse", |reader, node| {
        reader.word(node, "inUse", &IN_USE)
    });
    let max_cancels = reader.optional(&fields, "maxCancels", |reader, node| {
        let help = "if more than this number are due in a region, none of them is made";
        reader.whole(node, "maxCancels", EVERY, help)
    });
    let owned = reader.optional(&fields, "owned", |reader, node| {
        reader.boolean(node, "`owned`")
    });
    let (newest, minimum) = (newest?, minimum?);
    if let Some((node, minimum)) = minimum
        && minimum > newest
    {
        reader
            .error(
                node,
                format!("`minimum` is {minimum}, but `newest` is only {newest}"),
            )
            .help("a policy cannot leave more versions than it keeps: lower `minimum`, or raise `newest`");
        return None;
    }
    Some(Keep {
        newest,
        minimum: minimum.map_or(MINIMUM, |(_, minimum)| minimum),
        unshare_after: unshare_after?.unwrap_or(TimeDelta::zero()),
        cancels_in_use: cancels_in_use?.unwrap_or(false),
        max_cancels: max_cancels?.unwrap_or(MAX_CANCELS),
        owned: owned?.unwrap_or(false),
    })
}

/// Warns about content that is valid but has another effect than probably intended.
fn warn(
    reader: &mut Reader<'_, '_>,
    spec: &Fields<'_, '_>,
    policy: &Policy,
    document: &PolicyDocument,
) {
    let matches = &policy.matches;
    let covers = |name: &ImageName| {
        let glob = matches.name.as_ref();
        let regex = matches.name_regex.as_ref();
        glob.is_none_or(|glob| glob.matches(name.as_str()))
            && regex.is_none_or(|regex| regex.matches(name.as_str()))
    };
    for (name, place) in &document.pinned {
        if !covers(name) {
            let message = format!("`{name}` is pinned, but `match` does not cover it");
            reader.sink.warning(*place, message).help(
                "a pin applies only to images that match; until it finds all of them, nothing new is shared there, and nothing is cancelled",
            );
        }
        let mut revoked = document.revoked.iter();
        let same = ImageRef::Name(name.clone());
        if let Some((_, revoked)) = revoked.find(|(image, _)| *image == same) {
            let message = format!("`{name}` is both pinned and revoked");
            reader
                .sink
                .warning(*place, message)
                .mention(*revoked, "revoked here")
                .help(
                    "a revoked image is not shared; until the pin names others, nothing is cancelled there",
                );
        }
    }
    let regex = matches.name_regex.as_ref();
    if let Order::Semver(_) = policy.order
        && let Some(node) = spec.get("order")
        && !regex.is_some_and(NameRegex::has_version)
        && matches
            .name
            .as_ref()
            .is_none_or(|name| !name.as_str().starts_with(['*', '?', 'v']))
    {
        let place = reader.place(node);
        reader
            .sink
            .warning(
                place,
                "without a group `version`, the whole name must be a semantic version",
            )
            .help(
                "name the part that is one: `nameRegex: 'golden-(?<version>\\d+\\.\\d+\\.\\d+)'`",
            );
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

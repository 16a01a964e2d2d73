//! The images that `--sim` invents, so that the manifests find something: images that they name by id or by name, and a
//! few that match each policy.

use chrono::{TimeDelta, TimeZone, Utc};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::desired::{
    Desired, DesiredImage, DesiredShare, ImageMatch, ImageRef, NameRegex, Order, Policy,
};
use crate::model::{Glob, ImageName, Region, Scope, Timestamp};
use crate::sim::{Image, PlacedImage};

/// The number of images that each policy finds in a region.
const VERSIONS: usize = 5;

/// The desired images. If several have one id, or one name and no id, the first one counts.
pub(super) fn wanted(desired: &Desired) -> Vec<PlacedImage> {
    let mut wanted = Vec::new();
    for (key, image) in &desired.images {
        let image = Image {
            id: key.image.as_str().into(),
            shared: starts_shared(image),
            ..Image::default()
        };
        wanted.push(placed(&key.scope, image));
    }
    for (scope, names) in &desired.names {
        let policies = desired.policies.get(scope).map_or(&[][..], Vec::as_slice);
        for (name, image) in names {
            let mut policies = policies.iter();
            let policy = policies.find(|policy| matches_name(&policy.matches, name.as_str()));
            let like = policy.map(|policy| like(&policy.matches, VERSIONS - 1));
            let image = Image {
                name: name.as_str().into(),
                shared: starts_shared(image),
                ..like.unwrap_or_default()
            };
            wanted.push(placed(scope, image));
        }
    }
    for (scope, policies) in &desired.policies {
        for policy in policies {
            add_for(&mut wanted, scope, policy);
            let lock = desired.locks.get(policy.name());
            let locked = lock.and_then(|lock| lock.regions.get(&scope.region));
            for locked in locked.into_iter().flatten() {
                let image = Image {
                    id: locked.id.as_str().into(),
                    name: locked.name.as_str().into(),
                    ..like(&policy.matches, 0)
                };
                wanted.push(placed(scope, image));
            }
        }
    }
    wanted
}

fn placed(scope: &Scope, image: Image) -> PlacedImage {
    PlacedImage {
        account: scope.account.to_string(),
        region: scope.region,
        image,
    }
}

/// In a new world, an image that a manifest wants unshared is shared at first, so that there is something to do.
fn starts_shared(image: &DesiredImage) -> bool {
    matches!(image.share, DesiredShare::Unshared)
}

/// Adds the images that a policy names, and some that it matches.
fn add_for(wanted: &mut Vec<PlacedImage>, scope: &Scope, policy: &Policy) {
    let region = scope.region;
    let mut ensure = |name: &str, shared: bool, age: usize| {
        let image = Image {
            name: name.into(),
            shared,
            ..like(&policy.matches, age)
        };
        wanted.push(placed(scope, image));
    };
    for (age, name) in names(policy).iter().enumerate() {
        ensure(name, false, age);
    }
    let here = |regions: &Option<std::collections::BTreeSet<Region>>| {
        regions
            .as_ref()
            .is_none_or(|regions| regions.contains(&region))
    };
    let pins = policy.pins.iter().filter(|pin| here(&pin.regions));
    for name in pins.flat_map(|pin| &pin.names) {
        ensure(name.as_str(), false, 1);
    }
    for revoked in &policy.revocations {
        if let ImageRef::Name(name) = &revoked.image {
            ensure(name.as_str(), true, 1);
        }
        if let Some(name) = &revoked.replacement {
            ensure(name.as_str(), false, VERSIONS - 1);
        }
    }
    // An id belongs to one region, but the policy does not say which one.
    if policy.regions.first() == Some(&region) {
        for revoked in &policy.revocations {
            if let ImageRef::Id(id) = &revoked.image {
                let image = Image {
                    id: id.as_str().into(),
                    shared: true,
                    ..Image::default()
                };
                wanted.push(placed(scope, image));
            }
        }
    }
}

/// An image that meets all conditions except that on its name. A higher `age` means a later CreatedTime.
fn like(matches: &ImageMatch, age: usize) -> Image {
    let plain = Image::default();
    let like = |glob: &Option<Glob>, plain: String| match glob {
        Some(glob) if !glob.matches(&plain) => sample(glob, ""),
        _ => plain,
    };
    let tags = matches.tags.iter();
    Image {
        family: matches
            .family
            .as_ref()
            .map(|glob| sample(glob, "x"))
            .unwrap_or_default(),
        tags: tags
            .map(|(key, value)| (key.clone(), sample(value, "x")))
            .collect(),
        os_name: like(&matches.os_name, plain.os_name),
        platform: like(&matches.platform, plain.platform),
        architecture: like(&matches.architecture, plain.architecture),
        created_time: created(matches, age)
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        ..Image::default()
    }
}

fn created(matches: &ImageMatch, age: usize) -> Timestamp {
    let number = i32::try_from(age).unwrap_or_default();
    let plain = Utc.timestamp_opt(1_767_340_800, 0).single();
    let plain = plain.unwrap_or_default() + TimeDelta::days(1) * number;
    let (after, before) = (matches.created_after, matches.created_before);
    let late_enough = after.is_none_or(|after| after <= plain);
    let early_enough = before.is_none_or(|before| plain < before);
    match (after, before) {
        _ if late_enough && early_enough => plain,
        (Some(after), _) => after + TimeDelta::hours(1) * number,
        (None, Some(before)) => before - TimeDelta::hours(1) * (10 - number),
        (None, None) => plain,
    }
}

fn matches_name(matches: &ImageMatch, name: &str) -> bool {
    let glob = matches.name.as_ref();
    let regex = matches.name_regex.as_ref();
    glob.is_none_or(|glob| glob.matches(name)) && regex.is_none_or(|regex| regex.matches(name))
}

/// Names that match, oldest first. Empty if none could be invented.
fn names(policy: &Policy) -> Vec<String> {
    let matches = &policy.matches;
    let versions = versions(&policy.order);
    let made_up = versions.iter().enumerate().map(|(number, version)| {
        match (&matches.name, &matches.name_regex) {
            (_, Some(regex)) => regex_sample(regex, version, number),
            (Some(glob), None) => Some(sample(glob, version)),
            (None, None) => Some(format!("{}-{version}", policy.name())),
        }
    });
    let mut names: Vec<_> = made_up
        .flatten()
        .filter(|name| matches_name(matches, name) && ImageName::new(name).is_ok())
        .collect();
    names.dedup();
    names
}

/// Versions that are valid for the order, oldest first.
fn versions(order: &Order) -> Vec<String> {
    let Order::Semver(Some(range)) = order else {
        return (0..VERSIONS).map(|minor| format!("1.{minor}.0")).collect();
    };
    let all = (0..20).flat_map(|major| {
        (0..20).flat_map(move |minor| (0..3).map(move |patch| (major, minor, patch)))
    });
    let all = all.map(|(major, minor, patch)| semver::Version::new(major, minor, patch));
    let fit = all.filter(|version| range.matches(version));
    fit.take(VERSIONS)
        .map(|version| version.to_string())
        .collect()
}

/// A text that matches the pattern: its last `*` becomes the version, the others become empty.
fn sample(glob: &Glob, version: &str) -> String {
    let pattern = glob.as_str().replace('?', "1");
    match pattern.rsplit_once('*') {
        Some((before, after)) => format!("{}{version}{after}", before.replace('*', "")),
        None => pattern,
    }
}

/// A name that the expression matches: with the version as its group `version`, or else with numbers in its runs of
/// digits.
fn regex_sample(regex: &NameRegex, version: &str, number: usize) -> Option<String> {
    let parsed = regex_syntax::parse(regex.as_str()).ok()?;
    let write = |version, numbers| {
        let mut sample = RegexSample {
            version,
            numbers,
            taken: 0,
            text: String::new(),
        };
        sample.write(&parsed);
        (sample.text, sample.taken)
    };
    let has_group = regex.as_str().contains("<version>");
    let with_version = has_group.then(|| write(Some(version), vec![1]).0);
    let matching = with_version.filter(|name| regex.matches(name));
    matching.or_else(|| {
        let (name, numbers) = write(None, vec![1, number, 0]);
        let name = match numbers {
            1 => write(None, vec![number]).0,
            _ => name,
        };
        regex.matches(&name).then_some(name)
    })
}

/// The text of an expression, with a choice for everything that it leaves open.
struct RegexSample<'v> {
    /// The text of the group `version`; `None` means any matching text.
    version: Option<&'v str>,
    /// Numbers for its runs of digits, in order; the last one is used for all later runs.
    numbers: Vec<usize>,
    taken: usize,
    text: String,
}

impl RegexSample<'_> {
    fn write(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Literal(literal) => self.text.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => self.write_one_of(class),
            HirKind::Repetition(repetition) => {
                // An optional part is left out.
                let optional = repetition.min == 0 && repetition.max == Some(1);
                let times = if optional { 0 } else { repetition.min.max(1) };
                (0..times).for_each(|_| self.write(&repetition.sub));
            }
            HirKind::Capture(capture) => match self.version {
                Some(version) if capture.name.as_deref() == Some(NameRegex::VERSION_GROUP) => {
                    self.text.push_str(version);
                }
                _ => self.write(&capture.sub),
            },
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.write(part)),
            HirKind::Alternation(parts) => {
                if let Some(first) = parts.first() {
                    self.write(first);
                }
            }
            // Empty, or a condition on the position, which needs no text.
            _ => {}
        }
    }

    fn write_one_of(&mut self, class: &Class) {
        let holds = |wanted: char| match class {
            Class::Unicode(class) => {
                let mut ranges = class.ranges().iter();
                ranges.any(|range| (range.start()..=range.end()).contains(&wanted))
            }
            Class::Bytes(class) => {
                let mut ranges = class.ranges().iter();
                ranges.any(|range| {
                    (char::from(range.start())..=char::from(range.end())).contains(&wanted)
                })
            }
        };
        if holds('1') {
            let last = self.numbers.len().saturating_sub(1);
            let number = self.numbers.get(self.taken.min(last)).copied();
            self.taken += 1;
            self.text.push_str(&number.unwrap_or_default().to_string());
        } else if let Some(letter) = ('a'..='z')
            .chain('A'..='Z')
            .chain('!'..='/')
            .find(|c| holds(*c))
        {
            self.text.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_up_that_the_pattern_matches() {
        let glob = |pattern: &str, version: &str| sample(&Glob::new(pattern), version);
        assert_eq!(glob("golden-ubuntu-*", "1.2.0"), "golden-ubuntu-1.2.0");
        assert_eq!(glob("*-golden-?-*-x", "1.2.0"), "-golden-1-1.2.0-x");
        assert_eq!(glob("golden", "1.2.0"), "golden");
        for (expression, expected) in [
            (r"golden-(?<version>\d+\.\d+\.\d+)(-arm)?", "golden-1.3.0"),
            (r"golden-\d+\.\d+\.\d+", "golden-1.3.0"),
            (r"golden-(?<version>\d{8})", "golden-13000000"),
            (r"(golden|base)-[a-z]+-\d+", "golden-a-3"),
        ] {
            let regex = NameRegex::new(expression).expect("an expression");
            let name = regex_sample(&regex, "1.3.0", 3);
            let differs = regex_sample(&regex, "1.2.0", 2);
            assert!(name.is_some() && name != differs, "{expression}");
            let name = name.expect("a name");
            assert!(regex.matches(&name), "{expression}: {name}");
            assert_eq!(name, expected, "{expression}");
        }
    }

    #[test]
    fn names_and_policies_find_images_under_another_id_in_each_region() {
        let mut desired = Desired::default();
        for region in ["ap-tokyo", "ap-seoul"] {
            let scope = Scope {
                account: crate::model::AccountName::default(),
                region: Region::new(region).expect("a region"),
            };
            desired.policies.insert(scope, vec![policy().into()]);
        }
        let mut cloud = crate::sim::Cloud::new(crate::sim::World::default());
        for placed in wanted(&desired).into_iter().chain(wanted(&desired)) {
            cloud.ensure(placed);
        }
        let images = cloud.world().accounts.remove(0).images;
        let mut ids: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2 * (VERSIONS + 2), "{images:?}");
        let (mut here, elsewhere): (Vec<_>, Vec<_>) = images
            .into_iter()
            .partition(|image| image.regions == ["ap-tokyo"]);
        assert_eq!(here.len(), elsewhere.len());
        here.sort_by(|a, b| a.name.cmp(&b.name));
        let shared = here.iter().filter(|image| image.shared);
        let shared: Vec<_> = shared.map(|image| image.name.as_str()).collect();
        assert_eq!(shared, ["golden-0.9.0"], "what is revoked begins shared");
        let made_up = here
            .iter()
            .filter(|image| image.name.starts_with("golden-1."));
        let made_up: Vec<_> = made_up.collect();
        assert!(made_up.is_sorted_by(|a, b| a.created_time < b.created_time));
        assert!(
            here.iter()
                .all(|image| image.family == "golden" && image.tags["release"] == "stable")
        );
    }

    fn policy() -> Policy {
        use crate::desired::{Availability, Keep, LockMode, Revocation, Source};
        let source = Source {
            file: "policy.yaml".into(),
            line: 1,
        };
        let named = |name: &str| ImageName::new(name).expect("a name");
        Policy {
            document: Default::default(),
            account: crate::model::AccountName::default(),
            regions: Region::all().collect(),
            matches: ImageMatch {
                name: Some(Glob::new("golden-*")),
                family: Some(Glob::new("golden")),
                tags: [("release".to_owned(), Glob::new("stable"))].into(),
                ..ImageMatch::default()
            },
            retires_deprecated: false,
            exclude: Vec::new(),
            order: Order::Created,
            min_age: TimeDelta::zero(),
            availability: Availability::Each,
            keep: Keep {
                newest: 3,
                minimum: 1,
                unshare_after: TimeDelta::zero(),
                cancels_in_use: false,
                max_cancels: 5,
                owned: false,
            },
            pins: Vec::new(),
            revocations: vec![Revocation {
                image: ImageRef::Name(named("golden-0.9.0")),
                reason: None,
                at: None,
                replacement: Some(named("golden-0.9.1")),
                force: false,
                source: source.clone(),
            }],
            lock: LockMode::Optional,
            source,
            digest: "".into(),
        }
    }
}

//! The digest of a policy's meaning: two specs with the same meaning have the same digest, whatever their notation.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::image_match::ImageMatch;
use super::policy::{Availability, Exclusion, ImageRef, Keep, Order, Pin, Policy, Revocation};
use crate::model::{Glob, Timestamp};

impl Policy {
    /// The SHA-256 of the spec's meaning, in hexadecimal. Names, labels, reasons and source locations do not count, and
    /// neither does the order of lists.
    pub fn meaning(&self) -> String {
        let Self {
            document: _,
            account,
            regions,
            matches,
            retires_deprecated,
            exclude,
            order,
            min_age,
            availability,
            keep,
            pins,
            revocations,
            lock: _,
            source: _,
            digest: _,
        } = self;
        // Only arrays, because the order of an object's fields is not under our control.
        let spec = json!([
            account.as_str(),
            regions
                .iter()
                .map(|region| region.as_str())
                .collect::<Vec<_>>(),
            conditions(matches),
            retires_deprecated,
            unordered(exclude.iter().map(exclusion)),
            self::order(order),
            min_age.num_milliseconds(),
            match availability {
                Availability::Each => "each",
                Availability::All => "all",
            },
            self::keep(keep),
            unordered(pins.iter().flat_map(|pin| self.pin(pin))),
            unordered(revocations.iter().map(revocation)),
        ]);
        hex::encode(Sha256::digest(spec.to_string()))
    }

    /// The pin, once for each of its regions.
    fn pin(&self, pin: &Pin) -> Vec<Value> {
        let Pin {
            regions,
            names,
            reason: _,
            until,
            source: _,
        } = pin;
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        let regions = regions.as_ref().unwrap_or(&self.regions);
        let of = |region: &crate::model::Region| json!([region.as_str(), names, instant(*until)]);
        regions.iter().map(of).collect()
    }
}

/// A list whose order and repetitions have no meaning.
fn unordered(items: impl Iterator<Item = Value>) -> Vec<String> {
    let items: BTreeSet<_> = items.map(|item| item.to_string()).collect();
    items.into_iter().collect()
}

fn conditions(matches: &ImageMatch) -> Value {
    let ImageMatch {
        name,
        name_regex,
        family,
        tags,
        os_name,
        platform,
        architecture,
        created_after,
        created_before,
    } = matches;
    let text = |glob: &Option<Glob>| glob.as_ref().map(|glob| glob.as_str().to_owned());
    let tags: Vec<_> = tags
        .iter()
        .map(|(key, value)| (key, value.as_str()))
        .collect();
    json!([
        text(name),
        name_regex.as_ref().map(|regex| regex.as_str()),
        text(family),
        tags,
        text(os_name),
        text(platform),
        text(architecture),
        instant(*created_after),
        instant(*created_before),
    ])
}

fn exclusion(exclusion: &Exclusion) -> Value {
    let Exclusion {
        id,
        matches,
        reason: _,
    } = exclusion;
    json!([id.as_ref().map(|id| id.as_str()), conditions(matches)])
}

fn order(order: &Order) -> Value {
    match order {
        Order::Created => json!("created"),
        Order::Name => json!("name"),
        Order::Semver(range) => {
            let comparators = range.iter().flat_map(|range| &range.comparators);
            let range = range
                .as_ref()
                .map(|_| unordered(comparators.map(|one| json!(one.to_string()))));
            json!(["semver", range])
        }
    }
}

fn keep(keep: &Keep) -> Value {
    let Keep {
        newest,
        minimum,
        unshare_after,
        cancels_in_use,
        max_cancels,
        owned,
    } = keep;
    json!([
        newest,
        minimum,
        unshare_after.num_milliseconds(),
        cancels_in_use,
        max_cancels,
        owned,
    ])
}

fn revocation(revocation: &Revocation) -> Value {
    let Revocation {
        image,
        reason: _,
        at,
        replacement,
        force,
        source: _,
    } = revocation;
    let (kind, image) = match image {
        ImageRef::Name(name) => ("name", name.as_str()),
        ImageRef::Id(id) => ("id", id.as_str()),
    };
    let replacement = replacement.as_ref().map(|name| name.as_str());
    json!([kind, image, instant(*at), replacement, force])
}

fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_rfc3339())
}

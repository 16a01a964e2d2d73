//! Whether a policy matches an image, and whether it excludes the image. Data that only CVM has may be unknown: then
//! nothing is concluded, in particular not that an image does not match.

use std::sync::Arc;

use crate::desired::{Exclusion, ImageMatch, Policy};
use crate::model::{Glob, ImageId, Timestamp};
use crate::observation::{CvmImage, CvmImages, OwnImage};

/// Whether conditions hold for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    Differs,
    /// The result depends on CVM, which could not be read.
    Unreadable,
}

/// Whether one of the policies matches an image, or may match it: missing CVM data rule nothing out.
pub fn is_matched(policies: &[Arc<Policy>], id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> bool {
    let mut policies = policies.iter();
    policies.any(|policy| matches(policy, id, own, cvm) != Fit::Differs)
}

/// Whether the policy matches an image, without regard to its exclusions.
pub(super) fn matches(policy: &Policy, id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> Fit {
    match fit(&policy.matches, id, own, cvm) {
        // It is not known whether the image is deprecated or excluded.
        Fit::Fits if policy.needs_cvm() && !is_listed(id, cvm) => Fit::Unreadable,
        fit => fit,
    }
}

/// Whether CVM lists the image. The two lists are read one after the other, so an image that is missing in one of them is
/// new or gone.
fn is_listed(id: &ImageId, cvm: &CvmImages) -> bool {
    matches!(cvm, CvmImages::Known(images) if images.contains_key(id))
}

/// The version text in the name of an image.
pub(super) fn version_of<'n>(policy: &Policy, name: &'n str) -> &'n str {
    let regex = policy.matches.name_regex.as_ref();
    let version = regex.and_then(|regex| regex.version(name));
    version.unwrap_or(name)
}

/// The result of a policy's exclusions for an image that it matches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Excluded {
    No,
    /// The image is left alone; holds the reason.
    Yes(Arc<str>),
    /// An exclusion depends on data that could not be read.
    Unreadable,
}

/// Whether the policy excludes an image that it matches.
pub(super) fn excluded(policy: &Policy, id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> Excluded {
    let fit_of = |exclusion: &Exclusion| match &exclusion.id {
        Some(excluded) if excluded != id => Fit::Differs,
        _ => fit(&exclusion.matches, id, own, cvm),
    };
    let name = policy.name();
    let mut exclude = policy.exclude.iter();
    if let Some(exclusion) = exclude.find(|exclusion| fit_of(exclusion) == Fit::Fits) {
        return Excluded::Yes(match &exclusion.reason {
            Some(reason) => format!("by policy `{name}`: {reason}").into(),
            None => format!("by policy `{name}`").into(),
        });
    }
    let mut exclude = policy.exclude.iter();
    match exclude.any(|exclusion| fit_of(exclusion) == Fit::Unreadable) {
        true => Excluded::Unreadable,
        false => Excluded::No,
    }
}

fn fit(conditions: &ImageMatch, id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> Fit {
    match fit_listing(conditions, own) {
        Fit::Fits if conditions.needs_cvm() => {}
        fit => return fit,
    }
    match cvm {
        CvmImages::NotAsked | CvmImages::Unknown(_) => Fit::Unreadable,
        CvmImages::Known(images) => match images.get(id) {
            Some(image) if fits_cvm(conditions, image) => Fit::Fits,
            Some(_) => Fit::Differs,
            None => Fit::Unreadable,
        },
    }
}

/// The conditions on the fields of DescribeImagesToShare. A text that the API does not return fulfils no condition but
/// rules nothing out. An image whose `CreatedTime` cannot be read passes the conditions on it, because it is excluded for
/// this reason.
fn fit_listing(conditions: &ImageMatch, image: &OwnImage) -> Fit {
    let fit = |is_given: bool, text: &str, fits: bool| match (is_given, text, fits) {
        (false, ..) => Fit::Fits,
        (true, "", _) => Fit::Unreadable,
        (true, _, true) => Fit::Fits,
        (true, _, false) => Fit::Differs,
    };
    let glob = |glob: &Option<Glob>, text: &str| {
        let fits = glob.as_ref().is_none_or(|glob| glob.matches(text));
        fit(glob.is_some(), text, fits)
    };
    let regex = conditions.name_regex.as_ref();
    let fits_regex = regex.is_none_or(|regex| regex.matches(&image.name));
    let at = |limit: Option<Timestamp>, holds: fn(Timestamp, Timestamp) -> bool| {
        let holds = limit
            .zip(image.created)
            .is_none_or(|(limit, created)| holds(created, limit));
        match holds {
            true => Fit::Fits,
            false => Fit::Differs,
        }
    };
    let all = [
        glob(&conditions.name, &image.name),
        fit(regex.is_some(), &image.name, fits_regex),
        glob(&conditions.os_name, &image.os_name),
        glob(&conditions.platform, &image.platform),
        glob(&conditions.architecture, &image.architecture),
        at(conditions.created_after, |created, limit| created >= limit),
        at(conditions.created_before, |created, limit| created < limit),
    ];
    if all.contains(&Fit::Differs) {
        Fit::Differs
    } else if all.contains(&Fit::Unreadable) {
        Fit::Unreadable
    } else {
        Fit::Fits
    }
}

fn fits_cvm(conditions: &ImageMatch, image: &CvmImage) -> bool {
    let has_family = conditions.family.as_ref().is_none_or(|glob| {
        let family = image.family.as_deref();
        family.is_some_and(|family| glob.matches(family))
    });
    let mut tags = conditions.tags.iter();
    has_family && tags.all(|(key, glob)| image.tags.get(key).is_some_and(|v| glob.matches(v)))
}

//! Whether a policy is about an image, and whether it leaves it alone. What only CVM tells may not be known: then nothing is
//! concluded, least of all that an image does not match.

use std::sync::Arc;

use crate::desired::{Exclusion, ImageMatch, Policy};
use crate::model::{Glob, ImageId, Timestamp};
use crate::observation::{CvmImage, CvmImages, OwnImage};

/// Whether conditions hold for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    Differs,
    /// It depends on CVM, which could not be read.
    Unreadable,
}

/// Whether one of the policies is about an image, or may be: what CVM does not tell rules nothing out.
pub fn is_matched(policies: &[Arc<Policy>], id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> bool {
    let mut policies = policies.iter();
    policies.any(|policy| matches(policy, id, own, cvm) != Fit::Differs)
}

/// Whether the policy matches an image, its exclusions aside.
pub(super) fn matches(policy: &Policy, id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> Fit {
    let fit = fit(&policy.matches, id, own, cvm);
    let is_readable = matches!(cvm, CvmImages::Known(_)) || !policy.needs_cvm();
    match fit {
        // Whether it is deprecated or excluded is not known.
        Fit::Fits if !is_readable => Fit::Unreadable,
        fit => fit,
    }
}

/// The text of the version of an image with this name.
pub(super) fn version_of<'n>(policy: &Policy, name: &'n str) -> &'n str {
    let regex = policy.matches.name_regex.as_ref();
    let version = regex.and_then(|regex| regex.version(name));
    version.unwrap_or(name)
}

/// Why the policy leaves an image alone that it matches, if an exclusion says so.
pub(super) fn excluded(
    policy: &Policy,
    id: &ImageId,
    own: &OwnImage,
    cvm: &CvmImages,
) -> Option<Arc<str>> {
    let is_about = |exclusion: &&Exclusion| {
        exclusion.id.as_ref().is_none_or(|excluded| excluded == id)
            && fit(&exclusion.matches, id, own, cvm) == Fit::Fits
    };
    let exclusion = policy.exclude.iter().find(is_about)?;
    let name = policy.name();
    Some(match &exclusion.reason {
        Some(reason) => format!("by policy `{name}`: {reason}").into(),
        None => format!("by policy `{name}`").into(),
    })
}

fn fit(conditions: &ImageMatch, id: &ImageId, own: &OwnImage, cvm: &CvmImages) -> Fit {
    if !fits_listing(conditions, own) {
        return Fit::Differs;
    }
    if !conditions.needs_cvm() {
        return Fit::Fits;
    }
    match cvm {
        CvmImages::NotAsked | CvmImages::Unknown(_) => Fit::Unreadable,
        CvmImages::Known(images) => match images.get(id) {
            Some(image) if fits_cvm(conditions, image) => Fit::Fits,
            Some(_) => Fit::Differs,
            // The two listings were read one after the other: an image that one of them lacks is new or gone.
            None => Fit::Unreadable,
        },
    }
}

/// The conditions on what DescribeImagesToShare shows. A condition on a time does not hold for an image whose time cannot
/// be read.
fn fits_listing(conditions: &ImageMatch, image: &OwnImage) -> bool {
    let fits = |glob: &Option<Glob>, text: &str| {
        let glob = glob.as_ref();
        glob.is_none_or(|glob| glob.matches(text))
    };
    let regex = conditions.name_regex.as_ref();
    let at = |limit: Option<Timestamp>, holds: fn(Timestamp, Timestamp) -> bool| {
        limit.is_none_or(|limit| image.created.is_some_and(|created| holds(created, limit)))
    };
    fits(&conditions.name, &image.name)
        && regex.is_none_or(|regex| regex.matches(&image.name))
        && fits(&conditions.os_name, &image.os_name)
        && fits(&conditions.platform, &image.platform)
        && fits(&conditions.architecture, &image.architecture)
        && at(conditions.created_after, |created, limit| created >= limit)
        && at(conditions.created_before, |created, limit| created < limit)
}

fn fits_cvm(conditions: &ImageMatch, image: &CvmImage) -> bool {
    let has_family = conditions.family.as_ref().is_none_or(|glob| {
        let family = image.family.as_deref();
        family.is_some_and(|family| glob.matches(family))
    });
    let mut tags = conditions.tags.iter();
    has_family && tags.all(|(key, glob)| image.tags.get(key).is_some_and(|v| glob.matches(v)))
}

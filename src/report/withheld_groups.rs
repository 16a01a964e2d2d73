//! Withheld images, grouped by their reason: a guard that trips names its reason once and not for each image.

use std::fmt::Write;

use super::style::{Sign, dim};
use crate::model::{ImageId, ShareState};
use crate::words::{first_of, plural};

/// So many images with one reason get a line each; more of them share one.
const ALONE_MAX: usize = 3;

/// Images of one scope that are withheld, with the reason: a guard that trips names its reason once, not a hundred
/// times.
#[derive(Default)]
pub(super) struct WithheldGroups<'a> {
    groups: Vec<Group<'a>>,
}

/// Images that are withheld from the same call for the same reason.
struct Group<'a> {
    state: ShareState,
    reason: String,
    /// Each with the place where it is asked for.
    images: Vec<(&'a ImageId, String)>,
}

impl<'a> WithheldGroups<'a> {
    /// Adds one image that is not brought to its desired state; `place` is where that is asked for.
    pub(super) fn add(
        &mut self,
        image: &'a ImageId,
        desired: ShareState,
        reason: String,
        place: String,
    ) {
        let same = |group: &&mut Group<'_>| group.state == desired && group.reason == reason;
        match self.groups.iter_mut().find(same) {
            Some(group) => group.images.push((image, place)),
            None => self.groups.push(Group {
                state: desired,
                reason,
                images: vec![(image, place)],
            }),
        }
    }

    /// The lines, in order of the reasons' first image.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for Group {
            state,
            reason,
            images,
        } in &self.groups
        {
            let verb = match state {
                ShareState::Shared => "to share",
                ShareState::Unshared => "to cancel",
            };
            if images.len() <= ALONE_MAX {
                for (image, place) in images {
                    let id = Sign::Withheld.paint(format_args!("{image:<14}"));
                    let _ = writeln!(lines, "  {id}  {verb}: {reason}  {place}");
                }
                continue;
            }
            let count = plural(images.len() as u64, "image");
            let count = Sign::Withheld.paint(count);
            let _ = writeln!(lines, "  {count} {verb}: {reason}");
            let ids: Vec<_> = images.iter().map(|(image, _)| image.as_str()).collect();
            let _ = writeln!(lines, "    {}", dim(first_of(&ids)));
        }
        lines
    }
}

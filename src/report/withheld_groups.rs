//! Withheld images, grouped by their reason: a guard that trips names its reason once and not for each image.

use std::fmt::Write;

use super::asks_nothing;
use super::names::{NameColumn, named};
use super::style::{Sign, dim};
use crate::model::{ImageId, ShareState};
use crate::plan::Decision;
use crate::words::{first_of, plural};

/// So many images with one reason get a line each; more of them share one.
const ALONE_MAX: usize = 3;

/// Images of one scope that are withheld, with the reason: a guard that trips names its reason once, not a hundred
/// times.
pub(super) struct WithheldGroups<'a> {
    groups: Vec<Group<'a>>,
    column: NameColumn,
}

/// Images that are withheld from the same call for the same reason.
struct Group<'a> {
    /// The state that is asked for; `None` where nothing is.
    state: Option<ShareState>,
    reason: String,
    /// Each with its name and the place where it is asked for.
    images: Vec<(&'a ImageId, Option<&'a str>, String)>,
}

impl<'a> WithheldGroups<'a> {
    /// No image yet; their names will stand in the column.
    pub(super) fn new(column: NameColumn) -> Self {
        Self {
            groups: Vec::new(),
            column,
        }
    }

    /// Adds one image that is not brought to its desired state; `place` is where that is asked for.
    pub(super) fn add(
        &mut self,
        image: &'a ImageId,
        decision: &'a Decision,
        reason: String,
        place: String,
    ) {
        let (desired, name) = (decision.desired, decision.name.as_deref());
        let desired = (!asks_nothing(decision)).then_some(desired);
        let same = |group: &&mut Group<'_>| group.state == desired && group.reason == reason;
        match self.groups.iter_mut().find(same) {
            Some(group) => group.images.push((image, name, place)),
            None => self.groups.push(Group {
                state: desired,
                reason,
                images: vec![(image, name, place)],
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
            // Of what is held, the reason is all there is to say: it is as it was, and stays so.
            let verb = match state {
                Some(ShareState::Shared) => "to share: ",
                Some(ShareState::Unshared) => "to cancel: ",
                None => "",
            };
            if images.len() <= ALONE_MAX {
                for (image, name, place) in images {
                    let id = Sign::Withheld.paint(self.column.label(image, *name));
                    let place = match state {
                        Some(_) => format!("  {place}"),
                        None => String::new(),
                    };
                    let _ = writeln!(lines, "  {id}  {verb}{reason}{place}");
                }
                continue;
            }
            let count = plural(images.len() as u64, "image");
            let count = Sign::Withheld.paint(count);
            let _ = match state {
                Some(_) => writeln!(lines, "  {count} {verb}{reason}"),
                None => writeln!(lines, "  {count}: {reason}"),
            };
            let images = images.iter().map(|(image, name, _)| named(image, *name));
            let images: Vec<_> = images.collect();
            let _ = writeln!(lines, "    {}", dim(first_of(&images)));
        }
        lines
    }
}

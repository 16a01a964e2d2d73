//! Withheld images, grouped by reason: a guard's reason is shown once and not for each image.

use std::fmt::Write;

use super::asks_nothing;
use super::names::{NameColumn, named};
use super::style::{Sign, dim};
use crate::model::{ImageId, ShareState};
use crate::plan::Decision;
use crate::words::{first_of, plural};

/// The most images with one reason that get a line each; more of them share one line.
const ALONE_MAX: usize = 3;

/// The withheld images of one scope, with the reasons. A guard's reason is shown once, not a hundred times.
pub(super) struct WithheldGroups<'a> {
    groups: Vec<Group<'a>>,
    column: NameColumn,
}

/// Images that are withheld from the same call for the same reason.
struct Group<'a> {
    /// The desired state; `None` if there is none.
    state: Option<ShareState>,
    reason: String,
    /// Images with their names and the places that ask for them.
    images: Vec<(&'a ImageId, Option<&'a str>, String)>,
}

impl<'a> WithheldGroups<'a> {
    /// An empty list; the images' names will use this column.
    pub(super) fn new(column: NameColumn) -> Self {
        Self {
            groups: Vec::new(),
            column,
        }
    }

    /// Adds one withheld image; `place` is the line that asks for its state.
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

    /// The lines, in the order of each reason's first image.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for Group {
            state,
            reason,
            images,
        } in &self.groups
        {
            // For a held image, the reason says everything: its state stays as it is.
            let verb = match state {
                Some(ShareState::Shared) => "to share: ",
                Some(ShareState::Unshared) => "to cancel: ",
                None => "",
            };
            if images.len() <= ALONE_MAX {
                for (image, name, place) in images {
                    let id = Sign::Withheld.paint(self.column.label(image.as_str(), *name));
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

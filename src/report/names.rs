//! Images in text: the id, and in a column beside it the name by which people know the image. The longest cell of a
//! column decides how wide the column is.

use std::fmt::Display;

use crate::plan::{Plan, Verdict};
use crate::resolve::{NameProblem, UnresolvedName};
use crate::words::{safe, safe_cow};

/// Longer texts extend beyond their column, so that one of them does not push the rest of all lines aside.
const WIDTH_MAX: usize = 40;
/// The width of the ids that the console shows, and some more: short lists look alike.
const ID_WIDTH_MIN: usize = 14;

/// A column of ids, and beside it a column of names, which is empty if no image has a name. A name that means no image
/// takes the room of both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameColumn {
    ids: usize,
    names: usize,
}

impl NameColumn {
    /// Wide enough for all images that a plan shows, and for its names that mean no image.
    pub(super) fn of(plan: &Plan) -> Self {
        let shown = plan.decisions.iter();
        let shown = shown.filter(|(_, decision)| decision.verdict != Verdict::InSync);
        let images = shown.map(|(image, decision)| (image.as_str(), decision.name.as_deref()));
        Self::fitting(images).with_blocked_names(plan)
    }

    /// Wide enough for these images, each with its name.
    pub(super) fn fitting<'n>(images: impl Iterator<Item = (&'n str, Option<&'n str>)>) -> Self {
        let (mut ids, mut names) = (ID_WIDTH_MIN, 0);
        for (id, name) in images {
            ids = ids.max(id.chars().count());
            names = names.max(beside(id, name).map_or(0, width));
        }
        Self { ids, names }
    }

    /// Wide enough for the names of a plan that mean no image, too.
    pub(super) fn with_blocked_names(self, plan: &Plan) -> Self {
        self.with_names(blocked_names(plan).map(|unresolved| unresolved.name.as_str()))
    }

    fn with_names<'n>(mut self, alone: impl Iterator<Item = &'n str>) -> Self {
        let missing = alone.map(width).max().unwrap_or(0);
        let missing = missing.saturating_sub(self.both());
        match self.names {
            0 => self.ids += missing,
            _ => self.names += missing,
        }
        self
    }

    /// The width of both columns together.
    fn both(self) -> usize {
        match self.names {
            0 => self.ids,
            names => self.ids + 2 + names,
        }
    }

    /// An image with its name, padded to the columns' width. A name that only repeats the id is left out.
    pub(super) fn label(self, id: &str, name: Option<&str>) -> String {
        let Self { ids, names } = self;
        let name = safe_cow(beside(id, name).unwrap_or_default());
        match names {
            0 => format!("{id:<ids$}"),
            _ => format!("{id:<ids$}  {name:<names$}"),
        }
    }

    /// A name that means no image, padded to the width of both columns.
    pub(super) fn label_without_id(self, name: &str) -> String {
        let (name, width) = (safe_cow(name), self.both());
        format!("{name:<width$}")
    }
}

/// The names of a plan that a person must settle. Names that could not be looked up are not included.
pub(super) fn blocked_names(plan: &Plan) -> impl Iterator<Item = &UnresolvedName> {
    let names = plan.unresolved.iter();
    names.filter(|name| name.kind != NameProblem::NotSeen)
}

/// The room that a name, or another text of any length, takes in its column.
pub(super) fn width(text: &str) -> usize {
    text.chars().count().min(WIDTH_MAX)
}

/// The name to show beside an id.
fn beside<'n>(id: &str, name: Option<&'n str>) -> Option<&'n str> {
    name.filter(|name| *name != id)
}

/// An image in a list of several, with its name if that differs from the id.
pub(super) fn named(image: &dyn Display, name: Option<&str>) -> String {
    let id = image.to_string();
    match name.filter(|name| !id.ends_with(name)) {
        Some(name) => format!("{id} ({})", safe(name)),
        None => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_column_exists_only_if_an_image_has_a_name() {
        let rows = [("img-a", Some("golden-1.5.1")), ("img-b", None)];
        let column = NameColumn::fitting(rows.into_iter());
        assert_eq!(
            column.label("img-a", Some("golden-1.5.1")),
            "img-a           golden-1.5.1"
        );
        assert_eq!(
            column.label("img-b", None).len(),
            column.label("img-a", None).len()
        );
        // The simulator uses the id as the name if its world gives no name.
        let none = NameColumn::fitting([("img-a", Some("img-a")), ("img-b", None)].into_iter());
        assert_eq!(none.label("img-a", Some("img-a")), "img-a         ");
    }

    /// An image with its name.
    type Row<'r> = (&'r str, Option<&'r str>);

    #[test]
    fn the_longest_cell_decides_where_the_next_column_begins() {
        let long_id = "img-0123456789abcdef";
        let cases: [(&[Row<'_>], &[&str]); 6] = [
            (&[("img-a", None)], &[]),
            (&[("img-a", None)], &["golden-ubuntu-1.5.1-beta"]),
            (
                &[("img-a", Some("golden-1"))],
                &["golden-ubuntu-1.5.1-beta-2"],
            ),
            (&[("img-a", Some("golden-1"))], &["g"]),
            (&[(long_id, Some("golden-1")), ("img-b", None)], &["g"]),
            (&[], &["golden-ubuntu-1.5.1-beta"]),
        ];
        for (images, alone) in cases {
            let column = NameColumn::fitting(images.iter().copied());
            let column = column.with_names(alone.iter().copied());
            let labels = images.iter().map(|(id, name)| column.label(id, *name));
            let names = alone.iter().map(|name| column.label_without_id(name));
            for label in labels.chain(names) {
                assert_eq!(
                    label.len(),
                    column.both(),
                    "{label:?} of {images:?}, {alone:?}"
                );
            }
        }
    }

    #[test]
    fn one_very_long_name_does_not_push_the_others_aside() {
        let long = "x".repeat(60);
        let column = NameColumn::fitting([("img-a", Some(&*long))].into_iter());
        // Reasons begin within the 80 columns of a small terminal.
        assert_eq!(column.label("img-b", None).len(), 14 + 2 + WIDTH_MAX);
        let column = NameColumn::fitting([("img-a", None)].into_iter());
        let column = column.with_names([&*long].into_iter());
        assert_eq!(column.label("img-b", None).len(), WIDTH_MAX);
        assert_eq!(column.label_without_id(&long), long);
    }

    #[test]
    fn o1_a_name_cannot_add_a_line() {
        let column = NameColumn::fitting([("img-a", Some("x\ny"))].into_iter());
        assert!(!column.label("img-a", Some("x\ny")).contains('\n'));
        assert!(!column.label_without_id("x\ny").contains('\n'));
        assert_eq!(named(&"img-a", Some("x\ny")), "img-a (x y)");
        assert_eq!(named(&"img-a", Some("img-a")), "img-a");
    }
}

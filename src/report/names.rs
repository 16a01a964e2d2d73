//! Images in text: the id, and in a column beside it the name by which people know the image.

use std::fmt::Display;

use crate::model::ImageId;
use crate::plan::{Plan, Verdict};
use crate::words::{safe, safe_cow};

/// Longer names extend beyond the column.
const WIDTH_MAX: usize = 40;

/// The column of names beside a column of ids. It is empty if no image has a name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameColumn {
    width: usize,
}

impl NameColumn {
    /// Wide enough for the names of all images that a plan shows.
    pub(super) fn of(plan: &Plan) -> Self {
        let shown = plan.decisions.iter();
        let shown = shown.filter(|(_, decision)| decision.verdict != Verdict::InSync);
        Self::fitting(shown.map(|(image, decision)| (image, decision.name.as_deref())))
    }

    /// Wide enough for these names.
    pub(super) fn fitting<'n>(names: impl Iterator<Item = (&'n ImageId, Option<&'n str>)>) -> Self {
        let names = names.filter_map(|(image, name)| name.filter(|name| *name != image.as_str()));
        let width = names.map(|name| name.chars().count()).max();
        Self {
            width: width.unwrap_or(0).min(WIDTH_MAX),
        }
    }

    /// An image with its name, padded to the column's width. A name that only repeats the id is left out.
    pub(super) fn label(self, image: &ImageId, name: Option<&str>) -> String {
        if self.width == 0 {
            return format!("{image:<14}");
        }
        let name = name.filter(|name| *name != image.as_str());
        let (name, width) = (safe_cow(name.unwrap_or_default()), self.width);
        format!("{image:<14}  {name:<width$}")
    }
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
        let id = |text| ImageId::new(text).expect("an id");
        let (a, b) = (id("img-a"), id("img-b"));
        let rows = [(&a, Some("golden-1.5.1")), (&b, None)];
        let column = NameColumn::fitting(rows.into_iter());
        assert_eq!(
            column.label(&a, Some("golden-1.5.1")),
            "img-a           golden-1.5.1"
        );
        assert_eq!(column.label(&b, None).len(), column.label(&a, None).len());
        // The simulator uses the id as the name if its world gives no name.
        let none = NameColumn::fitting([(&a, Some("img-a")), (&b, None)].into_iter());
        assert_eq!(none.label(&a, Some("img-a")), "img-a         ");
    }

    #[test]
    fn o1_a_name_cannot_add_a_line() {
        let a = ImageId::new("img-a").expect("an id");
        let column = NameColumn::fitting([(&a, Some("x\ny"))].into_iter());
        assert!(!column.label(&a, Some("x\ny")).contains('\n'));
        assert_eq!(named(&a, Some("x\ny")), "img-a (x y)");
        assert_eq!(named(&a, Some("img-a")), "img-a");
    }
}

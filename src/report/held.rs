use std::fmt::Write;

use super::style::{Sign, dim};
use crate::model::ImageId;
use crate::words::plural;

/// So many images with one reason get a line each; more of them share one.
const ALONE_MAX: usize = 3;
/// Ids shown of those that share a line.
const SHOWN_MAX: usize = 8;

/// Images of one scope that are withheld, with the reason: a guard that trips names its reason once, not a hundred
/// times.
#[derive(Default)]
pub(super) struct Held<'a> {
    reasons: Vec<(String, Vec<(&'a ImageId, String)>)>,
}

impl<'a> Held<'a> {
    /// Adds one image; `place` is where it is asked for.
    pub(super) fn add(&mut self, image: &'a ImageId, reason: String, place: String) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, images)) => images.push((image, place)),
            None => self.reasons.push((reason, vec![(image, place)])),
        }
    }

    /// The lines, in order of the reasons' first image.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for (reason, images) in &self.reasons {
            if images.len() <= ALONE_MAX {
                for (image, place) in images {
                    let id = Sign::Withheld.paint(format_args!("{image:<14}"));
                    let _ = writeln!(lines, "  {id}  {reason}  {place}");
                }
                continue;
            }
            let count = plural(images.len() as u64, "image");
            let _ = writeln!(lines, "  {}: {reason}", Sign::Withheld.paint(count));
            let shown: Vec<_> = images
                .iter()
                .take(SHOWN_MAX)
                .map(|(image, _)| image.as_str())
                .collect();
            let more = match images.len() - shown.len() {
                0 => String::new(),
                rest => format!(" and {rest} more"),
            };
            let _ = writeln!(
                lines,
                "    {}",
                dim(format_args!("{}{more}", shown.join(", ")))
            );
        }
        lines
    }
}

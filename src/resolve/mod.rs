//! DECLARED + OBSERVATION + MEMORY + TIME → what is asked of each image. Names become ids here, and policies become one
//! verdict per image. Pure and total: the same arguments always give the same resolution, and neither the order of documents
//! nor that of images matters.
//!
//! Knows neither guards nor calls: whether an action is withheld is the planner's matter.

mod resolution;
mod scope;

pub use resolution::{
    Inputs, NameProblem, PolicySelection, RegionView, Resolution, ResolvedImage, ResolvedVerdict,
    UnresolvedName,
};
pub use scope::{Entries, ResolvedScope};

/// Resolves the documents of one scope.
pub fn resolve(_inputs: &Inputs<'_>) -> Resolution {
    Resolution::default()
}

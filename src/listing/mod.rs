//! CLOUD → OBSERVATION: reads all pages of a scope, and rejects listings that are inconsistent. It must not know the
//! desired state.
//!
//! Offset pages are not a snapshot. A listing counts only if every page succeeded, all pages agree on `TotalCount`, and
//! that many distinct rows were listed. Otherwise it is read again, and after a few attempts the scope is unobserved.

mod blueprints;
mod cvm_images;
mod eligibility;
mod instances;
mod own_images;
mod pages;
mod recheck;
mod unobserved;

pub use blueprints::{observe, observe_dated};
pub use cvm_images::cvm_images;
pub use eligibility::eligibility;
pub use instances::instances;
pub use own_images::own_images;
pub use recheck::{RecheckAnswer, Unanswered, still_shareable, still_shared};

/// The number of inconsistent listings of one scope before it is given up.
const LISTINGS_MAX: u32 = 4;
/// The limit for pages, 100,000 blueprints. Without it, an API that ignores the offset would be read forever.
const PAGES_MAX: u32 = 1_000;

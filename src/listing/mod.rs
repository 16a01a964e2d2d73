//! CLOUD → OBSERVATION: pages a scope to its end, and refuses what does not add up. It must not know the desired state.
//!
//! Offset pages are no snapshot. A listing counts only if every page succeeded, all agree on `TotalCount`, and as many
//! distinct rows were listed; otherwise it is read again, and after a few times the scope is unobserved.

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

/// Listings of one scope before it is given up as inconsistent.
const LISTINGS_MAX: u32 = 4;
/// 100,000 blueprints. An API that ignores the offset would otherwise be paged for ever.
const PAGES_MAX: u32 = 1_000;

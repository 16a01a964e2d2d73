//! The resolution of names and policies against a reference model, over all small cases, and against the decision table, row by
//! row.

#![allow(clippy::print_stdout, reason = "says how much was tried")]

#[path = "resolution/bridge.rs"]
mod bridge;
#[path = "resolution/cases.rs"]
mod cases;
#[path = "resolution/reference.rs"]
mod reference;
#[path = "resolution/reference_view.rs"]
mod reference_view;
#[path = "resolution/rows.rs"]
mod rows;
#[path = "resolution/rows_more.rs"]
mod rows_more;
#[path = "resolution/rows_pins.rs"]
mod rows_pins;
#[path = "resolution/rows_review.rs"]
mod rows_review;
#[path = "resolution/setup.rs"]
mod setup;
#[path = "resolution/world.rs"]
mod world;

//! Compares the resolution of names and policies with a reference model over all small cases, and with each
//! row of the decision table.

#![allow(clippy::print_stdout, reason = "says how much was tried")]

pub(crate) mod bridge;
mod cases;
pub(crate) mod reference;
pub(crate) mod reference_view;
mod rows;
mod rows_more;
mod rows_pins;
mod rows_review;
pub(crate) mod setup;
pub(crate) mod world;

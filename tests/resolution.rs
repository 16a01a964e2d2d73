//! The resolution of names and policies against a reference model, over all small cases, and against the decision table, row by
//! row.

#[path = "resolution/bridge.rs"]
mod bridge;
#[path = "resolution/cases.rs"]
mod cases;
#[path = "resolution/reference.rs"]
mod reference;
#[path = "resolution/rows.rs"]
mod rows;
#[path = "resolution/rows_more.rs"]
mod rows_more;
#[path = "resolution/setup.rs"]
mod setup;
#[path = "resolution/world.rs"]
mod world;

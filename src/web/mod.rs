//! BOARD → the status page and `/status.json`, each limited to what a query asks for. Pure: takes values and returns
//! text. Must not know how the board is made or who serves it.

mod badge;
mod causes;
mod commands;
mod expiries;
mod fleet;
mod grid;
mod headline;
mod holds;
mod html;
mod images;
mod overview;
mod page;
mod pager;
mod policy_document;
mod policy_images;
mod query;
mod recent;
mod status_json;
mod summary;

pub use page::{PAGE_CSS, PAGE_ICON, PAGE_JS, page};
pub use query::{Query, QueryError, Show};
pub use status_json::write_board_document;

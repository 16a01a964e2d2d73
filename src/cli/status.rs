//! `status`: shows what the state directory knows. It calls nobody.

use super::args::{Common, StateArguments};
use super::output::{self, Failure};
use super::state;
use crate::model::Selector;
use crate::report::{ExitStatus, StatusDocument};

pub(super) async fn run(
    arguments: &StateArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let directory = state::directory(common, arguments.sim)?;
    let reader = state::read(&directory)?;
    let summary = reader.summary().map_err(Failure::new)?;
    let parked = state::parked_images(&reader, &Selector::default()).await?;
    let directory = crate::words::safe(&directory.to_string_lossy());
    let document = StatusDocument::new(&directory, summary, parked, state::now());
    output::print(common.output, &document, &document.text())?;
    Ok(ExitStatus::Done)
}

//! `suspend`: records that a person wants images left alone, and why.

use serde::Serialize;

use super::args::{Common, SuspendArguments};
use super::output::{self, Failure};
use super::state;
use crate::inventory::Suspension;
use crate::report::{ExitStatus, FORMAT_VERSION};

/// What `suspend -o json` prints.
#[derive(Serialize)]
struct SuspendDocument<'a> {
    format_version: u32,
    exit_code: ExitStatus,
    suspension: &'a Suspension,
}

pub(super) async fn run(
    arguments: &SuspendArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let directory = state::directory(common, arguments.state.sim)?;
    let now = state::now();
    let until = arguments.until.map(|when| when.ahead(now));
    if until.is_some_and(|until| until <= now) {
        return Err(Failure::usage(
            "`--until` lies in the past, so nothing would be suspended",
        ));
    }
    // A misspelt name would suspend nothing, while the person believes that it does.
    let known = state::read(&directory)?
        .summary()
        .map_err(Failure::new)?
        .scopes;
    let selector = arguments.selection.selector();
    if !known.is_empty() && !known.keys().any(|scope| selector.reaches(scope)) {
        output::warn(format_args!(
            "nothing that sharekeeper has shared is in {selector}; check the names"
        ));
    }
    let mut operator = state::open_for_operator(&directory, "suspend")?;
    let suspension = operator
        .suspend(selector, until, &state::operator_name(), &arguments.reason)
        .map_err(Failure::new)?;
    let text = format!("{}: {}\n", suspension.selector, suspension.describe());
    let document = SuspendDocument {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done,
        suspension: &suspension,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done)
}

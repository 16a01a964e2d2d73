//! `suspend`: records that a person wants images left alone, and why.

use serde::Serialize;

use super::args::{Common, SuspendArguments};
use super::obeyed_by::ObeyedBy;
use super::output::{self, Failure};
use super::state;
use crate::inventory::Suspension;
use crate::report::{ExitStatus, FORMAT_VERSION};

const SAY_WHICH: &str = "name what to leave alone: `--image`, `--region`, `--account` or `-l`; or `--all` for everything";

/// The document that `suspend -o json` prints.
#[derive(Serialize)]
struct SuspendDocument<'a> {
    format_version: u32,
    exit_code: ExitStatus,
    suspension: &'a Suspension,
    #[serde(flatten)]
    obeyed_by: ObeyedBy,
}

pub(super) async fn run(
    arguments: &SuspendArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let selector = arguments.selection.selector();
    match (selector.is_all(), arguments.all) {
        (true, false) => return Err(Failure::usage(SAY_WHICH)),
        (false, true) => {
            return Err(Failure::usage(format_args!(
                "`--all` suspends everything, but other flags or variables select {selector}: use only one of the two"
            )));
        }
        (true, true) | (false, false) => {}
    }
    let directory = state::directory(common, arguments.state.sim)?;
    let now = state::now();
    let until = arguments.until.map(|when| when.ahead(now));
    if until.is_some_and(|until| until <= now) {
        return Err(Failure::usage(
            "`--until` lies in the past, so nothing would be suspended",
        ));
    }
    let sim = arguments.state.sim;
    let (obeyed_by, summary) = ObeyedBy::find(&directory, (common, sim), "nothing is suspended")?;
    // A misspelt name would suspend nothing, although the person believes that it does.
    let known = summary.scopes;
    if !known.is_empty() && !known.keys().any(|scope| selector.reaches(scope)) {
        output::warn(format_args!(
            "nothing that sharekeeper has shared is in {selector}; check the names"
        ));
    }
    let mut operator = state::open_for_operator(&directory, "suspend")?;
    let suspension = operator
        .suspend(selector, until, &state::operator_name(), &arguments.reason)
        .map_err(Failure::new)?;
    let text = format!(
        "{}: {}\n{}",
        suspension.selector,
        suspension.describe(),
        obeyed_by.line("its next write")
    );
    let document = SuspendDocument {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done,
        suspension: &suspension,
        obeyed_by,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done)
}

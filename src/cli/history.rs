//! `history` shows what was tried and the results; `history verify` checks that nobody changed the record.

use super::args::{Common, HistoryArguments, HistoryCommand, StateArguments};
use super::output::{self, Failure};
use super::state;
use crate::model::Selector;
use crate::report::{ExitStatus, HistoryDocument, VerifyDocument};
use crate::store::HistoryQuery;

pub(super) async fn run(
    arguments: &HistoryArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    match &arguments.command {
        Some(HistoryCommand::Verify(arguments)) => verify(arguments, common),
        None => show(arguments, common),
    }
}

fn verify(arguments: &StateArguments, common: &Common) -> Result<ExitStatus, Failure> {
    let reader = state::read(&state::directory(common, arguments.sim)?)?;
    let document = VerifyDocument::new(reader.verify().map_err(Failure::new)?);
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

fn show(arguments: &HistoryArguments, common: &Common) -> Result<ExitStatus, Failure> {
    let reader = state::read(&state::directory(common, arguments.state.sim)?)?;
    let now = state::now();
    let Selector {
        accounts,
        regions,
        images,
        ..
    } = arguments.selection.selector();
    let query = HistoryQuery {
        accounts,
        regions,
        images,
        since: arguments.since.map(|when| when.ago(now)),
        until: arguments.until.map(|when| when.ago(now)),
        ..HistoryQuery::default()
    };
    let narrowed = query != HistoryQuery::default();
    let limit = arguments.limit;
    let mut entries = reader
        .history(&HistoryQuery {
            // Reads one more entry than is shown, to find out whether there are more.
            limit: (limit > 0).then(|| limit.saturating_add(1)),
            ..query
        })
        .map_err(Failure::new)?;
    let truncated = limit > 0 && entries.len() > limit;
    if truncated {
        entries.remove(0);
    }
    let document = HistoryDocument::new(entries, truncated, narrowed);
    output::print(common.output, &document, &document.text())?;
    Ok(ExitStatus::Done)
}

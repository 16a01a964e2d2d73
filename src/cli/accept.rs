//! `accept`: records that a person has checked a loss of shares, so that work continues in that account and region.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::{AcceptArguments, Common};
use super::obeyed_by::ObeyedBy;
use super::output::{self, Failure};
use super::state;
use crate::manifest::nearest;
use crate::model::Scope;
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::words::plural;

/// The document that `accept -o json` prints.
#[derive(Serialize)]
struct AcceptDocument {
    format_version: u32,
    exit_code: ExitStatus,
    accepted: Vec<AcceptedLoss>,
    #[serde(flatten)]
    obeyed_by: ObeyedBy,
}

#[derive(Serialize)]
struct AcceptedLoss {
    #[serde(flatten)]
    scope: Scope,
    lost: u32,
}

pub(super) async fn run(
    arguments: &AcceptArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let sim = arguments.state.sim;
    let directory = state::directory(common, sim)?;
    let (obeyed_by, summary) = ObeyedBy::find(&directory, (common, sim), "no loss is accepted")?;
    // Where nothing was shared, nothing can be lost, so the name must be misspelt.
    let known: Vec<String> = summary.scopes.keys().map(Scope::to_string).collect();
    for (scope, _) in &arguments.losses {
        if !summary.scopes.contains_key(scope) {
            let known = known.iter().map(String::as_str);
            let near = nearest(&scope.to_string(), known);
            let hint = near.map(|near| format!(": did you mean `{near}`?"));
            return Err(Failure::usage(format_args!(
                "sharekeeper has shared nothing in {scope}, so nothing can be lost there{}",
                hint.unwrap_or_default()
            )));
        }
    }
    let losses: BTreeMap<Scope, u32> = arguments.losses.iter().cloned().collect();
    state::open_for_operator(&directory, "accept")?
        .accept_losses(&losses, &state::operator_name())
        .map_err(Failure::new)?;
    let mut text = String::new();
    for (scope, lost) in &losses {
        let lost = plural(u64::from(*lost), "image");
        text.push_str(&format!("{scope}: a loss of {lost} is accepted, once\n"));
    }
    text.push_str(&obeyed_by.line("its next observation there (SIGHUP starts one)"));
    let accepted = losses.into_iter();
    let document = AcceptDocument {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done,
        accepted: accepted
            .map(|(scope, lost)| AcceptedLoss { scope, lost })
            .collect(),
        obeyed_by,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done)
}

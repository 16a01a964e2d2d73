//! `resume`: ends suspensions, and lets parked images be reconciled again.

use serde::Serialize;

use super::args::{Common, ResumeArguments};
use super::output::{self, Failure};
use super::state;
use crate::inventory::Suspension;
use crate::model::{ImageKey, Selector};
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::store::{Reader, SuspensionFilter};
use crate::words::plural;

/// The document that `resume -o json` prints.
#[derive(Serialize)]
struct ResumeDocument {
    format_version: u32,
    exit_code: ExitStatus,
    ended: Vec<Suspension>,
    unparked: Vec<ImageKey>,
}

pub(super) async fn run(
    arguments: &ResumeArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let directory = state::directory(common, arguments.state.sim)?;
    let reader = state::read(&directory)?;
    let selector = arguments.selection.selector();
    let all_parked = state::parked_images(&reader, &Selector::default())
        .await?
        .len() as u64;
    let parked = if arguments.all || !selector.is_all() {
        state::parked_images(&reader, &selector).await?
    } else {
        Vec::new()
    };
    let ids = suspensions_to_end(arguments, &selector, &reader)?;
    // Checked before the state is opened for writing, because opening would create a state if there is none.
    if ids.is_empty() && parked.is_empty() {
        return Err(Failure::new(nothing_to_resume(&selector, all_parked)));
    }
    let mut operator = state::open_for_operator(&directory, "resume")?;
    let by = state::operator_name();
    let ended = operator
        .resume(&SuspensionFilter::Ids(ids), &by)
        .map_err(Failure::new)?;
    let keys = parked.into_iter().map(|image| image.key).collect();
    let unparked = operator
        .unpark(keys, &by, "`sharekeeper resume`")
        .map_err(Failure::new)?;
    let mut text = String::new();
    for suspension in &ended {
        text.push_str(&format!(
            "ended suspension {} of {}\n",
            suspension.id, suspension.selector
        ));
    }
    for key in &unparked {
        text.push_str(&format!("{key} is reconciled again\n"));
    }
    let document = ResumeDocument {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done,
        ended,
        unparked,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done)
}

/// The ids of the suspensions that are meant. If the arguments do not say which, there must be only one.
fn suspensions_to_end(
    arguments: &ResumeArguments,
    selector: &Selector,
    reader: &Reader,
) -> Result<Vec<u64>, Failure> {
    let now = state::now();
    let mut suspensions = reader.summary().map_err(Failure::new)?.suspensions;
    // A suspension that is over by this machine's clock still holds while an access point's clock says that it is not.
    suspensions.retain(|suspension| !suspension.is_long_over(now));
    if !arguments.ids.is_empty() {
        let known = |id: &&u64| suspensions.iter().any(|suspension| suspension.id == **id);
        return match arguments.ids.iter().find(|id| !known(id)) {
            Some(id) => Err(Failure::new(format_args!(
                "no suspension {id} is in force, so nothing was ended; `sharekeeper status` shows those in force"
            ))),
            None => Ok(arguments.ids.clone()),
        };
    }
    if !selector.is_all() {
        suspensions.retain(|suspension| suspension.selector == *selector);
        return Ok(suspensions.iter().map(|suspension| suspension.id).collect());
    }
    if !arguments.all {
        suspensions.retain(|suspension| !suspension.is_over(now));
    }
    if !arguments.all && suspensions.len() > 1 {
        let each: Vec<_> = suspensions
            .iter()
            .map(|suspension| format!("{} ({})", suspension.id, suspension.reason))
            .collect();
        return Err(Failure::new(format_args!(
            "there are {}: {}; name one, or give `--all`",
            plural(suspensions.len() as u64, "suspension"),
            each.join(", ")
        )));
    }
    Ok(suspensions.iter().map(|suspension| suspension.id).collect())
}

fn nothing_to_resume(selector: &Selector, parked: u64) -> String {
    if !selector.is_all() {
        return format!(
            "no suspension has exactly this selection ({selector}), and none of its images is parked; a suspension ends as a whole, by the \
             number that `sharekeeper status` shows"
        );
    }
    match parked {
        0 => "nothing is suspended or parked".into(),
        count => format!(
            "nothing is suspended; {} parked: name them with `--image`, or give `--all`",
            if count == 1 {
                "1 image is".into()
            } else {
                format!("{count} images are")
            }
        ),
    }
}

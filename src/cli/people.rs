//! What people say of images: `suspend` and `resume`; and what they look at: `status` and `history`.

use serde::Serialize;

use super::args::{
    Common, HistoryArguments, HistoryCommand, ResumeArguments, StateArguments, SuspendArguments,
};
use super::output::{self, Failure};
use super::state;
use crate::inventory::Suspension;
use crate::ledger::LedgerReader;
use crate::model::{ImageKey, Labels, Selector};
use crate::report::{
    ExitStatus, FORMAT_VERSION, HistoryDocument, Parked, StatusDocument, VerifyDocument,
};
use crate::store::{HistoryQuery, Reader, SuspensionFilter};
use crate::words::plural;

/// `status`.
pub(super) async fn status(arguments: &StateArguments, common: &Common) -> Result<u8, Failure> {
    let directory = state::directory(common, arguments.sim)?;
    let reader = state::read(&directory)?;
    let summary = reader.summary().map_err(Failure::new)?;
    let parked = parked(&reader, &Selector::default()).await?;
    let directory = crate::words::safe(&directory.to_string_lossy());
    let document = StatusDocument::new(&directory, summary, parked, state::now());
    output::print(common.output, &document, &document.text())?;
    Ok(ExitStatus::Done.code())
}

/// `history` and `history verify`.
pub(super) fn history(arguments: &HistoryArguments, common: &Common) -> Result<u8, Failure> {
    if let Some(HistoryCommand::Verify(arguments)) = &arguments.command {
        let reader = state::read(&state::directory(common, arguments.sim)?)?;
        let document = VerifyDocument::new(reader.verify().map_err(Failure::new)?);
        output::print(common.output, &document, &document.text())?;
        return Ok(document.exit_code());
    }
    let reader = state::read(&state::directory(common, arguments.state.sim)?)?;
    let now = state::now();
    let Selector {
        accounts,
        regions,
        images,
        ..
    } = arguments.narrow.selector();
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
            // One more tells whether there are more.
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
    Ok(ExitStatus::Done.code())
}

/// What `suspend -o json` prints.
#[derive(Serialize)]
struct Suspended<'a> {
    format_version: u32,
    exit_code: u8,
    suspension: &'a Suspension,
}

/// `suspend`.
pub(super) fn suspend(arguments: &SuspendArguments, common: &Common) -> Result<u8, Failure> {
    let directory = state::directory(common, arguments.state.sim)?;
    let now = state::now();
    let until = arguments.until.map(|when| when.ahead(now));
    if until.is_some_and(|until| until <= now) {
        return Err(Failure::usage(
            "`--until` lies in the past, so nothing would be suspended",
        ));
    }
    // A name that is misspelt would leave everything as it is, and a person who thinks it is not.
    let known = state::read(&directory)?
        .summary()
        .map_err(Failure::new)?
        .scopes;
    let selector = arguments.narrow.selector();
    if !known.is_empty() && !known.keys().any(|scope| selector.reaches(scope)) {
        output::warn(format_args!(
            "nothing that sharekeeper has shared is in {selector}; check the names"
        ));
    }
    let mut remarks = state::remark(&directory, "suspend")?;
    let suspension = remarks
        .suspend(selector, until, &state::by(), &arguments.reason)
        .map_err(Failure::new)?;
    let text = format!("{}: {}\n", suspension.selector, suspension.describe());
    let document = Suspended {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done.code(),
        suspension: &suspension,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done.code())
}

/// What `resume -o json` prints.
#[derive(Serialize)]
struct Resumed {
    format_version: u32,
    exit_code: u8,
    ended: Vec<Suspension>,
    unparked: Vec<ImageKey>,
}

/// `resume`.
pub(super) async fn resume(arguments: &ResumeArguments, common: &Common) -> Result<u8, Failure> {
    let directory = state::directory(common, arguments.state.sim)?;
    let reader = state::read(&directory)?;
    let selector = arguments.narrow.selector();
    let all = parked(&reader, &Selector::default()).await?.len() as u64;
    let keys = if arguments.all || !selector.is_all() {
        parked(&reader, &selector).await?
    } else {
        Vec::new()
    };
    let ids = ending(arguments, &selector, &reader)?;
    // Before the state is opened to write, which would make one where there is none.
    if ids.is_empty() && keys.is_empty() {
        return Err(Failure::new(nothing_to_resume(&selector, all)));
    }
    let mut remarks = state::remark(&directory, "resume")?;
    let by = state::by();
    let ended = remarks
        .resume(&SuspensionFilter::Ids(ids), &by)
        .map_err(Failure::new)?;
    let keys = keys.into_iter().map(|parked| parked.key).collect();
    let unparked = remarks
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
    let document = Resumed {
        format_version: FORMAT_VERSION,
        exit_code: ExitStatus::Done.code(),
        ended,
        unparked,
    };
    output::print(common.output, &document, &text)?;
    Ok(ExitStatus::Done.code())
}

/// Which suspensions are meant. Without a word that says which, there must be one only.
fn ending(
    arguments: &ResumeArguments,
    selector: &Selector,
    reader: &Reader,
) -> Result<Vec<u64>, Failure> {
    let now = state::now();
    let mut suspensions = reader.summary().map_err(Failure::new)?.suspensions;
    // One that is over by this machine's clock still holds where an access point's clock says that it is not.
    suspensions.retain(|suspension| !suspension.is_long_over(now));
    if !arguments.ids.is_empty() {
        let known = |id: &&u64| suspensions.iter().any(|suspension| suspension.id == **id);
        return match arguments.ids.iter().find(|id| !known(id)) {
            Some(id) => Err(Failure::new(format_args!(
                "no suspension {id} is in force, so nothing was ended; `sharekeeper status` shows which are"
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
            "there are {}: {}; say which, or `--all`",
            plural(suspensions.len() as u64, "suspension"),
            each.join(", ")
        )));
    }
    Ok(suspensions.iter().map(|suspension| suspension.id).collect())
}

fn nothing_to_resume(selector: &Selector, parked: u64) -> String {
    if !selector.is_all() {
        return format!(
            "no suspension is of just this ({selector}), and nothing of it is parked; a suspension ends as a whole, by the \
             number that `sharekeeper status` shows"
        );
    }
    match parked {
        0 => "nothing is suspended or parked".into(),
        count => format!(
            "nothing is suspended; {} parked: say which with `--image`, or `--all`",
            if count == 1 {
                "1 image is".into()
            } else {
                format!("{count} images are")
            }
        ),
    }
}

/// Images that are parked, as far as `selector` reaches.
async fn parked(reader: &Reader, selector: &Selector) -> Result<Vec<Parked>, Failure> {
    let summary = reader.summary().map_err(Failure::new)?;
    let mut parked = Vec::new();
    for (scope, counts) in summary.scopes {
        if counts.parked == 0 || !selector.reaches(&scope) {
            continue;
        }
        let inventory = reader.inventory(&scope).await.map_err(Failure::new)?;
        for (image, record) in inventory.images {
            let key = ImageKey {
                scope: scope.clone(),
                image,
            };
            if let Some(since) = record.parked_since
                && selector.matches(&key, &Labels::new())
            {
                parked.push(Parked { key, since });
            }
        }
    }
    Ok(parked)
}

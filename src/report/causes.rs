//! What is in the way of many images at once, as text and as rows of documents: each cause once, with how many images it
//! holds up.

use std::collections::BTreeMap;

use serde::Serialize;

use super::image_report::not_as_desired;
use super::style::{Sign, dim};
use crate::attempts::AttemptLog;
use crate::engine::ScopeOutcome;
use crate::model::{ImageId, Scope};
use crate::observation::Unobserved;
use crate::plan::{Decision, Plan, Verdict, View};
use crate::resolve::NameProblem;
use crate::status::{Cause, CauseKind, Causes, Trouble};
use crate::words::{first_of, plural, safe, with_request_id};

/// A cause in a document.
#[derive(Debug, Serialize)]
pub struct CauseRow {
    account: String,
    regions: Vec<&'static str>,
    kind: &'static str,
    code: Option<String>,
    message: String,
    remedy: Option<String>,
    request_id: Option<String>,
    images: u64,
}

impl From<&Cause> for CauseRow {
    fn from(cause: &Cause) -> Self {
        Self {
            account: cause.account.to_string(),
            regions: cause.regions.iter().map(|region| region.as_str()).collect(),
            kind: cause.kind.as_str(),
            code: cause.code.as_deref().map(safe),
            message: safe(&cause.message),
            remedy: cause.remedy.as_deref().map(safe),
            request_id: cause.request_id.as_deref().map(safe),
            images: cause.images,
        }
    }
}

/// Why regions could not be read by a command that only looks, gathered so that each cause is told once.
#[derive(Clone, Debug, Default)]
pub struct UnreadRegions(BTreeMap<&'static str, Causes>);

/// What a region is of which nothing is known.
const NOT_READ: &str = "not read";

impl UnreadRegions {
    /// Adds a region of which nothing is known.
    pub fn add(&mut self, scope: &Scope, why: &Unobserved) {
        self.add_part(scope, NOT_READ, why);
    }

    /// Adds a region; `what` says what of it is not known.
    pub fn add_part(&mut self, scope: &Scope, what: &'static str, why: &Unobserved) {
        let causes = self.0.entry(what).or_default();
        causes.add(scope, Trouble::of_unobserved(why), 0, None);
    }

    /// A line for each cause, with the regions that have it.
    pub fn warnings(&self) -> Vec<String> {
        let causes = self.causes();
        let line = |(what, cause)| format!("{}: {what}: {}", place(&cause), reason(&cause));
        causes.map(line).collect()
    }

    /// The same for where it is said already that something was not read.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(what, cause)| match what {
            NOT_READ => format!("{}: {}", place(&cause), reason(&cause)),
            what => format!("{}: {what}: {}", place(&cause), reason(&cause)),
        };
        self.causes().map(line).collect()
    }

    fn causes(&self) -> impl Iterator<Item = (&'static str, Cause)> {
        let each = self.0.iter();
        each.flat_map(|(&what, causes)| {
            causes
                .clone()
                .into_vec()
                .into_iter()
                .map(move |cause| (what, cause))
        })
    }
}

/// What is in the way in a run, gathered before anything of it is told.
#[derive(Default)]
pub(super) struct RunCauses(Causes);

impl RunCauses {
    pub(super) fn of(scopes: &[ScopeOutcome]) -> Self {
        let mut causes = Causes::default();
        for ScopeOutcome { plan, attempts } in scopes {
            add(&mut causes, plan, attempts);
        }
        Self(causes)
    }

    /// Whether the image is told of with others that the same is in the way of. One alone has a line of its own.
    pub(super) fn holds(
        &self,
        scope: &Scope,
        image: &ImageId,
        decision: &Decision,
        attempts: &AttemptLog,
    ) -> bool {
        with_trouble(image, decision, attempts, |trouble| {
            self.0.images(scope, trouble) > 1
        })
        .unwrap_or(false)
    }

    /// The causes, in order; those of one image that was told of are left out of `lines`.
    pub(super) fn into_vec(self) -> Vec<Cause> {
        self.0.into_vec()
    }
}

fn add(causes: &mut Causes, plan: &Plan, attempts: &AttemptLog) {
    let scope = &plan.scope;
    match &plan.view {
        View::Unobserved(why) if !why.is_stop => {
            let named = plan.unresolved.iter();
            let named = named
                .filter(|name| name.kind == NameProblem::NotSeen)
                .count();
            let untried = plan.decisions.iter().filter(|(image, decision)| {
                attempts.tried_towards(image, decision.desired).is_none()
            });
            let images = (untried.count() + named) as u64;
            causes.add(scope, Trouble::of_unobserved(why), images, None);
        }
        View::ReadDenied(why) => {
            let images = plan.decisions.len() as u64;
            causes.add(scope, Trouble::of_read_denied(why), images, None);
        }
        View::Unobserved(_) | View::Seen => {}
    }
    for (image, decision) in &plan.decisions {
        let name = || match &decision.name {
            Some(name) => name.to_string(),
            None => image.to_string(),
        };
        with_trouble(image, decision, attempts, |trouble| {
            causes.add(scope, trouble, 1, Some(name()));
        });
    }
}

/// Hands on what is in the way of the image and not its own matter, if there is such a thing.
fn with_trouble<T>(
    image: &ImageId,
    decision: &Decision,
    attempts: &AttemptLog,
    take: impl FnOnce(Trouble<'_>) -> T,
) -> Option<T> {
    let tried = attempts.tried_towards(image, decision.desired);
    if let (Verdict::NotTried(pause), None) = (&decision.verdict, tried) {
        return Some(take(Trouble::of_pause(&pause.problem)));
    }
    let problem = not_as_desired(decision, tried)?;
    Trouble::of_refused(&problem).map(take)
}

/// Where a cause is in the way.
fn place(cause: &Cause) -> String {
    /// So many regions are named with their account; more of them are counted first.
    const LISTED_MAX: usize = 3;
    let account = &cause.account;
    let regions: Vec<_> = cause.regions.iter().map(|region| region.as_str()).collect();
    match regions.len() {
        0..=LISTED_MAX => {
            let scopes = regions.iter().map(|region| format!("{account}/{region}"));
            scopes.collect::<Vec<_>>().join(", ")
        }
        count => format!(
            "account {account}, {count} regions ({})",
            first_of(&regions)
        ),
    }
}

/// Message, remedy and RequestId.
fn reason(cause: &Cause) -> String {
    let remedy = cause.remedy.as_ref();
    let remedy = remedy.map_or_else(String::new, |remedy| format!(" ({remedy})"));
    let text = format!("{}{remedy}", cause.message);
    safe(&with_request_id(&text, cause.request_id.as_deref()))
}

/// Whether regions are not seen for it: no image was refused by itself.
fn is_unseen(cause: &Cause) -> bool {
    cause.kind != CauseKind::ReadDenied && cause.names.is_empty()
}

/// One line that says all of the cause, without colour: for warnings and errors.
pub(super) fn sentence(cause: &Cause) -> String {
    let (place, reason) = (place(cause), reason(cause));
    match cause.kind {
        CauseKind::ReadDenied => format!("{place}: reading is denied: {reason}"),
        _ if is_unseen(cause) => format!("{place}: not observed: {reason}"),
        _ => format!("{place}: {reason}"),
    }
}

/// Of the causes, those for which scopes were not seen, a sentence each.
pub(super) fn unseen(causes: &[Cause]) -> Vec<String> {
    let unseen = causes.iter().filter(|cause| is_unseen(cause));
    unseen.map(sentence).collect()
}

/// Of the causes, those for which scopes are worked on without being seen, a warning each.
pub(super) fn read_denied(causes: &[Cause], what: &str) -> Vec<String> {
    let denied = causes
        .iter()
        .filter(|cause| cause.kind == CauseKind::ReadDenied);
    let warning = |cause: &Cause| format!("{}: {what}: {}", place(cause), reason(cause));
    denied.map(warning).collect()
}

/// Lines for a person: each cause, and below it a few of the images that it holds up.
pub(super) fn lines(causes: &[Cause]) -> String {
    let mut lines = String::new();
    for cause in causes {
        let images = plural(cause.images, "image");
        let (place, reason) = (place(cause), reason(cause));
        let what = match cause.kind {
            CauseKind::ReadDenied => continue,
            _ if is_unseen(cause) && cause.images == 0 => {
                format!("{place}: nothing is done here: not observed: {reason}")
            }
            _ if is_unseen(cause) => {
                format!("{place}: {images} held still: not observed: {reason}")
            }
            // It has a line of its own.
            _ if cause.images == 1 => continue,
            CauseKind::NotTried => format!("{place}: {images} not tried: {reason}"),
            _ => format!("{place}: {images} blocked or not tried: {reason}"),
        };
        lines.push_str(&format!("  {}\n", Sign::Blocked.paint(what)));
        let unnamed = cause.images.saturating_sub(cause.names.len() as u64);
        let names: Vec<_> = cause.names.iter().map(|name| safe(name)).collect();
        match (names.is_empty(), unnamed) {
            (true, _) => {}
            (false, 0) => lines.push_str(&format!("    {}\n", dim(names.join(", ")))),
            (false, more) => {
                let names = names.join(", ");
                lines.push_str(&format!(
                    "    {}\n",
                    dim(format_args!("{names} and {more} more"))
                ));
            }
        }
    }
    match lines.is_empty() {
        true => lines,
        false => format!("{}\n{lines}\n", super::heading("In the way")),
    }
}

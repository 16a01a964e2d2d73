//! Causes that affect many images at once, as text and as rows of JSON documents: each cause once, with the number of
//! images that it affects.

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

/// A cause in a JSON document.
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

/// Why a read-only command could not read regions, collected so that each cause is reported once.
#[derive(Clone, Debug, Default)]
pub struct UnreadRegions(BTreeMap<&'static str, Causes>);

/// The text for a region about which nothing is known.
const NOT_READ: &str = "not read";

impl UnreadRegions {
    /// Adds a region about which nothing is known.
    pub fn add(&mut self, scope: &Scope, why: &Unobserved) {
        self.add_part(scope, NOT_READ, why);
    }

    /// Adds a region; `what` names the part that is not known.
    pub fn add_part(&mut self, scope: &Scope, what: &'static str, why: &Unobserved) {
        let causes = self.0.entry(what).or_default();
        causes.add(scope, Trouble::of_unobserved(why), 0, None);
    }

    /// One line for each cause, with its regions.
    pub fn warnings(&self) -> Vec<String> {
        let causes = self.causes();
        let line = |(what, cause)| format!("{}: {what}: {}", place(&cause), reason(&cause));
        causes.map(line).collect()
    }

    /// The same without the words that nothing was read, for places that already say so.
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

/// The causes of a run, collected before any of them is reported.
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

    /// Whether the image is reported together with others that have the same cause. A single image has its own line.
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

    /// All causes, in order; `lines` omits those that affect only one image with its own line.
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

/// Passes the image's trouble to `take` if it does not concern the image alone.
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

/// The account and regions of a cause.
fn place(cause: &Cause) -> String {
    /// The most regions that are listed with their account; more of them are counted instead.
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

/// The message, remedy and RequestId.
fn reason(cause: &Cause) -> String {
    let remedy = cause.remedy.as_ref();
    let remedy = remedy.map_or_else(String::new, |remedy| format!(" ({remedy})"));
    let text = format!("{}{remedy}", cause.message);
    safe(&with_request_id(&text, cause.request_id.as_deref()))
}

/// Whether its regions could not be observed: then no single image was refused.
fn is_unseen(cause: &Cause) -> bool {
    cause.kind != CauseKind::ReadDenied && cause.names.is_empty()
}

/// One uncoloured line with the whole cause, for warnings and errors.
pub(super) fn sentence(cause: &Cause) -> String {
    let (place, reason) = (place(cause), reason(cause));
    match cause.kind {
        CauseKind::ReadDenied => format!("{place}: reading is denied: {reason}"),
        _ if is_unseen(cause) => format!("{place}: not observed: {reason}"),
        _ => format!("{place}: {reason}"),
    }
}

/// A sentence for each cause for which scopes could not be observed.
pub(super) fn unseen(causes: &[Cause]) -> Vec<String> {
    let unseen = causes.iter().filter(|cause| is_unseen(cause));
    unseen.map(sentence).collect()
}

/// A warning for each cause for which sharekeeper works on scopes without reading them.
pub(super) fn read_denied(causes: &[Cause], what: &str) -> Vec<String> {
    let denied = causes
        .iter()
        .filter(|cause| cause.kind == CauseKind::ReadDenied);
    let warning = |cause: &Cause| format!("{}: {what}: {}", place(cause), reason(cause));
    denied.map(warning).collect()
}

/// Lines for a person: each cause, followed by a few of the images that it affects.
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
                format!("{place}: {images} left unchanged: not observed: {reason}")
            }
            // The image has its own line.
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
        false => format!("{}\n{lines}\n", super::heading("Problems")),
    }
}

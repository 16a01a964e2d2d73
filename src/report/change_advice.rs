//! Advice for people: what would have to change for an image to be shared or unshared.

use super::asks_nothing;
use super::preconditions::{CheckStatus, Checked};
use crate::desired::Source;
use crate::model::{Cause, ShareState};
use crate::plan::{Decision, Verdict, Withheld};
use crate::resolve::{ResolvedImage, ResolvedVerdict};
use crate::words::rfc3339;

/// What would have to change for an unshared image to be shared.
pub(super) fn to_share(
    decision: Option<&Decision>,
    resolved: Option<&ResolvedImage>,
    preconditions: &[Checked],
) -> Vec<String> {
    let failed = preconditions
        .iter()
        .filter(|check| check.status == CheckStatus::Failed);
    let mut steps: Vec<_> = failed.filter_map(|check| check.remedy.clone()).collect();
    let is_wanted =
        |decision: &&Decision| decision.desired == ShareState::Shared && !asks_nothing(decision);
    match decision.filter(is_wanted) {
        Some(decision) => steps.extend(stands_in_the_way(decision, "SHARE")),
        None => steps.push(who_must_want_it(decision, resolved)),
    }
    steps
}

/// What would have to change for a shared image to be unshared.
pub(super) fn to_unshare(
    decision: Option<&Decision>,
    resolved: Option<&ResolvedImage>,
    is_own: Option<bool>,
) -> Vec<String> {
    if is_own == Some(false) {
        return vec![
            "CANCEL has no effect on it; if its image was deleted, delete the blueprint in the Lighthouse console or with \
             DeleteBlueprints"
                .to_owned(),
        ];
    }
    let is_unwanted =
        |decision: &&Decision| decision.desired == ShareState::Unshared && !asks_nothing(decision);
    if let Some(decision) = decision.filter(is_unwanted) {
        return vec![stands_in_the_way(decision, "CANCEL").unwrap_or_default()];
    }
    let mut steps = Vec::new();
    let entry = decision.and_then(|decision| decision.entry.as_ref());
    if entry.is_some_and(|entry| entry.protect) {
        steps.push("remove `protect: true` from its entry".to_owned());
    }
    let at = place(decision.and_then(|decision| decision.source.as_ref()));
    steps.push(match (decision, resolved.map(|resolved| &resolved.verdict)) {
        (_, Some(ResolvedVerdict::Overlap(until))) => format!(
            "nothing: it is superseded and is cancelled at {}; to cancel it earlier, `revoke` it or declare it `unshared`",
            rfc3339(*until)
        ),
        (_, Some(ResolvedVerdict::Pinned)) => {
            format!("remove the pin that selects it{at}, or `revoke` it in the policy")
        }
        (_, Some(ResolvedVerdict::Newest)) => format!(
            "`revoke` it in the policy{at}, which unshares it for good; or declare it `unshared` in an ImageShare"
        ),
        (_, Some(ResolvedVerdict::Kept(_) | ResolvedVerdict::Excluded(_))) => {
            "`revoke` it in a policy that matches it, or declare it `unshared` in an ImageShare".to_owned()
        }
        (_, Some(ResolvedVerdict::Held(_) | ResolvedVerdict::Conflict(_))) => {
            "settle what the documents mean for it; until then, nothing is done to it".to_owned()
        }
        (Some(decision), _) if decision.cause == Cause::Declared => {
            format!("declare it `unshared` in its entry{at}")
        }
        _ => "declare it `unshared` in an ImageShare; or, where sharekeeper shared it and no document names it, `--prune owned`"
            .to_owned(),
    });
    steps
}

/// Why a desired call is not made; `None` if it is made.
fn stands_in_the_way(decision: &Decision, call: &str) -> Option<String> {
    match &decision.verdict {
        Verdict::InSync => Some(format!("nothing: {call} has had its effect")),
        Verdict::Act => Some(format!("nothing: the next `reconcile` makes the {call}")),
        // The remedies of the preconditions already say it.
        Verdict::Blocked(problem) if problem.unmet.is_some() && call == "SHARE" => None,
        Verdict::Withheld(why) if matches!(**why, Withheld::InUse(_)) => {
            Some(format!("{why}; {}", out_of_use(decision)))
        }
        verdict => verdict.why_not(),
    }
}

/// How to release an image that instances use, depending on the cause.
fn out_of_use(decision: &Decision) -> String {
    let at = place(decision.source.as_ref());
    let free = "delete these instances, or recreate them from another image";
    match decision.cause {
        Cause::Retention => {
            format!(
                "{free}; or set `keep.inUse: cancel` in the policy{at}, which cancels it anyway"
            )
        }
        Cause::Revoked => format!(
            "{free}; or set `force: true` in its `revoke`{at}, or `keep.inUse: cancel` in the policy, which cancels it anyway"
        ),
        Cause::Expired | Cause::Pruned | Cause::Declared | Cause::Policy => {
            format!("{free}; or declare it `unshared`, which cancels it anyway")
        }
    }
}

/// Who would have to ask for an image that nothing wants shared.
fn who_must_want_it(decision: Option<&Decision>, resolved: Option<&ResolvedImage>) -> String {
    let at = place(decision.and_then(|decision| decision.source.as_ref()));
    match (resolved.map(|resolved| &resolved.verdict), decision) {
        (Some(ResolvedVerdict::Soaking(until)), _) => format!(
            "wait until {}, when its `minAge` is over; or declare it `shared` in an ImageShare, which needs no soak time",
            rfc3339(*until)
        ),
        (Some(ResolvedVerdict::Waiting(why)), _) => format!(
            "{why}: copy the image there with CVM's SyncImages, or set `availability: each` in the policy"
        ),
        (Some(ResolvedVerdict::Excluded(why)), _) => {
            format!("the policy leaves it alone ({why}): change that, pin it, or declare it `shared`")
        }
        (Some(ResolvedVerdict::Superseded), _) => {
            "newer versions take its place: raise `keep.newest`, pin it, or declare it `shared`".to_owned()
        }
        (Some(ResolvedVerdict::Revoked(_)), _) => {
            format!("remove the `revoke` that applies to it{at}")
        }
        (Some(ResolvedVerdict::Held(why)), _) => why.to_string(),
        (Some(ResolvedVerdict::Conflict(conflict)), _) => conflict.to_string(),
        (Some(ResolvedVerdict::Ineligible(_)), _) => {
            "a policy wants it once it can be shared".to_owned()
        }
        (_, Some(decision)) if decision.cause == Cause::Expired => {
            format!("its share has ended: change `until` in its entry{at}")
        }
        (_, Some(_)) => format!("declare it `shared` in its entry{at}"),
        (_, None) => {
            "declare it `shared` in an ImageShare of this region, by its name or id, or have a policy match it".to_owned()
        }
    }
}

fn place(source: Option<&Source>) -> String {
    source
        .map(|source| format!(" ({source})"))
        .unwrap_or_default()
}

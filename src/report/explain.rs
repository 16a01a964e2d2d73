//! The output of `explain IMAGE`, as text and as JSON: what prevents sharing an image, which document decides about it,
//! what is done, and what would have to change.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::change_advice::{to_share, to_unshare};
use super::history::line;
use super::images::state_word;
use super::import::UnseenScope;
use super::preconditions::{CheckStatus, Checked, check};
use super::style::{dim, heading};
use super::{ExitStatus, FORMAT_VERSION, Source, asks_nothing};
use crate::api::protocol::wire::CustomImage;
use crate::desired::Policy;
use crate::history::HistoryEntry;
use crate::model::{ImageKey, Labels, Permission, Scope, Timestamp, Uin};
use crate::observation::Blueprint;
use crate::plan::{Decision, Plan, Verdict};
use crate::resolve::{ResolvedImage, ResolvedVerdict};
use crate::words::{rfc3339, safe, with_request_id};

/// The document that `explain -o json` prints for an image.
#[derive(Debug, Serialize)]
pub struct ExplainDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// The image that the user asked about.
    subject: String,
    images: Vec<ExplainedImage>,
    /// Names in manifests that match no image, or several.
    unresolved: Vec<ExplainedName>,
    /// Regions that were read and have no such image.
    absent_from: Vec<AbsentScope>,
    unseen: Vec<UnseenScope>,
}

/// Everything known about one image in one scope.
pub struct ImageFacts<'f> {
    pub key: ImageKey,
    /// Its row of DescribeImagesToShare; `None` if it could not be read.
    pub row: Option<&'f CustomImage>,
    /// Whether it is one of the account's own images; `None` if these could not be listed.
    pub is_own: Option<bool>,
    /// The blueprint that it is shared as, if any; `None` if blueprints could not be listed.
    pub blueprint: Option<Option<&'f Blueprint>>,
    /// The plan of its scope, if manifests name images in it.
    pub plan: Option<&'f Plan>,
    /// The policies that apply to its scope.
    pub policies: &'f [Arc<Policy>],
    /// The last history entries about it, oldest first.
    pub attempts: Vec<HistoryEntry>,
}

#[derive(Debug, Serialize)]
struct ExplainedImage {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    image_id: String,
    image_name: Option<String>,
    own: Option<bool>,
    share: &'static str,
    blueprint_id: Option<String>,
    blueprint_state: Option<String>,
    preconditions: Vec<Checked>,
    /// The document that decides its state; null if none does.
    decided_by: Option<DecidingDocument>,
    verdict: &'static str,
    verdict_reason: Option<String>,
    verdict_until: Option<Timestamp>,
    policies: Vec<PolicyVerdict>,
    plan: PlanReport,
    attempts: Vec<HistoryEntry>,
    /// What would have to change for it to be shared; empty if it is shared.
    to_share: Vec<String>,
    /// What would have to change for it to be unshared; empty if it is not shared.
    to_unshare: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DecidingDocument {
    document: Option<String>,
    source: Option<Source>,
    labels: Labels,
    desired: &'static str,
    cause: &'static str,
    protect: bool,
    until: Option<Timestamp>,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct PolicyVerdict {
    policy: String,
    source: Option<Source>,
    verdict: &'static str,
    reason: Option<String>,
    until: Option<Timestamp>,
}

/// What `reconcile` would do about the image with its default guards.
#[derive(Debug, Serialize)]
struct PlanReport {
    /// The call that is needed; null if none is.
    action: Option<&'static str>,
    /// One of `in_sync`, `act`, `waiting`, `pending`, `blocked`, `withheld`, `failed`, `not_tried`, `not_observed` and
    /// `nothing`.
    outcome: &'static str,
    /// Why no call is made, as text.
    reason: Option<String>,
}

/// A name in an entry that matches no image, or several.
#[derive(Debug, Serialize)]
pub struct ExplainedName {
    account: String,
    region: &'static str,
    image_id: Option<String>,
    image_name: String,
    problem: String,
    last_meaning: Option<String>,
    source: Source,
}

#[derive(Debug, Serialize)]
struct AbsentScope {
    account: String,
    region: &'static str,
}

impl ExplainDocument {
    /// Builds the document. If nothing was found and a region could not be read, nothing is explained.
    pub fn new(
        subject: &str,
        images: &[ImageFacts<'_>],
        unresolved: Vec<ExplainedName>,
        absent_from: &[Scope],
        unseen: Vec<UnseenScope>,
    ) -> Self {
        // What was not found where it was looked for may be in a region that was not read.
        let exit = match !images.is_empty() || unseen.is_empty() {
            true => ExitStatus::Done,
            false => ExitStatus::Error,
        };
        let absent_from = absent_from.iter().map(|scope| AbsentScope {
            account: scope.account.to_string(),
            region: scope.region.as_str(),
        });
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            subject: subject.to_owned(),
            images: images.iter().map(ExplainedImage::new).collect(),
            unresolved,
            absent_from: absent_from.collect(),
            unseen,
        }
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let images = self.images.iter().map(ExplainedImage::text);
        let mut text = images.collect::<Vec<_>>().join("\n");
        let mut put = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        for name in &self.unresolved {
            put(format!(
                "{}: {}  {}",
                heading(format_args!("{}/{}", name.account, name.region)),
                safe(&name.problem),
                dim(format_args!(
                    "{}:{}",
                    safe(&name.source.file),
                    name.source.line
                ))
            ));
        }
        let absent = self.absent_from.iter();
        let absent: Vec<_> = absent
            .map(|scope| format!("{}/{}", scope.account, scope.region))
            .collect();
        if !absent.is_empty() {
            put(format!("No such image in {}.", absent.join(", ")));
        }
        let mut unseen: BTreeMap<&str, (Vec<String>, Option<&str>)> = BTreeMap::new();
        for UnseenScope {
            account,
            region,
            reason,
            request_id,
        } in &self.unseen
        {
            let (scopes, first_id) = unseen.entry(reason).or_default();
            scopes.push(format!("{account}/{region}"));
            *first_id = first_id.or(request_id.as_deref());
        }
        for (reason, (scopes, id)) in unseen {
            let reason = with_request_id(reason, id);
            put(format!(
                "Not seen: {}: {}",
                scopes.join(", "),
                safe(&reason)
            ));
        }
        text
    }
}

impl ExplainedName {
    /// The unresolved names of a plan that `picks` accepts.
    pub fn of(plan: &Plan, picks: impl Fn(&str) -> bool) -> Vec<Self> {
        let unresolved = plan.unresolved.iter();
        let picked = unresolved.filter(|name| picks(name.name.as_str()));
        let names = picked.map(|name| Self {
            account: plan.scope.account.to_string(),
            region: plan.scope.region.as_str(),
            image_id: None,
            image_name: name.name.to_string(),
            problem: name.problem.clone(),
            last_meaning: name.last_meaning.as_ref().map(ToString::to_string),
            source: Source::from(&name.entry.source),
        });
        names.collect()
    }
}

impl ExplainedImage {
    fn new(facts: &ImageFacts<'_>) -> Self {
        let ImageFacts {
            key,
            plan,
            blueprint,
            ..
        } = facts;
        let decision = plan.and_then(|plan| plan.decisions.get(&key.image));
        let resolved = plan.and_then(|plan| plan.resolution.images.get(&key.image));
        let shown = blueprint.flatten();
        let preconditions = check(facts.row, *blueprint);
        let (verdict, reason, until) = verdict(decision, resolved, facts.is_own);
        let row_name = facts.row.and_then(|row| row.image_name.clone());
        let known = decision.and_then(|decision| decision.name.as_ref().map(ToString::to_string));
        let shown_name = shown.map(|shown| shown.name.to_string());
        let name = row_name.or(known).or(shown_name);
        Self {
            account: key.scope.account.to_string(),
            uin: plan.and_then(|plan| plan.uin.clone()),
            region: key.scope.region.as_str(),
            image_id: key.image.to_string(),
            image_name: name.filter(|name| !name.is_empty()),
            own: facts.is_own,
            share: match blueprint {
                Some(Some(_)) => "shared",
                Some(None) => "unshared",
                None => "unknown",
            },
            blueprint_id: shown.map(|shown| shown.id.to_string()),
            blueprint_state: shown.map(|shown| state_word(&shown.state).to_owned()),
            decided_by: decision
                .filter(|decision| !asks_nothing(decision))
                .map(DecidingDocument::of),
            verdict,
            verdict_reason: reason,
            verdict_until: until,
            policies: policy_verdicts(resolved, facts.policies),
            plan: PlanReport::of(decision, *plan),
            attempts: facts.attempts.clone(),
            to_share: match blueprint {
                Some(Some(_)) => Vec::new(),
                _ => to_share(decision, resolved, &preconditions),
            },
            to_unshare: match blueprint {
                Some(None) => Vec::new(),
                _ => to_unshare(decision, resolved, facts.is_own),
            },
            preconditions,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut put = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        let name = self.image_name.as_deref().unwrap_or_default();
        let title = format!(
            "{}/{}  {}  {}",
            self.account,
            self.region,
            self.image_id,
            safe(name)
        );
        put(heading(title.trim_end()));
        if self.own == Some(false) {
            put("  It is not among the account's own images: SHARE and CANCEL have no effect on it.".to_owned());
        }
        put("  Preconditions of SHARE:".to_owned());
        for check in &self.preconditions {
            put(check_line(check));
        }
        put(format!("  {}", self.decision_line()));
        for policy in &self.policies {
            put(format!("  {}", policy.line()));
        }
        put(format!("  {}", self.plan.line()));
        if self.attempts.is_empty() {
            put("  Last attempts: none is recorded.".to_owned());
        } else {
            put("  Last attempts:".to_owned());
        }
        for entry in &self.attempts {
            let at = dim(rfc3339(entry.at));
            put(format!("    {at}  {}", safe(&line(&entry.event))));
        }
        for (what, steps) in [
            ("To have it shared:", &self.to_share),
            ("To have it unshared:", &self.to_unshare),
        ] {
            if !steps.is_empty() {
                put(format!("  {what}"));
            }
            for step in steps {
                put(format!("    - {}", safe(step)));
            }
        }
        text
    }

    fn decision_line(&self) -> String {
        let (reason, until) = (self.verdict_reason.as_deref(), self.verdict_until);
        let verdict = format!("Verdict: {}", verdict_text(self.verdict, reason, until));
        let Some(by) = &self.decided_by else {
            let what = match (self.verdict, self.policies.is_empty()) {
                ("held" | "conflict", _) => "nothing is done to it until that is settled",
                (_, true) => "no document sets its state",
                (_, false) => "no change is needed for it",
            };
            return format!("{verdict}; {what}.");
        };
        let document = by.document.as_deref().map(safe);
        let document = document
            .map(|name| format!(" by `{name}`"))
            .unwrap_or_default();
        let mut line = format!("{verdict}; {}, {}{document}", by.desired, by.cause);
        if let Some(until) = by.until {
            let _ = write!(line, ", until {}", rfc3339(until));
        }
        if by.protect {
            line.push_str(", protected");
        }
        if let Some(note) = &by.note {
            let _ = write!(line, ", note: {}", safe(note));
        }
        if let Some(source) = &by.source {
            let place = format_args!("{}:{}", safe(&source.file), source.line);
            let _ = write!(line, "  {}", dim(place));
        }
        line
    }
}

/// Formats a verdict with its reason.
fn verdict_text(verdict: &str, reason: Option<&str>, until: Option<Timestamp>) -> String {
    match (reason, until) {
        (Some(reason), Some(_)) => format!("{verdict} {}", safe(reason)),
        (Some(reason), None) => format!("{verdict}: {}", safe(reason)),
        (None, _) => verdict.to_owned(),
    }
}

fn check_line(check: &Checked) -> String {
    let sign = match check.status {
        CheckStatus::Passed => '+',
        CheckStatus::Failed => '!',
        CheckStatus::Unknown => '?',
    };
    let (what, status, seen) = (check.precondition, check.status.as_str(), safe(&check.seen));
    let remedy = check.remedy.as_deref().map(safe);
    let remedy = remedy
        .map(|remedy| format!(": {remedy}"))
        .unwrap_or_default();
    format!("    {sign} {what:<32}  {status:<7}  {seen}{remedy}")
}

/// The verdict of an image. If documents name images only by id, its entry alone decides.
fn verdict(
    decision: Option<&Decision>,
    resolved: Option<&ResolvedImage>,
    is_own: Option<bool>,
) -> (&'static str, Option<String>, Option<Timestamp>) {
    let verdict = match (resolved, decision) {
        (Some(resolved), _) => &resolved.verdict,
        (None, Some(_)) => &ResolvedVerdict::Declared,
        (None, None) if is_own == Some(false) => &ResolvedVerdict::Foreign,
        (None, None) => &ResolvedVerdict::Unnamed,
    };
    (verdict.word(), verdict.detail(), verdict.until())
}

fn policy_verdicts(
    resolved: Option<&ResolvedImage>,
    policies: &[Arc<Policy>],
) -> Vec<PolicyVerdict> {
    let verdicts = resolved.iter().flat_map(|resolved| &resolved.policies);
    let verdicts = verdicts.map(|(name, verdict)| {
        let policy = policies.iter().find(|policy| policy.name() == name);
        PolicyVerdict {
            policy: name.to_string(),
            source: policy.map(|policy| Source::from(&policy.source)),
            verdict: verdict.word(),
            reason: verdict.detail(),
            until: verdict.until(),
        }
    });
    verdicts.collect()
}

impl DecidingDocument {
    fn of(decision: &Decision) -> Self {
        let entry = decision.entry.as_ref();
        Self {
            document: entry.map(|entry| entry.document.name.to_string()),
            source: decision.source.as_ref().map(Source::from),
            labels: entry.map_or_else(Labels::new, |entry| (*entry.document.labels).clone()),
            desired: decision.desired.as_str(),
            cause: decision.cause.as_str(),
            protect: entry.is_some_and(|entry| entry.protect),
            until: decision.until,
            note: entry.and_then(|entry| entry.note.as_ref().map(ToString::to_string)),
        }
    }
}

impl PolicyVerdict {
    fn line(&self) -> String {
        let Self {
            policy,
            verdict,
            reason,
            source,
            until,
        } = self;
        let verdict = verdict_text(verdict, reason.as_deref(), *until);
        let place = source.as_ref();
        let place = place.map(|at| dim(format_args!("  {}:{}", safe(&at.file), at.line)));
        format!(
            "Policy {}: {verdict}{}",
            safe(policy),
            place.unwrap_or_default()
        )
    }
}

impl PlanReport {
    fn of(decision: Option<&Decision>, plan: Option<&Plan>) -> Self {
        let Some(decision) = decision else {
            let reason = plan
                .and_then(Plan::unobserved)
                .map(|why| format!("not observed: {}", why.told()));
            return Self {
                action: None,
                outcome: "nothing",
                reason,
            };
        };
        let outcome = match &decision.verdict {
            Verdict::InSync => "in_sync",
            Verdict::Act => "act",
            Verdict::Await { .. } => "waiting",
            Verdict::Pending(_) => "pending",
            Verdict::Blocked(_) => "blocked",
            Verdict::Withheld(_) => "withheld",
            Verdict::Failed(_) => "failed",
            Verdict::NotTried(_) => "not_tried",
            Verdict::Unobserved(_) => "not_observed",
        };
        let is_as_asked = matches!(decision.verdict, Verdict::InSync | Verdict::Pending(_));
        let is_asked = !is_as_asked && !asks_nothing(decision);
        Self {
            action: is_asked.then(|| Permission::towards(decision.desired).as_str()),
            outcome,
            reason: decision.verdict.why_not(),
        }
    }

    fn line(&self) -> String {
        let reason = self.reason.as_deref().map(safe).unwrap_or_default();
        match (self.action, self.outcome) {
            (Some(action), "act") => format!("Plan: {action}."),
            (Some(action), outcome) => {
                let outcome = outcome.replace('_', " ");
                format!("Plan: {action} is asked for; {outcome}: {reason}")
            }
            (None, _) if reason.is_empty() => "Plan: nothing.".to_owned(),
            (None, _) => format!("Plan: nothing: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_nowhere_may_be_in_a_region_that_was_not_read() {
        let scope = Scope::parse("default/ap-tokyo").expect("a scope");
        let unseen = || {
            vec![UnseenScope {
                account: "default".to_owned(),
                region: "ap-seoul",
                reason: "no answer".to_owned(),
                request_id: None,
            }]
        };
        let key = ImageKey {
            scope: scope.clone(),
            image: crate::model::ImageId::new("img-a").expect("an id"),
        };
        let found = ImageFacts {
            key,
            row: None,
            is_own: None,
            blueprint: None,
            plan: None,
            policies: &[],
            attempts: Vec::new(),
        };
        let absent = [scope];
        for (images, unseen, exit) in [
            (&[] as &[ImageFacts<'_>], unseen(), ExitStatus::Error),
            (&[found], unseen(), ExitStatus::Done),
        ] {
            let document = ExplainDocument::new("img-a", images, Vec::new(), &absent, unseen);
            assert_eq!(document.exit_status(), exit);
        }
    }
}

//! Writes the text of a message for people. Foreign text in it stays on one line; it cannot mention anybody, contain a
//! link or look like a line of ours.

use super::batch::{Batch, Entry};
use super::escape::visible;
use super::severity::Severity;
use crate::status::{Subject, TransitionKind};
use crate::words::{plural, rfc3339};

/// The most transitions that a message lists. Nobody reads more of them in a chat.
const LISTED_LINES_MAX: usize = 20;
/// Length reserved for the lines that count the others.
const REMAINDER_LEN: usize = 160;

/// Writes the whole message: a heading with counts, a line for each transition with the worst first, and the number of
/// the others. `limit` is its length as a JSON string, which is never shorter than its bytes. Lines that do not fit are
/// counted, not cut.
pub(super) fn compose(batch: &Batch, escape: fn(&str) -> String, limit: usize) -> String {
    let mut sorted: Vec<_> = batch.entries.iter().collect();
    // Within a severity, transitions about more than one image come first.
    sorted.sort_by_key(|entry| {
        let transition = &entry.transition;
        let is_of_image = matches!(transition.subject, Subject::Image(_));
        (Severity::of(transition.kind), is_of_image, transition.kind)
    });
    let mut text = heading(batch);
    let mut length = json_length(&text) + REMAINDER_LEN;
    let mut listed = 0;
    for entry in sorted.iter().take(LISTED_LINES_MAX) {
        let icon = Severity::of(entry.transition.kind).icon();
        let line = format!("\n• {icon} {}", escape(&transition_text(entry)));
        length += json_length(&line);
        if length > limit {
            break;
        }
        text.push_str(&line);
        listed += 1;
    }
    let remainder = (sorted.len() - listed) as u64 + batch.omitted.total();
    if remainder > 0 {
        text.push_str(&format!("\n… and {remainder} more"));
    }
    let undelivered = batch.undelivered();
    if undelivered > 0 {
        let of_them = plural(undelivered, "of these event");
        text.push_str(&format!("\n({of_them} could not be delivered at the time)"));
    }
    text
}

/// Writes the heading, as in `🔴 sharekeeper: 2 blocked, 1 recovered`. It counts all transitions, listed or not.
fn heading(batch: &Batch) -> String {
    let counts = batch.counts();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(kind, _)| (Severity::of(*kind), *kind));
    let worst = counts.first();
    let icon = worst.map_or("", |(kind, _)| Severity::of(*kind).icon());
    let counts: Vec<_> = counts
        .into_iter()
        .map(|(kind, count)| format!("{count} {}", phrase(kind)))
        .collect();
    format!("{icon} sharekeeper: {}", counts.join(", "))
}

/// Writes a line such as `prod/ap-tokyo/img-6pb6lrmy blocked: servers use it`. If an earlier message with it was not
/// delivered, the line also has its time.
fn transition_text(entry: &Entry) -> String {
    let transition = &entry.transition;
    let subject = transition.subject.to_string();
    let name = transition.name.as_deref();
    let name = name.filter(|name| !subject.ends_with(name));
    let name = name.map(|name| format!(" ({})", visible(name)));
    let extent = transition.extent.as_ref().map(|extent| {
        let in_regions = match transition.subject {
            Subject::Account(_) => format!("{}; ", extent.regions_text()),
            _ => String::new(),
        };
        format!(" ({in_regions}{})", plural(extent.images, "image"))
    });
    let time = (entry.failures > 0).then(|| format!(" ({})", rfc3339(transition.at)));
    format!(
        "{subject}{}{} {}{}: {}",
        name.unwrap_or_default(),
        extent.unwrap_or_default(),
        phrase(transition.kind),
        time.unwrap_or_default(),
        visible(&transition.message)
    )
}

fn phrase(kind: TransitionKind) -> &'static str {
    match kind {
        TransitionKind::DriftAppeared => "changed by somebody else",
        TransitionKind::DriftResolved => "as desired again",
        TransitionKind::Blocked => "blocked",
        TransitionKind::Unblocked => "no longer blocked",
        TransitionKind::GuardTripped => "held by a guard",
        TransitionKind::GuardCleared => "no longer held by a guard",
        TransitionKind::ExpiringSoon => "expiring soon",
        TransitionKind::Stalled => "stalled",
        TransitionKind::Recovered => "recovered",
        TransitionKind::Suspended => "suspended",
        TransitionKind::Resumed => "no longer suspended",
    }
}

fn json_length(text: &str) -> usize {
    serde_json::Value::from(text).to_string().len()
}

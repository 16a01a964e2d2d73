//! The text of a message for people. Foreign text in it stays on one line and cannot mention anybody, contain a link
//! or look like a line of ours.

use std::collections::BTreeMap;

use super::batch::Batch;
use crate::status::{Transition, TransitionKind};
use crate::words::brief;

/// The most transitions that a message lists. Nobody reads more in a chat.
const LISTED_LINES_MAX: usize = 20;
/// Length that is kept free for the line that counts the others.
const REMAINDER_LEN: usize = 40;

/// The whole message: a heading with counts, a line for each transition with the worst first, and the number of
/// others. `limit` is its length as a JSON string, which is never less than its bytes. Lines that do not fit are
/// counted, not cut.
pub(super) fn compose(batch: &Batch, escape: fn(&str) -> String, limit: usize) -> String {
    let mut sorted: Vec<_> = batch.transitions.iter().collect();
    sorted.sort_by_key(|transition| (severity_rank(transition.kind), transition.kind));
    let mut text = heading(&sorted);
    let mut length = json_length(&text) + REMAINDER_LEN;
    let mut listed = 0;
    for transition in sorted.iter().take(LISTED_LINES_MAX) {
        let line = format!(
            "\n• {} {}",
            icon(transition.kind),
            escape(&transition_text(transition))
        );
        length += json_length(&line);
        if length > limit {
            break;
        }
        text.push_str(&line);
        listed += 1;
    }
    let remainder = (sorted.len() - listed) as u64 + batch.omitted;
    if remainder > 0 {
        text.push_str(&format!("\n… and {remainder} more"));
    }
    text
}

/// `🔴 sharekeeper: 2 blocked, 1 recovered`.
fn heading(sorted: &[&Transition]) -> String {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for transition in sorted {
        *counts
            .entry((severity_rank(transition.kind), transition.kind))
            .or_default() += 1;
    }
    let worst = sorted
        .first()
        .map_or("", |transition| icon(transition.kind));
    let counts: Vec<_> = counts
        .into_iter()
        .map(|((_, kind), count)| format!("{count} {}", phrase(kind)))
        .collect();
    format!("{worst} sharekeeper: {}", counts.join(", "))
}

/// `prod/ap-tokyo/img-6pb6lrmy blocked: servers use it`.
fn transition_text(transition: &Transition) -> String {
    let subject = transition.subject.to_string();
    let name = transition.name.as_deref();
    let name = name.filter(|name| !subject.ends_with(name));
    let name = name.map(|name| format!(" ({})", brief(name)));
    format!(
        "{subject}{} {}: {}",
        name.unwrap_or_default(),
        phrase(transition.kind),
        brief(&transition.message)
    )
}

/// Transitions with a lower number are listed first.
fn severity_rank(kind: TransitionKind) -> u8 {
    match kind {
        TransitionKind::ExpiringSoon => 1,
        kind if kind.is_good() => 2,
        _ => 0,
    }
}

fn icon(kind: TransitionKind) -> &'static str {
    ["🔴", "🟡", "✅"][usize::from(severity_rank(kind))]
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
    }
}

fn json_length(text: &str) -> usize {
    serde_json::Value::from(text).to_string().len()
}

/// Escapes text for Slack. Its three special characters become entities, so that there is no link and no mention. A
/// block of code would swallow the lines after it, and a client may take `@` for a mention.
pub(super) fn escape_for_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace("```", "'''")
        .replace('@', "＠")
}

/// Escapes text for WeCom, Feishu and DingTalk. They document no escapes, so each character that could begin a tag, a
/// link, a mention or a style is replaced by its full-width form.
pub(super) fn escape_for_chats(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' => '＜',
            '>' => '＞',
            '[' => '［',
            ']' => '］',
            '@' => '＠',
            '*' => '＊',
            '&' => '＆',
            '`' => '\'',
            c => c,
        })
        .collect()
}

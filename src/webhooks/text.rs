//! The words of a message for people. Everything in it that is not ours is one line, and cannot mention anybody, link
//! anywhere or look like ours.

use std::collections::BTreeMap;

use super::queue::Batch;
use crate::status::{Transition, TransitionKind};
use crate::words::brief;

/// Named in one message; nobody reads more of a chat.
const NAMED_MAX: usize = 20;
/// Kept free for the line that counts the rest.
const REST_LEN: usize = 40;

/// The message: what and how many, then the worst first, then how many more. `limit` is its length as a string of JSON,
/// which is never less than its bytes; lines that do not fit are counted, not cut.
pub(super) fn message(batch: &Batch, escape: fn(&str) -> String, limit: usize) -> String {
    let mut sorted: Vec<_> = batch.transitions.iter().collect();
    sorted.sort_by_key(|transition| (gravity(transition.kind), transition.kind));
    let mut text = heading(&sorted);
    let mut length = json_length(&text) + REST_LEN;
    let mut named = 0;
    for transition in sorted.iter().take(NAMED_MAX) {
        let line = format!(
            "\n• {} {}",
            sign(transition.kind),
            escape(&news(transition))
        );
        length += json_length(&line);
        if length > limit {
            break;
        }
        text.push_str(&line);
        named += 1;
    }
    let rest = (sorted.len() - named) as u64 + batch.missed;
    if rest > 0 {
        text.push_str(&format!("\n… and {rest} more"));
    }
    text
}

/// `🔴 sharekeeper: 2 blocked, 1 recovered`.
fn heading(sorted: &[&Transition]) -> String {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for transition in sorted {
        *counts
            .entry((gravity(transition.kind), transition.kind))
            .or_default() += 1;
    }
    let worst = sorted
        .first()
        .map_or("", |transition| sign(transition.kind));
    let counts: Vec<_> = counts
        .into_iter()
        .map(|((_, kind), count)| format!("{count} {}", word(kind)))
        .collect();
    format!("{worst} sharekeeper: {}", counts.join(", "))
}

/// `prod/ap-tokyo/img-6pb6lrmy blocked: servers use it`.
fn news(transition: &Transition) -> String {
    format!(
        "{} {}: {}",
        transition.subject,
        word(transition.kind),
        brief(&transition.message)
    )
}

/// What comes first.
fn gravity(kind: TransitionKind) -> u8 {
    match kind {
        TransitionKind::ExpiringSoon => 1,
        kind if kind.is_good() => 2,
        _ => 0,
    }
}

fn sign(kind: TransitionKind) -> &'static str {
    ["🔴", "🟡", "✅"][usize::from(gravity(kind))]
}

fn word(kind: TransitionKind) -> &'static str {
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

/// For Slack: its three characters as entities, so that there is no link and no mention; no block of code, which would
/// swallow the lines after it; and no `@` that a client may take for a mention.
pub(super) fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace("```", "'''")
        .replace('@', "＠")
}

/// For WeCom, Feishu and DingTalk, which document no escapes: what could begin a tag, a link, a mention or a style is
/// shown by its full-width twin.
pub(super) fn for_chats(text: &str) -> String {
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

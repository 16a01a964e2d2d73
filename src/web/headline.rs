use super::html::{Count, Html, put};
use super::overview;
use super::page::Page;
use crate::plan::{View, Withheld};
use crate::status::{Activity, Board, ScopeStatus};
use crate::words::plural;

/// Problems of manifests that are shown. Who has more mends these first.
const PROBLEMS_MAX: usize = 100;

impl Page<'_> {
    /// Everything in one line: class, sign and words.
    pub(super) fn headline(&self) -> (&'static str, &'static str, String) {
        let (board, total) = (self.board, &self.total);
        let images = total.total();
        let unobserved = board.scopes().values().filter(|s| is_unseen(s)).count();
        let held = board.scopes().values().filter(|s| is_held(s)).count();
        let of_scopes = |n: usize| {
            let verb = if n == 1 { "is" } else { "are" };
            format!(
                "{n} of {} {verb}",
                plural(board.scopes().len() as u64, "scope")
            )
        };
        let all_in_sync = total.in_sync == images;
        if board.state().lost.is_some() {
            let words = "Nothing is done: the state cannot be used any longer";
            ("bad", "!", words.to_owned())
        } else if let Some(nothing) = nothing_yet(board, images) {
            nothing
        } else if total.stalled > 0 {
            let verb = if total.stalled == 1 { "needs" } else { "need" };
            let of = of_images(total.stalled, images);
            ("bad", "!", format!("{of} {verb} a person"))
        } else if held > 0 {
            (
                "bad",
                "!",
                format!("{} given up after a fault", of_scopes(held)),
            )
        } else if unobserved > 0 {
            ("bad", "!", format!("{} not seen", of_scopes(unobserved)))
        } else if all_in_sync && board.manifests().broken_since.is_some() {
            let words = "The manifests cannot be used; all is as the last good ones ask";
            ("bad", "!", words.into())
        } else if all_in_sync {
            let words = match images {
                1 => "The image is as desired".to_owned(),
                n => format!("All {} images are as desired", Count(n)),
            };
            ("good", "=", words)
        } else if total.blocked + total.withheld + total.unknown > 0 {
            let of = of_images(total.in_sync, images);
            let words = format!("{of} as desired; no person is needed");
            ("warn", "~", words)
        } else {
            let of = of_images(total.in_sync, images);
            (
                "busy",
                "…",
                format!("{of} as desired; the rest is on its way"),
            )
        }
    }

    /// The headline, what it is about, and what is wrong with all of it.
    pub(super) fn verdict(&self, html: &mut Html) {
        let (class, sign, words) = self.headline();
        put!(
            html,
            "<h1 class=\"",
            (class),
            "\"><span class=\"sign\" aria-hidden=\"true\">",
            (sign),
            "</span> ",
            (words),
            "</h1>\n"
        );
        self.counts_line(html);
        self.origin(html);
        self.lost(html);
        self.broken(html);
        if self.board.observe_only() {
            html.markup(
                "<section class=\"banner busy\"><h2>~ Observe only</h2><p>Nothing is written. \
                 What is pending would be done without this.</p></section>\n",
            );
        }
        self.troubled_scopes(html);
    }

    fn counts_line(&self, html: &mut Html) {
        if self.total.total() == 0 {
            return;
        }
        html.markup("<p class=\"counts\">");
        let counts = overview::columns(&self.total);
        for (position, (label, count)) in counts.into_iter().filter(|(_, n)| *n > 0).enumerate() {
            let dot = if position > 0 { " · " } else { "" };
            put!(html, (dot), "<b>", (Count(count)), "</b> ", (label));
        }
        html.markup("</p>\n");
    }

    fn origin(&self, html: &mut Html) {
        let manifests = self.board.manifests();
        html.markup("<p class=\"origin\">Manifests: ");
        if manifests.origin.is_empty() {
            html.markup("none yet");
        }
        put!(html, "<b>", (manifests.origin), "</b>");
        if let Some(commit) = &manifests.commit {
            let short: String = commit.chars().take(12).collect();
            put!(
                html,
                " · commit <code title=\"",
                (commit),
                "\">",
                (short),
                "</code>"
            );
        }
        if let Some(at) = manifests.loaded_at {
            html.markup(" · read ");
            html.time(at, self.now);
        }
        put!(
            html,
            " · ",
            (Count(manifests.images)),
            (if manifests.images == 1 {
                " entry"
            } else {
                " entries"
            }),
            "</p>\n"
        );
    }

    fn lost(&self, html: &mut Html) {
        if let Some(why) = &self.board.state().lost {
            put!(
                html,
                "<section class=\"banner bad\"><h2>! The state cannot be used any longer</h2><p>",
                (why),
                ".</p></section>\n"
            );
        }
    }

    fn broken(&self, html: &mut Html) {
        let manifests = self.board.manifests();
        let Some(since) = manifests.broken_since else {
            return;
        };
        html.markup(
            "<section class=\"banner bad\"><h2>! The manifests cannot be used</h2><p>Since ",
        );
        html.time(since, self.now);
        html.markup(match manifests.loaded_at {
            Some(_) => {
                ". The last good ones are worked on meanwhile; what was changed since has no effect until \
                 this is mended:</p><ul>"
            }
            None => ". Nothing is worked on until this is mended:</p><ul>",
        });
        for problem in manifests.problems.iter().take(PROBLEMS_MAX) {
            put!(html, "<li><code>", (problem), "</code></li>");
        }
        let more = manifests.problems.len().saturating_sub(PROBLEMS_MAX);
        if more > 0 {
            put!(html, "<li>and ", (Count(more)), " more</li>");
        }
        html.markup("</ul></section>\n");
    }

    /// What keeps whole scopes from being seen or worked on.
    fn troubled_scopes(&self, html: &mut Html) {
        let mut troubled = self.board.scopes().iter().filter(|(_, s)| is_troubled(s));
        let Some(first) = troubled.next() else {
            return;
        };
        let all = [first].into_iter().chain(troubled);
        let unobserved = self
            .board
            .scopes()
            .values()
            .filter(|s| is_unseen(s))
            .count();
        if unobserved == self.board.scopes().len() {
            html.markup("<section class=\"banner bad\"><h2>! Nothing is seen</h2><ul>");
        } else {
            html.markup("<section class=\"banner warn\"><h2>! Scopes with trouble</h2><ul>");
        }
        for (scope, status) in all {
            put!(html, "<li><b>", (scope), "</b>: ");
            self.trouble(html, status);
            html.markup("</li>");
        }
        html.markup("</ul></section>\n");
    }

    fn trouble(&self, html: &mut Html, status: &ScopeStatus) {
        if let Activity::Halted { why } = &status.activity {
            put!(
                html,
                "Given up until sharekeeper is started anew: ",
                (why),
                ". "
            );
        }
        let unobserved = match &status.view {
            Some(View::Unobserved(unobserved)) => {
                Some(("Not seen, so nothing is done: ", unobserved))
            }
            Some(View::ReadDenied(unobserved)) => {
                Some(("Worked on without seeing it: ", unobserved))
            }
            Some(View::Seen) | None => None,
        };
        if let Some((what, unobserved)) = unobserved {
            put!(html, (what), (unobserved.reason), ". ");
            overview::reference(
                html,
                unobserved.code.as_deref(),
                unobserved.request_id.as_deref(),
            );
            html.markup(" Last seen ");
            match status.seen_at {
                Some(at) => html.time(at, self.now),
                None => html.markup("never"),
            }
            html.markup(".");
        }
        if let Some(loss) = status.loss {
            put!(html, (Withheld::Lost(loss)), ".");
        }
        for warning in &status.warnings {
            put!(html, (warning), ". ");
        }
    }
}

/// Where there is nothing to count.
fn nothing_yet(board: &Board, images: usize) -> Option<(&'static str, &'static str, String)> {
    if images > 0 {
        return None;
    }
    let manifests = board.manifests();
    let troubled = board.scopes().values().any(|s| is_unseen(s) || is_held(s));
    Some(match (manifests.loaded_at, manifests.broken_since) {
        (None, Some(_)) => (
            "bad",
            "!",
            "Nothing is worked on: the manifests cannot be used".into(),
        ),
        (None, None) => ("busy", "…", "No manifests have been read yet".into()),
        (Some(_), _) if troubled => return None,
        (Some(_), _) if manifests.images == 0 => ("warn", "~", "No manifest names an image".into()),
        (Some(_), _) => ("busy", "…", "Nothing has been looked at yet".into()),
    })
}

fn of_images(n: usize, of: usize) -> String {
    let s = if of == 1 { "" } else { "s" };
    format!("{} of {} image{s}", Count(n), Count(of))
}

fn is_unseen(status: &ScopeStatus) -> bool {
    matches!(status.view, Some(View::Unobserved(_)))
}

fn is_held(status: &ScopeStatus) -> bool {
    matches!(status.activity, Activity::Halted { .. })
}

fn is_troubled(status: &ScopeStatus) -> bool {
    let seen = matches!(status.view, Some(View::Seen) | None);
    !seen || is_held(status) || status.loss.is_some() || !status.warnings.is_empty()
}

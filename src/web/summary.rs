//! The top of the page: the headline, counts, where the manifests come from, and banners for what is wrong with all of it.

use super::headline::{Headline, is_halted, is_unobserved};
use super::html::{Count, Html, write_html};
use super::overview;
use super::page::Page;
use crate::model::Scope;
use crate::plan::{View, Withheld};
use crate::status::{Activity, ScopeStatus};

/// Problems of manifests that are shown; a page with more is no help.
const PROBLEMS_MAX: usize = 100;
/// Scopes with trouble that are shown. The table of accounts and regions has all of them.
const IMPAIRED_MAX: usize = 50;

impl Page<'_> {
    /// The headline, what it is about, and what is wrong with everything.
    pub(super) fn summary(&self, html: &mut Html) {
        let Headline { badge, text } = Headline::of(self.board, &self.total);
        write_html!(
            html,
            "<h1 class=\"",
            (badge.class),
            "\"><span class=\"sign\" aria-hidden=\"true\">",
            (badge.sign),
            "</span> ",
            (text),
            "</h1>\n"
        );
        self.counts_line(html);
        self.origin(html);
        self.state_banner(html);
        self.manifests_banner(html);
        if self.board.observe_only() {
            html.markup(
                "<section class=\"banner busy\"><h2>~ Observe only</h2><p>Nothing is written. \
                 What is pending would be done without this.</p></section>\n",
            );
        }
        self.holds_banner(html);
        self.scopes_banner(html);
    }

    /// What people and windows hold back: who, why, and until when.
    fn holds_banner(&self, html: &mut Html) {
        let holds = self.board.holds();
        if holds.is_empty() {
            return;
        }
        html.markup("<section class=\"banner warn\"><h2>! Held back</h2><ul>");
        for line in holds.lines().take(PROBLEMS_MAX) {
            write_html!(html, "<li>", (line), "</li>");
        }
        let more = holds.lines().count().saturating_sub(PROBLEMS_MAX);
        if more > 0 {
            write_html!(html, "<li>and ", (Count(more)), " more</li>");
        }
        html.markup("</ul></section>\n");
    }

    fn counts_line(&self, html: &mut Html) {
        if self.total.total() == 0 {
            return;
        }
        html.markup("<p class=\"counts\">");
        let counts = overview::columns(&self.total);
        for (position, (label, count)) in counts.into_iter().filter(|(_, n)| *n > 0).enumerate() {
            let dot = if position > 0 { " · " } else { "" };
            write_html!(html, (dot), "<b>", (Count(count)), "</b> ", (label));
        }
        html.markup("</p>\n");
    }

    fn origin(&self, html: &mut Html) {
        let manifests = self.board.manifests();
        html.markup("<p class=\"origin\">Manifests: ");
        if manifests.origin.is_empty() {
            html.markup("none yet");
        }
        write_html!(html, "<b>", (manifests.origin), "</b>");
        if let Some(commit) = &manifests.commit {
            let short: String = commit.chars().take(12).collect();
            write_html!(
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
        write_html!(
            html,
            " · ",
            (Count(manifests.images)),
            (if manifests.images == 1 {
                " entry"
            } else {
                " entries"
            })
        );
        if manifests.policies > 0 {
            let word = if manifests.policies == 1 {
                " policy"
            } else {
                " policies"
            };
            write_html!(html, ", ", (Count(manifests.policies)), (word));
        }
        html.markup("</p>\n");
    }

    fn state_banner(&self, html: &mut Html) {
        if let Some(why) = &self.board.state().lost {
            write_html!(
                html,
                "<section class=\"banner bad\"><h2>! The state cannot be used any longer</h2><p>",
                (why),
                ".</p></section>\n"
            );
        }
    }

    fn manifests_banner(&self, html: &mut Html) {
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
            write_html!(html, "<li><code>", (problem), "</code></li>");
        }
        let more = manifests.problems.len().saturating_sub(PROBLEMS_MAX);
        if more > 0 {
            write_html!(html, "<li>and ", (Count(more)), " more</li>");
        }
        html.markup("</ul></section>\n");
    }

    /// What keeps whole scopes from being observed or worked on.
    fn scopes_banner(&self, html: &mut Html) {
        let scopes = self.board.scopes().iter();
        let mut impaired: Vec<_> = scopes.filter(|(_, status)| is_impaired(status)).collect();
        if impaired.is_empty() {
            return;
        }
        if impaired.len() > IMPAIRED_MAX {
            // Stable: those that are asked for first, otherwise in the order of accounts and regions.
            impaired.sort_by_key(|(scope, _)| !self.query.picks_scope(scope));
        }
        let unobserved = self
            .board
            .scopes()
            .values()
            .filter(|s| is_unobserved(s))
            .count();
        if unobserved == self.board.scopes().len() {
            html.markup("<section class=\"banner bad\"><h2>! Nothing is seen</h2><ul>");
        } else {
            html.markup("<section class=\"banner warn\"><h2>! Scopes with trouble</h2><ul>");
        }
        let mut room = PROBLEMS_MAX;
        for (scope, status) in impaired.iter().take(IMPAIRED_MAX) {
            write_html!(html, "<li><b>", (scope), "</b>: ");
            self.scope_problems(html, scope, status);
            words(html, status, &mut room);
            html.markup("</li>");
        }
        let more = impaired.len().saturating_sub(IMPAIRED_MAX);
        if more > 0 {
            write_html!(
                html,
                "<li>and ",
                (Count(more)),
                " more; they come first among <a href=\"",
                (self.query.within(None)),
                "#scopes\">accounts and regions</a>, where each leads to its own page</li>"
            );
        }
        html.markup("</ul></section>\n");
    }

    fn scope_problems(&self, html: &mut Html, scope: &Scope, status: &ScopeStatus) {
        if let Activity::Halted { why } = &status.activity {
            write_html!(
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
            write_html!(html, (what), (unobserved.reason), ". ");
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
            write_html!(html, (Withheld::Lost(scope.clone(), loss)), ".");
        }
    }
}

/// What a person must settle in a scope or should be warned of, while there is room for it.
fn words(html: &mut Html, status: &ScopeStatus, room: &mut usize) {
    let findings = status.findings.len().min(*room);
    for finding in &status.findings[..findings] {
        write_html!(
            html,
            (finding.kind.noun()),
            " <b>",
            (finding.subject),
            "</b>: ",
            (finding.message)
        );
        if let Some(source) = &finding.source {
            html.markup(" <small>");
            html.text(source);
            html.markup("</small>");
        }
        html.markup(". ");
    }
    *room -= findings;
    let warnings = status.warnings.len().min(*room);
    for warning in &status.warnings[..warnings] {
        write_html!(html, (warning), ". ");
    }
    *room -= warnings;
    let more = status.findings.len() + status.warnings.len() - findings - warnings;
    if more > 0 {
        write_html!(html, (Count(more)), " more are in the JSON document.");
    }
}

fn is_impaired(status: &ScopeStatus) -> bool {
    let seen = matches!(status.view, Some(View::Seen) | None);
    let has_words = !status.warnings.is_empty() || !status.findings.is_empty();
    !seen || is_halted(status) || status.loss.is_some() || has_words
}

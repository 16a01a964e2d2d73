//! The top of the page: the headline, the counts, the origin of the manifests, and banners for problems that concern
//! everything.

use super::headline::Headline;
use super::html::{Count, Html, write_html};
use super::overview;
use super::page::Page;
use crate::status::Progress;
use crate::words::thousands;

/// How many problems of manifests are shown; a longer page would not help.
const PROBLEMS_MAX: usize = 100;

impl Page<'_> {
    /// Shows the headline, what it is about, and the problems that concern everything.
    pub(super) fn summary(&self, html: &mut Html) {
        let Headline { badge, text } = &self.headline;
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
        self.policy(html);
        self.state_banner(html);
        self.manifests_banner(html);
        if self.board.observe_only() {
            html.markup(
                "<section class=\"banner busy\"><h2>~ Observe only</h2><p>Nothing is written. \
                 Pending changes would be made without this option.</p></section>\n",
            );
        }
        self.holds_banner(html);
        self.causes_banner(html);
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
        let Progress {
            acknowledged,
            planned,
        } = self.board.progress();
        if planned > 0 {
            write_html!(
                html,
                " · <b>",
                (thousands(acknowledged)),
                "</b> of <b>",
                (thousands(planned)),
                "</b> written"
            );
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
                ". The last good ones stay in force; changes made since then have no effect until \
                 this is fixed:</p><ul>"
            }
            None => ". No work is done until this is fixed:</p><ul>",
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
}

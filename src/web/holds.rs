//! Shows what people, windows and flags hold back: suspensions, closed change windows, and what may be pruned.

use super::commands::Remedy;
use super::html::{Html, write_html};
use super::page::Page;
use crate::inventory::Suspension;
use crate::plan::{AcceptedLosses, Policy, Prune};
use crate::status::ClosedWindow;

/// How many suspensions and windows are shown, of each kind; the document has all of them.
const SHOWN_MAX: usize = 50;

impl Page<'_> {
    /// Shows who holds back what, why, since when and until when.
    pub(super) fn holds_banner(&self, html: &mut Html) {
        let holds = self.board.holds();
        if holds.is_empty() {
            return;
        }
        html.markup("<section class=\"banner warn\"><h2>! Held back</h2><ul>");
        for suspension in holds.suspensions.iter().take(SHOWN_MAX) {
            self.suspension(html, suspension);
        }
        for window in holds.windows.iter().take(SHOWN_MAX) {
            self.closed_window(html, window);
        }
        let more = |all: usize| all.saturating_sub(SHOWN_MAX);
        html.end_list(more(holds.suspensions.len()) + more(holds.windows.len()));
    }

    fn suspension(&self, html: &mut Html, suspension: &Suspension) {
        write_html!(
            html,
            "<li><b>",
            (suspension.selector),
            "</b> is suspended by <b>",
            (suspension.by),
            "</b>: ",
            (suspension.reason),
            " <small>suspension ",
            (suspension.id),
            ", since "
        );
        html.whole_time(suspension.since, self.now);
        match suspension.until {
            Some(until) => {
                html.markup(", until ");
                html.whole_time(until, self.now);
            }
            None => html.markup(", until a person ends it"),
        }
        html.markup("</small> ");
        self.remedy(html, Remedy::Resume(suspension.id));
        html.markup("</li>");
    }

    fn closed_window(&self, html: &mut Html, window: &ClosedWindow) {
        write_html!(
            html,
            "<li><b>account ",
            (window.account),
            "</b>: ",
            (window.causes_text()),
            " are not made now: ",
            (window.reason),
            " <small>"
        );
        match window.opens {
            Some(opens) => {
                html.markup("opens ");
                html.whole_time(opens, self.now);
            }
            None => html.markup("no opening was found within a year"),
        }
        html.markup("</small></li>");
    }

    /// Shows what may be pruned, and the caps that apply.
    pub(super) fn policy(&self, html: &mut Html) {
        let Some(settings) = self.board.run_settings() else {
            return;
        };
        let policy = &settings.policy;
        write_html!(
            html,
            "<p class=\"origin\">Prune: <b>",
            (policy.prune.as_str()),
            "</b>, ",
            (match policy.prune {
                Prune::None => "so shares that no manifest names are left alone",
                Prune::Owned =>
                    "so shares that sharekeeper made and no manifest names any longer are cancelled",
                Prune::Exclusive => "so all shares that no manifest names are cancelled",
            }),
            " · caps for each account and region: "
        );
        for (position, (bound, origin)) in policy.caps().iter().enumerate() {
            let and = if position > 0 { ", " } else { "" };
            write_html!(html, (and), "<b>", (bound), "</b> (", (origin), ")");
        }
        accepted_losses(html, policy);
        html.markup("</p>\n");
    }
}

fn accepted_losses(html: &mut Html, policy: &Policy) {
    if policy.accept_lost == AcceptedLosses::NONE {
        return;
    }
    html.markup(" · losses that were accepted:");
    for (scope, lost) in policy.accept_lost.iter().take(SHOWN_MAX) {
        write_html!(html, " <b>", (scope), "=", (lost), "</b>");
    }
}

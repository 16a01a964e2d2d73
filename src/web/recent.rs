//! The last transitions, and the last writes that got an answer.

use super::badge::Badge;
use super::html::{Count, Html, write_html};
use super::images::{key_cells, scope_cell};
use super::overview::{is_folded, reference};
use super::page::Page;
use crate::history::WriteResult;
use crate::model::Permission;
use crate::status::{Change, Subject, Transition};

/// How many rows are shown before the rest is opened.
const FIRST_ROWS: usize = 10;
/// Most rows in total if there are many accounts and regions.
const FLEET_ROWS_MAX: usize = 50;

impl Page<'_> {
    /// Shows the last transitions and the last writes.
    pub(super) fn recent(&self, html: &mut Html) {
        let transitions = self.board.transitions().iter().rev();
        let transitions: Vec<_> = transitions
            .filter(|transition| self.query.picks_subject(&transition.subject))
            .collect();
        html.markup("<h2>Problems that began or ended</h2>\n");
        self.folded(html, &transitions, "events", Self::transitions);
        let changes = self.board.changes().iter().rev();
        let changes: Vec<_> = changes
            .filter(|change| self.query.picks_key(&change.key))
            .collect();
        html.markup("<h2>Last writes</h2>\n");
        self.folded(html, &changes, "changes", Self::changes);
    }

    /// Shows the first few, and the rest behind a disclosure.
    fn folded<T>(
        &self,
        html: &mut Html,
        items: &[&T],
        name: &'static str,
        table: impl Fn(&Self, &mut Html, &[&T]),
    ) {
        if items.is_empty() {
            return html.markup("<p>None since the process started.</p>\n");
        }
        let most = match is_folded(self.board.scopes().len()) {
            true => FLEET_ROWS_MAX,
            false => items.len(),
        };
        let (shown, more) = items.split_at(items.len().min(most));
        let (first, rest) = shown.split_at(shown.len().min(FIRST_ROWS));
        table(self, html, first);
        if !rest.is_empty() {
            write_html!(
                html,
                "<details id=\"older-",
                (name),
                "\"><summary>",
                (Count(rest.len())),
                " older</summary>"
            );
            table(self, html, rest);
            html.markup("</details>\n");
        }
        html.rows_left_out(more.len());
    }

    fn transitions(&self, html: &mut Html, transitions: &[&Transition]) {
        html.markup(
            "<div class=\"scroll\"><table class=\"cards events\"><caption class=\"hidden\">Problems that began and ended, the newest \
             first</caption><thead><tr><th scope=\"col\">what</th><th scope=\"col\">of</th>\
             <th scope=\"col\">account / region</th><th scope=\"col\">when</th></tr></thead><tbody>\n",
        );
        for transition in transitions {
            let badge = if transition.kind.is_good() {
                Badge::GOOD
            } else {
                Badge::BAD
            };
            write_html!(
                html,
                "<tr><td data-label=\"what\"><span class=\"",
                (badge.class),
                "\">",
                (badge.sign),
                " ",
                (transition.kind.as_str().replace('_', " ")),
                "</span></td>"
            );
            match &transition.subject {
                Subject::Image(key) => key_cells(html, key, transition.name.as_deref()),
                Subject::Account(account) => {
                    html.markup("<th scope=\"row\">the account</th>");
                    write_html!(
                        html,
                        "<td data-label=\"account / region\">",
                        (account.as_str()),
                        "</td>"
                    );
                }
                Subject::Scope(scope) => {
                    html.markup("<th scope=\"row\">the scope</th>");
                    scope_cell(html, scope);
                }
                Subject::State => {
                    html.markup("<th scope=\"row\">the state</th><td class=\"none\"></td>");
                }
                Subject::Selection(_) => {
                    html.markup("<th scope=\"row\">a suspension</th><td class=\"none\"></td>");
                }
                Subject::Manifests => {
                    html.markup("<th scope=\"row\">the manifests</th><td class=\"none\"></td>");
                }
            }
            html.markup("<td data-label=\"when\">");
            html.time(transition.at, self.now);
            write_html!(
                html,
                "</td></tr><tr class=\"more\"><td colspan=\"4\">",
                (transition.message),
                "</td></tr>\n"
            );
        }
        html.markup("</tbody></table></div>\n");
    }

    fn changes(&self, html: &mut Html, changes: &[&Change]) {
        html.markup(
            "<div class=\"scroll\"><table class=\"cards writes\"><caption class=\"hidden\">Writes that were answered, the \
             newest first</caption><thead><tr><th scope=\"col\">call</th><th scope=\"col\">image</th>\
             <th scope=\"col\">account / region</th><th scope=\"col\">when</th><th scope=\"col\">result</th>\
             <th scope=\"col\">manifest</th></tr></thead><tbody>\n",
        );
        for change in changes {
            self.change(html, change);
        }
        html.markup("</tbody></table></div>\n");
    }

    fn change(&self, html: &mut Html, change: &Change) {
        write_html!(
            html,
            "<tr><td data-label=\"call\">",
            (match change.permission {
                Permission::Share => "+ share",
                Permission::Cancel => "- cancel",
            }),
            " <small>",
            (change.cause.as_str()),
            "</small></td>"
        );
        key_cells(html, &change.key, self.board.image_name(&change.key));
        html.markup("<td data-label=\"when\">");
        html.time(change.at, self.now);
        let (badge, words) = match change.result {
            WriteResult::Applied => (Badge::GOOD, "applied"),
            WriteResult::AlreadyShared => (Badge::GOOD, "was already shared"),
            WriteResult::Rejected => (Badge::BAD, "rejected"),
            WriteResult::Unknown => (Badge::UNKNOWN, "unknown: it will be checked"),
            WriteResult::NotSent => (Badge::WARN, "not sent"),
        };
        write_html!(
            html,
            "</td><td data-label=\"result\"><span class=\"",
            (badge.class),
            "\">",
            (badge.sign),
            " ",
            (words),
            "</span> "
        );
        reference(html, change.code.as_deref(), change.request_id.as_deref());
        html.markup("</td><td class=\"file\" data-label=\"manifest\">");
        match &change.source {
            Some(source) => html.name(source),
            None => html.markup("no manifest names it"),
        }
        html.markup("</td></tr>\n");
        if let Some(message) = &change.message {
            write_html!(
                html,
                "<tr class=\"more\"><td colspan=\"6\">",
                (message),
                "</td></tr>\n"
            );
        }
    }
}

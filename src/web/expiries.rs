//! Shares that end by themselves: finds them for both page and document, and shows their table on the page.

use super::html::{Count, Html, write_html};
use super::images::{ROWS_MAX, image_cell, scope_cell};
use super::page::Page;
use super::query::{Query, ScopeText, Show};
use crate::model::{ImageId, Scope, Timestamp};
use crate::status::{Board, ImageStatus};

/// How many of the next shares to end are shown below the list of images.
const NEXT_MAX: usize = 10;

/// A share that ends by itself.
pub(super) struct Expiry<'a> {
    pub(super) until: Timestamp,
    pub(super) scope: &'a Scope,
    pub(super) id: &'a ImageId,
    pub(super) image: &'a ImageStatus,
}

/// Returns the shares within the query that end by themselves after `now`, the next first.
pub(super) fn expiries<'a>(board: &'a Board, query: &Query, now: Timestamp) -> Vec<Expiry<'a>> {
    let mut found = Vec::new();
    for (scope, status) in board.scopes().iter().filter(|(s, _)| query.picks_scope(s)) {
        let text = ScopeText::new(scope);
        for (id, image) in status.images.iter() {
            let Some(until) = image.until.filter(|until| *until > now) else {
                continue;
            };
            if query.picks(&text, id, image) {
                found.push(Expiry {
                    until,
                    scope,
                    id,
                    image,
                });
            }
        }
    }
    found.sort_by_key(|expiry| expiry.until);
    found
}

impl Page<'_> {
    /// Shows the list of shares that end by themselves.
    pub(super) fn expiries(&self, html: &mut Html) {
        let found = self.found_expiries();
        write_html!(html, "<h2>Expiring: ", (Count(found.len())), "</h2>\n");
        let from = self.query.page.saturating_mul(ROWS_MAX).min(found.len());
        self.expiry_table(html, &found[from..found.len().min(from + ROWS_MAX)]);
        self.pager(html, found.len());
    }

    /// Shows the few shares that end next.
    pub(super) fn next_expiries(&self, html: &mut Html) {
        let found = self.found_expiries();
        html.markup("<h2>Next to expire</h2>\n");
        self.expiry_table(html, &found[..found.len().min(NEXT_MAX)]);
        if found.len() > NEXT_MAX {
            write_html!(
                html,
                "<p><a href=\"",
                (self.query.showing(Some(Show::Expiring), None)),
                "\">all ",
                (Count(found.len())),
                "</a></p>\n"
            );
        }
    }

    fn found_expiries(&self) -> Vec<Expiry<'_>> {
        // A share that ends is listed whether or not it is as desired.
        let query = Query {
            show: None,
            ..self.query.clone()
        };
        expiries(self.board, &query, self.now)
    }

    fn expiry_table(&self, html: &mut Html, expiries: &[Expiry<'_>]) {
        if expiries.is_empty() {
            return html.markup("<p>No share ends by itself.</p>\n");
        }
        html.markup(
            "<div class=\"scroll\"><table class=\"cards\"><caption class=\"hidden\">Shares that end by themselves, the \
             next first</caption><thead><tr><th scope=\"col\">image</th><th scope=\"col\">account / region</th>\
             <th scope=\"col\">ends</th><th scope=\"col\">manifest</th></tr></thead><tbody>\n",
        );
        for Expiry {
            until,
            scope,
            id,
            image,
        } in expiries
        {
            html.markup("<tr>");
            image_cell(html, id, image);
            scope_cell(html, scope);
            html.markup("<td data-label=\"ends\">");
            html.time(*until, self.now);
            write_html!(
                html,
                " <small>",
                (until.format("%Y-%m-%d %H:%M UTC")),
                "</small></td><td class=\"file\" data-label=\"manifest\">"
            );
            if let Some(source) = &image.source {
                html.name(source);
            }
            html.markup("</td></tr>\n");
        }
        html.markup("</tbody></table></div>\n");
    }
}

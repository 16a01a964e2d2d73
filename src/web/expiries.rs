use super::html::{Count, Html, put};
use super::images::{ROWS_MAX, image_cell, scope_cell};
use super::page::Page;
use super::query::{Query, Show};
use super::status_json::{Expiry, expiries};

/// Of the next expiries, those that are shown beside other things.
const NEXT_MAX: usize = 10;

impl Page<'_> {
    /// The list of shares that end by themselves.
    pub(super) fn expiries(&self, html: &mut Html) {
        let found = self.found();
        put!(html, "<h2>Expiring: ", (Count(found.len())), "</h2>\n");
        let from = self.query.page.saturating_mul(ROWS_MAX).min(found.len());
        self.expiry_table(html, &found[from..found.len().min(from + ROWS_MAX)]);
        self.pager(html, found.len());
    }

    /// The next few.
    pub(super) fn next_expiries(&self, html: &mut Html) {
        let found = self.found();
        html.markup("<h2>Next to expire</h2>\n");
        self.expiry_table(html, &found[..found.len().min(NEXT_MAX)]);
        if found.len() > NEXT_MAX {
            put!(
                html,
                "<p><a href=\"",
                (self.query.showing(Some(Show::Expiring), None)),
                "\">all ",
                (Count(found.len())),
                "</a></p>\n"
            );
        }
    }

    fn found(&self) -> Vec<Expiry<'_>> {
        // Whether they are as desired does not matter here.
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
            put!(
                html,
                " <small>",
                (until.format("%Y-%m-%d %H:%M UTC")),
                "</small></td><td class=\"file\" data-label=\"manifest\">"
            );
            if let Some(source) = &image.source {
                html.text(source);
            }
            html.markup("</td></tr>\n");
        }
        html.markup("</tbody></table></div>\n");
    }
}

//! The images that policies leave unchanged: finds them for both page and document, and shows their table on the page.

use super::html::{Count, Html, write_html};
use super::images::key_cells;
use super::page::Page;
use super::query::Query;
use crate::model::{ImageKey, Scope};
use crate::status::{PolicyImage, ScopeStatus};

/// How many rows the page shows. The document has all of them.
const ROWS_MAX: usize = 100;

/// The images of a scope that are within the query.
pub(super) fn asked<'a>(
    status: &'a ScopeStatus,
    query: &'a Query,
) -> impl Iterator<Item = &'a PolicyImage> {
    let images = status.policy_images.iter();
    images.filter(|image| query.image.as_ref().is_none_or(|id| *id == image.id))
}

impl<'a> Page<'a> {
    /// Shows the images that policies leave unchanged; nothing if there are none.
    pub(super) fn policy_images(&self, html: &mut Html) {
        let rows: Vec<(&Scope, &PolicyImage)> = self
            .scopes()
            .flat_map(|(scope, status, _)| {
                asked(status, self.query).map(move |image| (scope, image))
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        write_html!(
            html,
            "<h2>Left unchanged by policies: ",
            (Count(rows.len())),
            "</h2>\n<div class=\"scroll\"><table class=\"cards\"><caption class=\"hidden\">Images that policies keep, leave \
             alone or let wait</caption><thead><tr><th scope=\"col\">image</th><th scope=\"col\">account / region</th>\
             <th scope=\"col\">verdict</th><th scope=\"col\">until</th></tr></thead><tbody>\n"
        );
        for (scope, image) in rows.iter().take(ROWS_MAX) {
            self.policy_image(html, scope, image);
        }
        html.markup("</tbody></table></div>\n");
        html.rows_left_out(rows.len().saturating_sub(ROWS_MAX));
    }

    fn policy_image(&self, html: &mut Html, scope: &Scope, image: &PolicyImage) {
        html.markup("<tr>");
        let key = ImageKey {
            scope: scope.clone(),
            image: image.id.clone(),
        };
        key_cells(html, &key, image.name.as_ref().map(|name| name.as_str()));
        write_html!(html, "<td data-label=\"verdict\">", (image.verdict));
        if let Some(reason) = &image.reason {
            write_html!(html, " <small>", (reason), "</small>");
        }
        match image.until {
            Some(until) => {
                html.markup("</td><td data-label=\"until\">");
                html.time(until, self.now);
            }
            None => html.markup("</td><td class=\"none\">"),
        }
        html.markup("</td></tr>\n");
    }
}

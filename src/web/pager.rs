//! Shows links from one page of a list to the pages beside it.

use super::html::{Count, Html, write_html};
use super::query::Query;

/// Shows links to the pages beside `page` of the list with the name `called`. `at` makes the query for a page.
pub(super) fn pager(
    html: &mut Html,
    called: &'static str,
    page: usize,
    pages: usize,
    at: impl Fn(usize) -> Query,
) {
    if pages < 2 && page == 0 {
        return;
    }
    write_html!(html, "<nav class=\"pager\" aria-label=\"", (called), "\">");
    if page > 0 {
        let before = (page - 1).min(pages.saturating_sub(1));
        write_html!(
            html,
            "<a rel=\"prev\" href=\"",
            (at(before)),
            "\">‹ previous</a> "
        );
    }
    write_html!(
        html,
        "<span>page ",
        (Count(page.saturating_add(1))),
        " of ",
        (Count(pages.max(1))),
        "</span>"
    );
    if page + 1 < pages {
        write_html!(
            html,
            " <a rel=\"next\" href=\"",
            (at(page + 1)),
            "\">next ›</a>"
        );
    }
    html.markup("</nav>\n");
}

//! The status page: the board for people, on one page of HTML that is complete without JavaScript.
//!
//! Most of its text is foreign: image ids, messages of the API, names of files. All of it goes through `Html`, which
//! escapes it. For an image that is not shown, only a reference is allocated.

use std::collections::BTreeMap;

use super::headline::{Headline, count_images};
use super::html::{Html, write_html};
use super::query::{Query, Show};
use crate::model::{Scope, Timestamp};
use crate::status::{Board, CauseList, Counts, ScopeStatus};
use crate::words::rfc3339;

/// The page's style sheet.
pub const PAGE_CSS: &str = include_str!("page.css");
/// The script that keeps the page up to date.
pub const PAGE_JS: &str = include_str!("page.js");
/// The page's icon, as SVG.
pub const PAGE_ICON: &str = include_str!("icon.svg");

/// Returns the board as a page, limited to what the query asks for.
pub fn page(board: &Board, query: &Query, now: Timestamp) -> String {
    let page = Page::new(board, query, now);
    let mut html = Html::default();
    page.head(&mut html);
    page.summary(&mut html);
    page.filters(&mut html);
    // In a search, the results come before everything else.
    if !query.is_narrow() {
        page.overview(&mut html);
    }
    match page.show() {
        Show::Expiring => page.expiries(&mut html),
        Show::Wrong | Show::All => {
            page.images(&mut html);
            page.policy_images(&mut html);
        }
    }
    if query.is_narrow() {
        page.overview(&mut html);
    } else {
        page.recent(&mut html);
        if page.show() != Show::Expiring {
            page.next_expiries(&mut html);
        }
    }
    page.foot(&mut html);
    html.finish()
}

/// The data for the parts of the page. Each part is a method in a file of its own.
pub(super) struct Page<'a> {
    pub(super) board: &'a Board,
    pub(super) query: &'a Query,
    pub(super) now: Timestamp,
    /// The counts of images in every scope.
    pub(super) counts: BTreeMap<&'a Scope, Counts>,
    /// The counts of images in all scopes together.
    pub(super) total: Counts,
    pub(super) headline: Headline,
    /// The causes that hold up many images, in all scopes.
    pub(super) causes: CauseList,
}

impl<'a> Page<'a> {
    fn new(board: &'a Board, query: &'a Query, now: Timestamp) -> Self {
        let scopes = board.scopes().iter();
        let counts: BTreeMap<_, _> = scopes.map(|(s, status)| (s, status.counts())).collect();
        let mut total = Counts::default();
        for counts in counts.values() {
            total += *counts;
        }
        let scopes = board.scopes().iter();
        let images = scopes.flat_map(|(scope, status)| {
            let ids = status.images.keys();
            ids.map(move |id| (&scope.account, id))
        });
        let headline = Headline::of(board, &total, count_images(images));
        Self {
            board,
            query,
            now,
            counts,
            total,
            headline,
            causes: board.cause_list(|_| true),
        }
    }

    /// Which images are listed. A search also lists images that are as desired.
    pub(super) fn show(&self) -> Show {
        let narrow = self.query.is_narrow();
        let default = if narrow { Show::All } else { Show::Wrong };
        self.query.show.unwrap_or(default)
    }

    /// The scopes within the query.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (&'a Scope, &'a ScopeStatus, Counts)> {
        let scopes = self.board.scopes().iter();
        let asked = scopes.filter(|(scope, _)| self.query.picks_scope(scope));
        asked.map(|(scope, status)| (scope, &**status, self.counts[scope]))
    }

    fn head(&self, html: &mut Html) {
        let Headline { badge, text } = &self.headline;
        write_html!(
            html,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>",
            (badge.sign),
            " ",
            (text),
            " · sharekeeper</title><link rel=\"stylesheet\" href=\"page.css\">\
             <link rel=\"icon\" href=\"icon.svg\" type=\"image/svg+xml\">\
             <script src=\"page.js\" defer></script></head>\n<body>\
             <header><a class=\"name\" href=\"?\">sharekeeper</a>\
             <form role=\"search\"><label for=\"q\">Find images</label>\
             <input id=\"q\" name=\"q\" type=\"search\" maxlength=\"200\" \
             placeholder=\"name, id, blueprint, file, reason, region…\" value=\"",
            (self.query.search),
            "\"><button>Find</button></form><span id=\"live\" role=\"status\"></span></header>\n\
             <main data-version=\"",
            (self.board.version()),
            "\" data-now=\"",
            (rfc3339(self.now)),
            "\">\n"
        );
    }

    /// Shows links to the lists, and links that leave a scope or a search.
    fn filters(&self, html: &mut Html) {
        html.markup("<nav aria-label=\"Lists\"><ul class=\"tabs\">");
        let narrow = self.query.is_narrow();
        for (show, words) in [
            (Show::Wrong, "Not as desired"),
            (Show::All, "All images"),
            (Show::Expiring, "Expiring"),
        ] {
            // The default is left out of its link, so that the address of the page is `/`.
            let named = (narrow || show != Show::Wrong).then_some(show);
            write_html!(
                html,
                "<li><a href=\"",
                (self.query.showing(named, self.query.reason)),
                "\""
            );
            if self.show() == show {
                html.markup(" aria-current=\"page\"");
            }
            write_html!(html, ">", (words), "</a></li>");
        }
        html.markup("</ul>");
        self.narrowed(html);
        html.markup("</nav>\n");
    }

    fn narrowed(&self, html: &mut Html) {
        let Query {
            account,
            region,
            image,
            reason,
            search,
            ..
        } = self.query;
        let parts = [
            account
                .as_ref()
                .map(|account| ("account", account.as_str())),
            region.map(|region| ("region", region.as_str())),
            image.as_ref().map(|image| ("image", image.as_str())),
            reason.map(|reason| ("reason", reason.as_str())),
            Some(("search", search.as_str())).filter(|(_, text)| !text.is_empty()),
        ];
        if parts.iter().all(Option::is_none) {
            return;
        }
        html.markup("<p class=\"narrowed\">Narrowed to");
        for (what, value) in parts.into_iter().flatten() {
            write_html!(html, " ", (what), " <b>", (value), "</b>");
        }
        html.markup(" · <a href=\"?\">show everything</a></p>");
    }

    fn foot(&self, html: &mut Html) {
        write_html!(
            html,
            "<footer><p>As of <time datetime=\"",
            (rfc3339(self.now)),
            "\" data-fixed>",
            (self.now.format("%Y-%m-%d %H:%M:%S UTC")),
            "</time>. Running since ",
        );
        html.time(self.board.started(), self.now);
        write_html!(
            html,
            " · sharekeeper ",
            (env!("CARGO_PKG_VERSION")),
            " · <a href=\"status.json",
            (self.query.on_page(0)),
            "\">JSON</a> · <a href=\"metrics\">metrics</a></p></footer>\n</main></body></html>\n"
        );
    }
}

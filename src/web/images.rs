//! The list of images, in groups that have the same reason, split into pages.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use super::badge::Badge;
use super::commands::Remedy;
use super::headline::{count_images, of_images};
use super::html::{Count, Html, write_html};
use super::overview;
use super::page::Page;
use super::pager::pager;
use super::query::{Query, ScopeText, Show};
use crate::model::{ImageId, ImageKey, Scope, ShareState};
use crate::plan::Withheld;
use crate::status::{Condition, ImageStatus, Reason, SyncState};

/// How many rows one page has.
pub(super) const ROWS_MAX: usize = 200;
/// Most rows of one group if several groups are listed, so that a guard that withholds 2,000 images does not hide the
/// other groups.
const GROUP_ROWS_MAX: usize = 8;
/// A group of up to this many images is shown with everything that is known of each.
const FULL_ROWS_MAX: usize = 5;

/// An image in the list.
pub(super) struct Row<'a> {
    pub(super) scope: &'a Scope,
    pub(super) id: &'a ImageId,
    pub(super) image: &'a ImageStatus,
    /// The position of its cause, if that cause also holds up other images.
    pub(super) cause: Option<usize>,
}

impl<'a> Page<'a> {
    /// Shows the list of images, grouped by what holds them up.
    pub(super) fn images(&self, html: &mut Html) {
        let mut rows = self.rows();
        let folded = self.show() == Show::Wrong && !self.query.is_narrow();
        let all = rows.len();
        if folded {
            rows.retain(|row| row.cause.is_none());
        }
        let groups = || rows.chunk_by(same_group);
        let shown = |group: &[Row<'_>]| match folded {
            true => group.len().min(GROUP_ROWS_MAX),
            false => group.len(),
        };
        let listed: usize = groups().map(shown).sum();
        self.heading(html, all);
        if all == 0 {
            return self.none(html);
        }
        if rows.len() < all {
            write_html!(
                html,
                "<p>",
                (Count(all - rows.len())),
                " of them are held up by <a href=\"#causes\">problems that affect many images</a>.</p>\n"
            );
        }
        if rows.is_empty() {
            return;
        }
        let first = self.query.page.saturating_mul(ROWS_MAX);
        html.markup("<div class=\"scroll\"><table class=\"cards images\"><caption class=\"hidden\">Images, by what holds \
                     them up</caption><thead><tr><th scope=\"col\">image</th><th scope=\"col\">account / region</th>\
                     <th scope=\"col\">wanted</th><th scope=\"col\">since</th>\
                     <th scope=\"col\">error</th><th scope=\"col\">manifest</th></tr></thead>\n");
        let (mut skip, mut room) = (first, ROWS_MAX);
        for group in groups() {
            let visible = &group[..shown(group)];
            let from = skip.min(visible.len());
            skip -= from;
            let part = &visible[from..visible.len().min(from + room)];
            if part.is_empty() {
                continue;
            }
            room -= part.len();
            self.group(html, group, part, from > 0);
        }
        html.markup("</table></div>\n");
        self.pager(html, listed);
    }

    fn rows(&self) -> Vec<Row<'a>> {
        let mut rows = self.rows_of(&Query {
            show: Some(self.show()),
            ..self.query.clone()
        });
        // A stable sort: within a group, the order of accounts, regions and ids is kept.
        rows.sort_by(by_group);
        rows
    }

    /// The images within the query, in the order of accounts, regions and ids.
    pub(super) fn rows_of(&self, asked: &Query) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        let one = asked.scope();
        let first = one.clone().map_or(Bound::Unbounded, Bound::Included);
        let scopes = self.board.scopes().range((first, Bound::Unbounded));
        let scopes = scopes.take_while(|(scope, _)| one.as_ref().is_none_or(|one| one == *scope));
        for (scope, status) in scopes.filter(|(scope, _)| asked.picks_scope(scope)) {
            let text = ScopeText::new(scope);
            let unseen = self.causes.of_unseen(scope, status);
            let images = status.images.iter();
            let picked = images.filter(|(id, image)| asked.picks(&text, id, image));
            rows.extend(picked.map(|(id, image)| Row {
                scope,
                id,
                image,
                cause: unseen.or_else(|| self.causes.of_image(scope, status, image)),
            }));
        }
        rows
    }

    fn heading(&self, html: &mut Html, count: usize) {
        let words = match (self.show(), self.query.is_narrow()) {
            (_, true) => "Found",
            (Show::Wrong, false) => "Not as desired",
            (Show::All | Show::Expiring, false) => "All images",
        };
        write_html!(html, "<h2>", (words), ": ", (Count(count)), "</h2>\n");
    }

    fn none(&self, html: &mut Html) {
        html.markup(match self.show() {
            _ if self.query.is_narrow() => {
                "<p>No image matches. A search looks at ids, names, blueprints, accounts, regions, reasons, messages, error \
                 codes, RequestIds and names of files.</p>\n"
            }
            Show::Wrong => "<p>= Nothing.</p>\n",
            Show::All | Show::Expiring => "<p>There are none.</p>\n",
        });
    }

    /// Shows images that have the same reason, which is written once above them.
    fn group(&self, html: &mut Html, group: &[Row<'_>], part: &[Row<'_>], goes_on: bool) {
        let Some(first @ Row { image, cause, .. }) = group.first() else {
            return;
        };
        let badge = Badge::of_image(image.sync_state(), image.desired);
        let distinct = count_images(group.iter().map(|row| (&row.scope.account, row.id)));
        write_html!(
            html,
            "<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"6\"><span class=\"",
            (badge.class),
            "\"><span class=\"sign\" aria-hidden=\"true\">",
            (badge.sign),
            "</span> ",
            (image.reason.as_str()),
            "</span> <span class=\"size\">",
            (of_images(group.len(), distinct)),
            (what_is_asked(image)),
            (if goes_on { ", continued" } else { "" }),
            "</span>"
        );
        if image.stalled.holds() {
            html.markup(match group.len() {
                1 => " <span class=\"person\">needs a person</span>",
                _ => " <span class=\"person\">need a person</span>",
            });
        }
        match *cause {
            _ if !self.is_told_above(first) => {
                write_html!(html, "<p class=\"message\">", (message(image)), "</p>");
                self.remedies(html, group);
            }
            Some(place) => {
                write_html!(
                    html,
                    " <a href=\"#cause-",
                    (place + 1),
                    "\">see the problem above</a>"
                );
            }
            None => html.markup(" <a href=\"#causes\">see the problem above</a>"),
        }
        html.markup("</th></tr>\n");
        let full = self.query.is_narrow() && group.len() <= FULL_ROWS_MAX;
        for row in part {
            self.row(html, row);
            if full {
                self.conditions(html, row.image);
            }
        }
        if !goes_on && group.len() > part.len() && part.len() == GROUP_ROWS_MAX {
            let all = self.query.showing(Some(Show::Wrong), Some(image.reason));
            write_html!(
                html,
                "<tr class=\"more\"><td colspan=\"6\"><a href=\"",
                (all),
                "\">all ",
                (of_images(group.len(), distinct)),
                "</a></td></tr>\n"
            );
        }
        html.markup("</tbody>\n");
    }

    /// Whether the top of the page already explains the image's problem. In a search for one image, the problem is shown
    /// beside it as well.
    fn is_told_above(&self, row: &Row<'_>) -> bool {
        let is_loss = || {
            let status = self.board.scopes().get(row.scope);
            let loss = status.and_then(|status| status.loss);
            let lost = loss.map(|loss| Withheld::Lost(row.scope.clone(), loss).to_string());
            row.image.reason == Reason::GuardTripped && lost.as_deref() == Some(message(row.image))
        };
        !self.query.is_narrow() && (row.cause.is_some() || is_loss())
    }

    /// Shows the commands that help with a group, with its first image as the example.
    fn remedies(&self, html: &mut Html, group: &[Row<'_>]) {
        let Some(Row {
            scope, id, image, ..
        }) = group.first()
        else {
            return;
        };
        if image.sync_state() == SyncState::InSync {
            return;
        }
        let message = message(image);
        let loss = self
            .board
            .scopes()
            .get(*scope)
            .and_then(|status| status.loss);
        match (image.reason, loss) {
            (Reason::Parked, _) => self.remedy(html, Remedy::Unpark(scope, id)),
            (Reason::GuardTripped, Some(loss)) => {
                self.remedy(html, Remedy::Accept(scope, loss.lost));
            }
            (Reason::NotOwned, _) if message == Withheld::Probable.to_string() => {
                self.remedy(html, Remedy::Adopt(scope, id));
            }
            _ => {}
        }
        self.remedy(html, Remedy::Explain(scope, id));
    }

    fn row(&self, html: &mut Html, row: &Row<'_>) {
        let Row {
            scope, id, image, ..
        } = row;
        html.markup("<tr>");
        image_cell(html, id, image);
        scope_cell(html, scope);
        let (wanted, cause) = match is_held(image) {
            true => ("as it is", "held"),
            false => (image.desired.as_str(), image.cause.as_str()),
        };
        write_html!(
            html,
            "<td data-label=\"wanted\">",
            (wanted),
            " <small>",
            (cause)
        );
        if let Some(until) = image.until {
            html.markup(", ends ");
            html.time(until, self.now);
        }
        match image.actual {
            Some(actual) if actual == image.desired => {}
            Some(actual) => write_html!(html, "; is ", (actual.as_str())),
            None => html.markup("; actual state unknown"),
        }
        if image.is_changed_outside() {
            html.markup("; changed by somebody else");
        }
        html.markup("</small>");
        html.markup("</td><td data-label=\"since\">");
        html.time(image.since(), self.now);
        let details = image.details.as_deref();
        match details.and_then(|details| details.next_try) {
            Some(at) if at > self.now => {
                html.markup(" <small>next try ");
                html.time(at, self.now);
                html.markup("</small></td>");
            }
            _ => html.markup("</td>"),
        }
        // An error that holds up many images is shown with its cause.
        let own = details.filter(|_| row.cause.is_none() || self.query.is_narrow());
        match own.filter(|t| t.code.is_some() || t.request_id.is_some()) {
            Some(details) => {
                html.markup("<td data-label=\"error\">");
                overview::reference(html, details.code.as_deref(), details.request_id.as_deref());
            }
            None => html.markup("<td class=\"none\">"),
        }
        html.markup("</td><td class=\"file\" data-label=\"manifest\">");
        match &image.source {
            Some(source) => html.name(source),
            None if is_held(image) => {}
            None => html.markup("no manifest names it"),
        }
        html.markup("</td></tr>\n");
    }

    fn conditions(&self, html: &mut Html, image: &ImageStatus) {
        html.markup("<tr class=\"more\"><td colspan=\"6\">Conditions: ");
        let mut condition = |name: &'static str, condition: Condition| {
            write_html!(
                html,
                (name),
                " <b>",
                (condition.status.as_str()),
                "</b> since "
            );
            html.time(condition.since, self.now);
            html.markup(" · ");
        };
        condition("Ready", image.ready);
        condition("Drifted", image.drifted);
        condition("Stalled", image.stalled);
        condition("Eligible", image.eligible);
        write_html!(
            html,
            "cause <b>",
            (image.cause.as_str()),
            "</b></td></tr>\n"
        );
    }

    /// Shows links to the pages beside this one.
    pub(super) fn pager(&self, html: &mut Html, listed: usize) {
        let pages = listed.div_ceil(ROWS_MAX);
        pager(html, "Pages", self.query.page, pages, |page| {
            self.query.on_page(page)
        });
    }
}

/// Shows an image with a link to everything that is known of it.
pub(super) fn image_cell(html: &mut Html, id: &ImageId, image: &ImageStatus) {
    let badge = Badge::of_image(image.sync_state(), image.desired);
    write_html!(
        html,
        "<th scope=\"row\" class=\"image\"><span class=\"",
        (badge.class),
        " sign\" aria-hidden=\"true\">",
        (badge.sign),
        "</span> "
    );
    image_link(html, id, image);
    if let Some(blueprint) = &image.blueprint {
        write_html!(html, " <small>", (blueprint), "</small>");
    }
    html.markup("</th>");
}

/// Shows the name and id of an image, with a link to everything that is known of it.
pub(super) fn image_link(html: &mut Html, id: &ImageId, image: &ImageStatus) {
    write_html!(html, "<a href=\"", (Query::of_image(id)), "\">");
    name_and_id(html, id, image.name.as_deref());
}

/// What the manifests ask for the images of a group; it is the same for all of them.
fn what_is_asked(image: &ImageStatus) -> &'static str {
    match (image.sync_state(), image.desired) {
        _ if is_held(image) => "",
        (SyncState::InSync, _) => "",
        (_, ShareState::Shared) => ", to be shared",
        (_, ShareState::Unshared) => ", to be cancelled",
    }
}

/// Shows the name of an image, and its id in small print; closes the link around the first of the two.
fn name_and_id(html: &mut Html, id: &ImageId, name: Option<&str>) {
    match name.filter(|name| *name != id.as_str()) {
        Some(name) => {
            html.name(name);
            write_html!(html, "</a> <small>", (id), "</small>");
        }
        None => {
            write_html!(html, (id), "</a>");
        }
    }
}

/// Shows the cell with the account and region of an image.
pub(super) fn scope_cell(html: &mut Html, scope: &Scope) {
    write_html!(
        html,
        "<td class=\"scope\" data-label=\"account / region\">",
        (scope.account),
        " / ",
        (scope.region),
        "</td>"
    );
}

/// Shows the cells of an image of which only the key, and perhaps the name, is at hand.
pub(super) fn key_cells(html: &mut Html, key: &ImageKey, name: Option<&str>) {
    write_html!(
        html,
        "<th scope=\"row\" class=\"image\"><a href=\"",
        (Query::of_image(&key.image)),
        "\">"
    );
    name_and_id(html, &key.image, name);
    html.markup("</th>");
    scope_cell(html, &key.scope);
}

/// Whether nothing is asked for the image until a person decides. An image that is asked for has a line of a manifest.
fn is_held(image: &ImageStatus) -> bool {
    image.source.is_none() && image.reason == Reason::Held
}

/// What holds the image up, with the remedy.
fn message(image: &ImageStatus) -> &str {
    match (&image.details, image.sync_state()) {
        (Some(details), _) => &details.message,
        (None, SyncState::Pending) => "a call is pending",
        (None, SyncState::InSync) => "as desired",
        (None, _) => "",
    }
}

fn same_group(a: &Row<'_>, b: &Row<'_>) -> bool {
    by_group(a, b) == Ordering::Equal
}

/// Sorts the most urgent first: images that need a person, then by sync state, reason and message.
fn by_group(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let rank = |row: &Row<'_>| {
        let image = row.image;
        let state = (!image.stalled.holds(), image.sync_state());
        (state, image.reason, image.desired, row.cause)
    };
    let order = rank(a).cmp(&rank(b));
    order.then_with(|| match (&a.image.details, &b.image.details) {
        // The texts of these messages name regions and images; the cause has the message without them.
        _ if a.cause.is_some() => Ordering::Equal,
        // Images of one plan share the text of a message, so comparing the pointers is mostly enough.
        (Some(a), Some(b)) if Arc::ptr_eq(&a.message, &b.message) => Ordering::Equal,
        _ => message(a.image).cmp(message(b.image)),
    })
}

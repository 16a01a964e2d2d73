//! Shows many accounts and regions as a grid: for each account its regions side by side, each with a sign and a word for
//! its status and a link to its own page. The grid wraps, so that it fits any width.

use super::badge::Badge;
use super::fleet::Counted;
use super::headline::{is_halted, is_unobserved};
use super::html::{Count, Html, write_html};
use super::overview::{SCOPE_ROWS_MAX, columns};
use super::page::Page;
use super::query::Query;
use crate::model::Scope;
use crate::status::{Counts, ScopeStatus};
use crate::words::thousands;

/// Up to this many accounts and regions fit into a table that a person can still take in.
const TABLE_ROWS_MAX: usize = 12;
/// With fewer regions per account, a row of cells would be mostly empty.
const REGIONS_MIN: usize = 3;

/// Whether these scopes are shown as a grid.
fn is_grid(scopes: &[Counted<'_>]) -> bool {
    let accounts = scopes.chunk_by(is_same_account).count();
    (TABLE_ROWS_MAX + 1..=SCOPE_ROWS_MAX).contains(&scopes.len())
        && scopes.len() >= REGIONS_MIN * accounts
}

impl Page<'_> {
    /// Writes one cell for each account and region, if they are suitable for a grid. Returns whether they are.
    pub(super) fn grid(&self, html: &mut Html, scopes: &[Counted<'_>]) -> bool {
        if !is_grid(scopes) {
            return false;
        }
        html.markup("<section id=\"scopes\"><h2>Accounts and regions</h2>\n");
        for account in scopes.chunk_by(is_same_account) {
            self.account_row(html, account);
        }
        html.markup("</section>\n");
        true
    }

    fn account_row(&self, html: &mut Html, regions: &[Counted<'_>]) {
        let Some((first, ..)) = regions.first() else {
            return;
        };
        let mut sum = Counts::default();
        regions.iter().for_each(|(_, _, counts)| sum += *counts);
        let within = Query {
            account: Some(first.account.clone()),
            region: self.query.region,
            ..self.query.within(None)
        };
        write_html!(
            html,
            "<h3><a href=\"",
            (within),
            "\">",
            (first.account),
            "</a> <small>"
        );
        let counts = columns(&sum).into_iter().filter(|(_, count)| *count > 0);
        for (position, (label, count)) in counts.enumerate() {
            let dot = if position > 0 { " · " } else { "" };
            write_html!(html, (dot), (Count(count)), " ", (label));
        }
        html.markup("</small></h3><ul class=\"cells\">");
        for (scope, status, counts) in regions {
            self.cell(html, scope, status, counts);
        }
        html.markup("</ul>\n");
    }

    fn cell(&self, html: &mut Html, scope: &Scope, status: &ScopeStatus, counts: &Counts) {
        let (badge, words) = standing(status, counts);
        write_html!(
            html,
            "<li><a href=\"",
            (self.query.within(Some(scope))),
            "\" class=\"",
            (badge.class),
            "\"><span class=\"sign\" aria-hidden=\"true\">",
            (badge.sign),
            "</span> ",
            (scope.region),
            " <small>",
            (words),
            "</small></a></li>"
        );
    }
}

fn is_same_account((a, ..): &Counted<'_>, (b, ..): &Counted<'_>) -> bool {
    a.account == b.account
}

/// The status of a scope in a few words: the most urgent fact about it.
fn standing(status: &ScopeStatus, counts: &Counts) -> (Badge, String) {
    let of = |count: usize, what: &str| format!("{} {what}", Count(count));
    if is_halted(status) {
        return (Badge::BAD, "given up".to_owned());
    }
    if is_unobserved(status) {
        return (Badge::BAD, "not seen".to_owned());
    }
    let (one, many) = ("needs a person", "need a person");
    let urgent = [
        (counts.stalled, Badge::BAD),
        (status.findings.len(), Badge::BAD),
    ];
    if let Some((count, badge)) = urgent.into_iter().find(|(count, _)| *count > 0) {
        return (badge, of(count, if count == 1 { one } else { many }));
    }
    if let Some(progress) = status.progress() {
        let (done, all) = (progress.acknowledged, progress.planned);
        let words = format!("{} of {} written", thousands(done), thousands(all));
        return (Badge::BUSY, words);
    }
    let rest = [
        (counts.blocked, "blocked", Badge::WARN),
        (counts.withheld, "withheld", Badge::WARN),
        (counts.unknown, "unknown", Badge::UNKNOWN),
        (counts.pending, "pending", Badge::BUSY),
        (counts.waiting, "waiting", Badge::BUSY),
    ];
    match rest.into_iter().find(|(count, ..)| *count > 0) {
        Some((count, what, badge)) => (badge, of(count, what)),
        None if status.view.is_none() => (Badge::BUSY, "not observed yet".to_owned()),
        None => (Badge::GOOD, of(counts.in_sync, "in sync")),
    }
}

//! The table of accounts and regions: counts, when each was last seen, and what it is doing.

use super::html::{ApproxDuration, Count, Html, write_html};
use super::page::Page;
use crate::model::Scope;
use crate::plan::View;
use crate::status::{Activity, Counts, ScopeStatus};

/// Rows of the table on one page. Up to so many accounts and regions are listed one by one.
pub(super) const SCOPE_ROWS_MAX: usize = 100;

/// Whether so many accounts and regions are too many to be listed one by one.
pub(super) fn is_folded(scopes: usize) -> bool {
    scopes > SCOPE_ROWS_MAX
}

/// What is counted of each scope, in the order of the columns.
pub(super) fn columns(counts: &Counts) -> [(&'static str, usize); 7] {
    [
        ("in sync", counts.in_sync),
        ("drifted", counts.drifted),
        ("pending", counts.pending),
        ("blocked", counts.blocked),
        ("withheld", counts.withheld),
        ("waiting", counts.waiting),
        ("unknown", counts.unknown),
    ]
}

impl Page<'_> {
    /// One row for each account and region; of many, only for those that matter.
    pub(super) fn overview(&self, html: &mut Html) {
        let scopes: Vec<_> = self.scopes().collect();
        let is_folded = is_folded(scopes.len());
        html.markup(
            "<div class=\"scroll\" id=\"scopes\"><table class=\"cards\"><caption>Accounts and regions \
             <small>Drifted: seen in another state than desired, and counted in one of the next columns, too.",
        );
        if is_folded {
            html.markup(
                " What needs a person or is changing comes first; where all is as desired, the regions of an \
                 account are added up.",
            );
        }
        html.markup("</small></caption><thead><tr><th scope=\"col\">Account / region</th>");
        for (label, _) in columns(&self.total) {
            write_html!(html, "<th scope=\"col\" class=\"n\">", (label), "</th>");
        }
        html.markup(
            "<th scope=\"col\">last seen</th><th scope=\"col\">next look</th>\
             <th scope=\"col\">activity</th></tr></thead><tbody>\n",
        );
        let rows = match is_folded {
            true => self.folded_scopes(html, &scopes),
            false => {
                for (scope, status, counts) in &scopes {
                    self.scope(html, scope, status, counts);
                }
                scopes.len()
            }
        };
        if scopes.is_empty() {
            html.markup("<tr><td colspan=\"11\">None.</td></tr>");
        }
        html.markup("</tbody>");
        if scopes.len() > 1 {
            let mut sum = Counts::default();
            scopes.iter().for_each(|(_, _, counts)| sum += *counts);
            html.markup("<tfoot><tr><th scope=\"row\">All of these</th>");
            numbers(html, &sum);
            html.markup("<td class=\"none\" colspan=\"3\"></td></tr></tfoot>");
        }
        html.markup("</table></div>\n");
        if is_folded {
            self.scopes_pager(html, rows);
        }
    }

    pub(super) fn scope(
        &self,
        html: &mut Html,
        scope: &Scope,
        status: &ScopeStatus,
        counts: &Counts,
    ) {
        write_html!(
            html,
            "<tr><th scope=\"row\" class=\"scope\"><a href=\"",
            (self.query.within(Some(scope))),
            "\">",
            (scope.account),
            " / ",
            (scope.region),
            "</a></th>"
        );
        numbers(html, counts);
        html.markup("<td data-label=\"last seen\">");
        if matches!(status.view, Some(View::Unobserved(_) | View::ReadDenied(_))) {
            html.markup("<span class=\"bad\">! not seen</span>, last ");
        }
        match status.seen_at {
            Some(at) => html.time(at, self.now),
            None => html.markup("never"),
        }
        html.markup("</td><td data-label=\"next look\">");
        match &status.activity {
            Activity::Idle { next } if *next > self.now => html.time(*next, self.now),
            Activity::Idle { .. } | Activity::New => html.markup("due"),
            Activity::Running { .. } => html.markup("under way"),
            Activity::Halted { .. } => html.markup("none"),
        }
        html.markup("</td><td data-label=\"activity\">");
        self.activity(html, scope, status);
        html.markup("</td></tr>\n");
    }

    fn activity(&self, html: &mut Html, scope: &Scope, status: &ScopeStatus) {
        match &status.activity {
            Activity::New => html.markup("waits for its first look"),
            Activity::Idle { .. } => html.markup("resting"),
            Activity::Halted { .. } => html.markup("<span class=\"bad\">! given up</span>"),
            Activity::Running { since, answered } => {
                html.markup("working since ");
                html.time(*since, self.now);
                if *answered > 0 {
                    let writes = if *answered == 1 { " write" } else { " writes" };
                    write_html!(html, ", ", (answered), (writes), " answered");
                }
                if let Some(reading) = &status.reads.waits {
                    write_html!(html, "; waits for its turn to read: ", (reading));
                }
            }
        }
        let pending = |scope: &Scope| self.counts.get(scope).map_or(0, |counts| counts.pending);
        if let Some(eta) = self.board.eta(scope, pending) {
            write_html!(html, "; pending takes ", (ApproxDuration(eta)));
        }
        let Some(bucket) = status.write_bucket.as_ref() else {
            return;
        };
        if pending(scope) > 0 {
            write_html!(
                html,
                " <small>at ",
                (format_args!("{:.0}", bucket.per_second)),
                " writes a second through ",
                (bucket.host),
                "</small>"
            );
        }
    }
}

pub(super) fn numbers(html: &mut Html, counts: &Counts) {
    for (label, count) in columns(counts) {
        let class = match (label, count) {
            (_, 0) => "n zero",
            ("blocked", _) => "n bad",
            ("drifted" | "withheld" | "unknown", _) => "n warn",
            _ => "n",
        };
        write_html!(
            html,
            "<td class=\"",
            (class),
            "\" data-label=\"",
            (label),
            "\">",
            (Count(count)),
            "</td>"
        );
    }
}

/// What the vendor's support asks for.
pub(super) fn reference(html: &mut Html, code: Option<&str>, request_id: Option<&str>) {
    if let Some(code) = code {
        write_html!(html, "<code>", (code), "</code>");
    }
    if let Some(id) = request_id {
        write_html!(
            html,
            " <span class=\"id\">RequestId <code>",
            (id),
            "</code></span>"
        );
    }
}

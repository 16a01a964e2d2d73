//! The table of accounts and regions: the counts, when each was last seen, and what it is doing.

use super::html::{ApproxDuration, Count, Html, write_html};
use super::page::Page;
use crate::model::Scope;
use crate::plan::View;
use crate::status::{Activity, Counts, ScopeStatus};
use crate::words::thousands;

/// How many rows the table has on one page. Up to this many accounts and regions are listed one by one.
pub(super) const SCOPE_ROWS_MAX: usize = 100;

/// Whether there are too many accounts and regions to list them one by one.
pub(super) fn is_folded(scopes: usize) -> bool {
    scopes > SCOPE_ROWS_MAX
}

/// The counts of a scope, in the order in which they are shown.
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
    /// Shows each account and region as a table; many are shown as a grid, and if there are even more, only those that
    /// matter.
    pub(super) fn overview(&self, html: &mut Html) {
        let scopes: Vec<_> = self.scopes().collect();
        if self.grid(html, &scopes) {
            return;
        }
        let is_folded = is_folded(scopes.len());
        html.markup(
            "<div class=\"scroll\" id=\"scopes\"><table class=\"cards scopes\"><caption>Accounts and regions \
             <small>Drifted: seen in another state than desired; such images also count in another column.",
        );
        if is_folded {
            html.markup(
                " Those that need a person or are changing come first; where everything is as desired, the regions of an \
                 account are added up.",
            );
        }
        html.markup(
            "</small></caption><thead><tr><th scope=\"col\">account / region</th>\
             <th scope=\"col\">images</th><th scope=\"col\">last seen</th><th scope=\"col\">next observation</th>\
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
            html.markup("<tr><td colspan=\"5\">None.</td></tr>");
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
        html.markup("</td><td data-label=\"next observation\">");
        match &status.activity {
            Activity::Idle { next } if *next > self.now => html.time(*next, self.now),
            Activity::Idle { .. } | Activity::New => html.markup("due"),
            Activity::Running { .. } => html.markup("under way"),
            Activity::Halted { .. } => html.markup("none"),
        }
        html.markup("</td><td data-label=\"activity\"><span class=\"doing\">");
        self.doing(html, status);
        html.markup("</span>");
        self.course(html, scope, status);
        html.markup("</td></tr>\n");
    }

    /// Shows what a scope is doing, in few enough words for one line.
    fn doing(&self, html: &mut Html, status: &ScopeStatus) {
        match (&status.activity, status.progress()) {
            (Activity::New, _) => html.markup("waits for its first observation"),
            (Activity::Idle { .. }, _) => html.markup("resting"),
            (Activity::Halted { .. }, _) => {
                html.markup("<span class=\"bad\">! given up</span>");
            }
            (Activity::Running { .. }, Some(progress)) => {
                write_html!(
                    html,
                    (thousands(progress.acknowledged)),
                    " of ",
                    (thousands(progress.planned)),
                    " written"
                );
            }
            (Activity::Running { since, .. }, None) => {
                html.markup("working since ");
                html.time(*since, self.now);
            }
        }
    }

    /// Shows the progress of the pass, and how long the pending changes will take.
    fn course(&self, html: &mut Html, scope: &Scope, status: &ScopeStatus) {
        if let Activity::Running {
            since, answered, ..
        } = &status.activity
        {
            match status.progress() {
                Some(_) => {
                    html.markup(" <small>since ");
                    html.time(*since, self.now);
                    html.markup("</small>");
                }
                None if *answered > 0 => {
                    let writes = if *answered == 1 { " write" } else { " writes" };
                    write_html!(html, " <small>", (answered), (writes), " answered</small>");
                }
                None => {}
            }
            if let Some(reading) = &status.reads.waits {
                write_html!(
                    html,
                    " <small>waits for its turn to read: ",
                    (reading),
                    "</small>"
                );
            }
        }
        let ahead = |scope: &Scope| {
            let status = self.board.scopes().get(scope);
            let counts = self.counts.get(scope);
            let both = status.zip(counts);
            both.map_or(0, |(status, counts)| status.writes_ahead(counts))
        };
        let Some(eta) = self.board.eta(scope, ahead) else {
            return;
        };
        write_html!(html, " <small>pending takes ", (ApproxDuration(eta)));
        if let Some(bucket) = &status.write_bucket {
            write_html!(
                html,
                ", at ",
                (format_args!("{:.0}", bucket.per_second)),
                " writes a second through ",
                (bucket.host)
            );
        }
        html.markup("</small>");
    }
}

/// Shows the cell with the counts that are not zero.
pub(super) fn numbers(html: &mut Html, counts: &Counts) {
    html.markup("<td data-label=\"images\">");
    let counts = columns(counts).into_iter().filter(|(_, count)| *count > 0);
    let mut is_first = true;
    for (label, count) in counts {
        if !is_first {
            html.markup(", ");
        }
        is_first = false;
        let class = match label {
            "blocked" => "bad",
            "drifted" | "withheld" | "unknown" => "warn",
            _ => "n",
        };
        write_html!(
            html,
            "<span class=\"",
            (class),
            "\"><b>",
            (Count(count)),
            "</b> ",
            (label),
            "</span>"
        );
    }
    if is_first {
        html.markup("none");
    }
    html.markup("</td>");
}

/// Shows the codes that the vendor's support asks for.
pub(super) fn reference(html: &mut Html, code: Option<&str>, request_id: Option<&str>) {
    if let Some(code) = code {
        html.markup("<code>");
        html.name(code);
        html.markup("</code>");
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

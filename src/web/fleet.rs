//! The table of accounts and regions if there are many: scopes that need a person or are changing have their own rows and
//! come first; the rest is summed up by account. The table is split into pages.

use super::headline::{is_halted, is_unobserved};
use super::html::{Count, Html, write_html};
use super::overview::{SCOPE_ROWS_MAX, numbers};
use super::page::Page;
use super::pager::pager;
use super::query::Query;
use crate::model::{AccountName, Scope, Timestamp};
use crate::status::{Activity, Counts, ScopeStatus};
use crate::words::plural;

/// A scope, its status and the counts of its images.
pub(super) type Counted<'a> = (&'a Scope, &'a ScopeStatus, Counts);

/// The scopes of one account in which everything is as desired, or of which nothing is known yet.
struct Account<'a> {
    name: &'a AccountName,
    scopes: usize,
    counts: Counts,
    /// When they were last seen; of several, the scope seen longest ago counts.
    seen_at: Option<Timestamp>,
    never_seen: usize,
    /// When the first of them will be looked at again.
    next: Option<Timestamp>,
    working: usize,
}

/// How urgent it is to look at a scope, the most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Person,
    Changing,
    Rest,
}

impl Page<'_> {
    /// Writes the rows of one page. Returns the number of rows on all pages.
    pub(super) fn folded_scopes(&self, html: &mut Html, scopes: &[Counted<'_>]) -> usize {
        let mut urgent: Vec<_> = scopes
            .iter()
            .filter(|one| urgency(one) < Urgency::Rest)
            .collect();
        // A stable sort keeps the order of accounts and regions otherwise.
        urgent.sort_by_key(|one| urgency(one));
        let accounts = accounts(scopes.iter().filter(|one| urgency(one) == Urgency::Rest));
        let first = self.query.scopes_page.saturating_mul(SCOPE_ROWS_MAX);
        for (scope, status, counts) in urgent.iter().skip(first).take(SCOPE_ROWS_MAX) {
            self.scope(html, scope, status, counts);
        }
        let listed = urgent.len().saturating_sub(first).min(SCOPE_ROWS_MAX);
        let skipped = first.saturating_sub(urgent.len());
        for account in accounts.iter().skip(skipped).take(SCOPE_ROWS_MAX - listed) {
            self.account(html, account);
        }
        urgent.len() + accounts.len()
    }

    /// Writes links to the other pages of the table.
    pub(super) fn scopes_pager(&self, html: &mut Html, rows: usize) {
        let at = |page| Query {
            scopes_page: page,
            ..self.query.clone()
        };
        let pages = rows.div_ceil(SCOPE_ROWS_MAX);
        pager(
            html,
            "Accounts and regions",
            self.query.scopes_page,
            pages,
            at,
        );
    }

    fn account(&self, html: &mut Html, account: &Account<'_>) {
        let within = Query {
            account: Some(account.name.clone()),
            page: 0,
            scopes_page: 0,
            ..self.query.clone()
        };
        write_html!(
            html,
            "<tr><th scope=\"row\" class=\"scope\"><a href=\"",
            (within),
            "\">",
            (account.name.as_str()),
            "</a> <small>",
            (plural(account.scopes as u64, "region")),
            "</small></th>"
        );
        numbers(html, &account.counts);
        html.markup("<td data-label=\"last seen\">");
        match account.seen_at {
            Some(at) => html.time(at, self.now),
            None => html.markup("never"),
        }
        if account.never_seen > 0 && account.seen_at.is_some() {
            write_html!(
                html,
                " <small>",
                (Count(account.never_seen)),
                " never</small>"
            );
        }
        html.markup("</td><td data-label=\"next observation\">");
        match account.next {
            Some(next) if next > self.now => html.time(next, self.now),
            _ if account.working > 0 => html.markup("under way"),
            _ => html.markup("due"),
        }
        html.markup("</td><td data-label=\"activity\"><span class=\"doing\">");
        match account.working {
            0 if account.never_seen == account.scopes => {
                html.markup("waits for its first observation")
            }
            0 => html.markup("resting"),
            working => {
                write_html!(html, "working in ", (plural(working as u64, "region")));
            }
        }
        html.markup("</span></td></tr>\n");
    }
}

fn urgency((_, status, counts): &Counted<'_>) -> Urgency {
    let needs_a_person = counts.stalled > 0
        || !status.findings.is_empty()
        || status.loss.is_some()
        || status.is_stalled()
        || is_unobserved(status)
        || is_halted(status);
    if needs_a_person {
        Urgency::Person
    } else if counts.in_sync < counts.total() || !status.warnings.is_empty() {
        Urgency::Changing
    } else {
        Urgency::Rest
    }
}

/// Sums scopes up by account. They come in the order of accounts.
fn accounts<'a>(scopes: impl Iterator<Item = &'a Counted<'a>>) -> Vec<Account<'a>> {
    let mut accounts: Vec<Account<'a>> = Vec::new();
    for (scope, status, counts) in scopes {
        if accounts
            .last()
            .is_none_or(|last| *last.name != scope.account)
        {
            accounts.push(Account {
                name: &scope.account,
                scopes: 0,
                counts: Counts::default(),
                seen_at: None,
                never_seen: 0,
                next: None,
                working: 0,
            });
        }
        let Some(account) = accounts.last_mut() else {
            continue;
        };
        account.scopes += 1;
        account.counts += *counts;
        match status.seen_at {
            Some(at) => account.seen_at = Some(account.seen_at.map_or(at, |known| known.min(at))),
            None => account.never_seen += 1,
        }
        match &status.activity {
            Activity::Idle { next } => {
                account.next = Some(account.next.map_or(*next, |known| known.min(*next)));
            }
            Activity::Running { .. } => account.working += 1,
            Activity::New | Activity::Halted { .. } => {}
        }
    }
    accounts
}

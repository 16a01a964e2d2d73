//! The problems banner. It shows each cause that affects many images once, with its regions, remedy and images below it;
//! and each problem that a person must solve in accounts and regions once.

use std::collections::BTreeMap;

use super::commands::Remedy;
use super::headline::is_unobserved;
use super::html::{Count, Html, write_html};
use super::images::{Row, image_link};
use super::overview::reference;
use super::page::Page;
use super::query::{Query, Show};
use crate::inventory::UnexpectedLoss;
use crate::model::{Scope, ShareState};
use crate::plan::Withheld;
use crate::status::{Activity, Cause, CauseKind, Finding, ScopeStatus};

/// How many causes are shown. The document has all of them.
const CAUSES_MAX: usize = 20;
/// How many images are named below one cause.
const NAMED_MAX: usize = 20;
/// How many sentences about accounts and regions are shown; a longer page would not help.
const SENTENCES_MAX: usize = 100;
/// How many accounts and regions are named before one sentence.
const PLACES_MAX: usize = 8;

/// A sentence about accounts and regions. The order is by urgency; equal sentences are shown once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sentence<'a> {
    /// No further passes are run.
    Halted(&'a str),
    /// Many of our shares are no longer visible: how many are lost, and of how many.
    Lost(usize, usize),
    Finding {
        noun: &'static str,
        subject: &'a str,
        message: &'a str,
        source: Option<(&'a str, u32)>,
    },
    Warning(&'a str),
}

impl<'a> Sentence<'a> {
    fn of_finding(finding: &'a Finding) -> Self {
        Self::Finding {
            noun: finding.kind.noun(),
            subject: &finding.subject,
            message: &finding.message,
            source: finding
                .source
                .as_ref()
                .map(|source| (&*source.file, source.line)),
        }
    }

    fn all_of(status: &'a ScopeStatus) -> impl Iterator<Item = Self> {
        let halted = match &status.activity {
            Activity::Halted { why } => Some(Self::Halted(why)),
            _ => None,
        };
        let lost = status.loss.map(|loss| Self::Lost(loss.lost, loss.of));
        let findings = status.findings.iter().map(Self::of_finding);
        let warnings = status.warnings.iter().map(|line| Self::Warning(line));
        halted
            .into_iter()
            .chain(lost)
            .chain(findings)
            .chain(warnings)
    }
}

impl Page<'_> {
    /// Shows each cause, and the problems in accounts and regions that a person must solve.
    pub(super) fn causes_banner(&self, html: &mut Html) {
        let sentences = self.sentences();
        if self.causes.causes().is_empty() && sentences.is_empty() {
            return;
        }
        let scopes = self.board.scopes();
        let is_dark = !scopes.is_empty() && scopes.values().all(|status| is_unobserved(status));
        html.markup(match is_dark {
            true => "<section class=\"banner bad\" id=\"causes\"><h2>! No account or region can be read</h2><ul>",
            false => "<section class=\"banner warn\" id=\"causes\"><h2>! Problems</h2><ul>",
        });
        self.cause_items(html);
        for (sentence, places) in sentences.iter().take(SENTENCES_MAX) {
            self.sentence(html, *sentence, places);
        }
        html.end_list(sentences.len().saturating_sub(SENTENCES_MAX));
    }

    fn cause_items(&self, html: &mut Html) {
        let causes = self.causes.causes();
        // A stable sort: causes within the query first, otherwise in their own order.
        let mut order: Vec<_> = causes.iter().enumerate().collect();
        order.sort_by_key(|(_, cause)| !self.is_asked(cause));
        for (place, cause) in order.iter().take(CAUSES_MAX) {
            self.cause(html, *place, cause);
        }
        let rest = order.iter().skip(CAUSES_MAX);
        let held: u64 = rest.map(|(_, cause)| cause.images).sum();
        if causes.len() > CAUSES_MAX {
            write_html!(
                html,
                "<li>and ",
                (Count(causes.len() - CAUSES_MAX)),
                " more causes, which hold up ",
                (Count(usize::try_from(held).unwrap_or(usize::MAX))),
                " images; they come first among <a href=\"",
                (self.query.within(None)),
                "#scopes\">accounts and regions</a>, where each leads to its own page</li>"
            );
        }
    }

    fn is_asked(&self, cause: &Cause) -> bool {
        cause.regions.iter().any(|region| {
            self.query.picks_scope(&Scope {
                account: cause.account.clone(),
                region: *region,
            })
        })
    }

    fn cause(&self, html: &mut Html, place: usize, cause: &Cause) {
        write_html!(html, "<li id=\"cause-", (place + 1), "\"><b>");
        let mut regions = cause.regions.iter();
        match (regions.next(), cause.regions.len()) {
            (Some(region), 1) => {
                write_html!(html, (cause.account), "/", (region));
            }
            (_, n) => {
                write_html!(html, (cause.account), ", ", (n), " regions");
            }
        }
        write_html!(
            html,
            "</b>: ",
            (effect(cause.kind)),
            ": ",
            (cause.message),
            ". "
        );
        if let Some(remedy) = &cause.remedy {
            write_html!(html, "Remedy: ", (remedy), ". ");
        }
        let code = cause.code.as_deref();
        let untold = code.filter(|code| !cause.message.contains(code));
        reference(html, untold, cause.request_id.as_deref());
        self.last_seen(html, cause);
        if cause.regions.len() > 1 {
            html.markup("<br><small>");
            for (position, region) in cause.regions.iter().enumerate() {
                write_html!(html, (if position > 0 { ", " } else { "" }), (region));
            }
            html.markup("</small>");
        }
        html.markup("<br>");
        self.remedy(html, Remedy::Doctor(&cause.account));
        self.remedy(html, Remedy::Retry);
        let regions = cause.regions.iter();
        let rows = regions.flat_map(|region| {
            self.rows_of(&Query {
                account: Some(cause.account.clone()),
                region: Some(*region),
                ..Query::default()
            })
        });
        let rows: Vec<_> = rows.filter(|row| row.cause == Some(place)).collect();
        if !rows.is_empty() {
            held_up(html, place, cause, &rows);
        }
        html.markup("</li>");
    }

    /// Shows when the cause's unseen regions were last seen; of several, the region seen longest ago counts.
    fn last_seen(&self, html: &mut Html, cause: &Cause) {
        let scopes = cause.regions.iter().filter_map(|region| {
            self.board.scopes().get(&Scope {
                account: cause.account.clone(),
                region: *region,
            })
        });
        let unseen = scopes.filter(|status| is_unobserved(status));
        let Some(at) = unseen.map(|status| status.seen_at).min() else {
            return;
        };
        html.markup(" Last seen ");
        match at {
            Some(at) => html.time(at, self.now),
            None => html.markup("never"),
        }
        html.markup(".");
    }

    fn sentences(&self) -> BTreeMap<Sentence<'_>, Vec<&Scope>> {
        let mut said: BTreeMap<Sentence<'_>, Vec<&Scope>> = BTreeMap::new();
        for (scope, status) in self.board.scopes() {
            for sentence in Sentence::all_of(status) {
                said.entry(sentence).or_default().push(scope);
            }
        }
        for places in said.values_mut() {
            // A stable sort: scopes within the query come first.
            places.sort_by_key(|scope| !self.query.picks_scope(scope));
        }
        said
    }

    fn sentence(&self, html: &mut Html, sentence: Sentence<'_>, places: &[&Scope]) {
        html.markup("<li>");
        for (position, scope) in places.iter().take(PLACES_MAX).enumerate() {
            write_html!(
                html,
                (if position > 0 { ", " } else { "" }),
                "<b>",
                (scope),
                "</b>"
            );
        }
        if places.len() > PLACES_MAX {
            write_html!(html, " and ", (Count(places.len() - PLACES_MAX)), " more");
        }
        html.markup(": ");
        match sentence {
            Sentence::Halted(why) => {
                write_html!(
                    html,
                    "Given up until sharekeeper is restarted: ",
                    (why),
                    "."
                );
            }
            Sentence::Lost(lost, of) => self.lost(html, UnexpectedLoss { lost, of }, places),
            Sentence::Finding {
                noun,
                subject,
                message,
                source,
            } => {
                write_html!(html, (noun), " <b>", (subject), "</b>: ", (message));
                if let Some((file, line)) = source {
                    write_html!(html, " <small>", (file), ":", (line), "</small>");
                }
                html.markup(".");
            }
            Sentence::Warning(line) => write_html!(html, (line), "."),
        }
        html.markup("</li>\n");
    }

    fn lost(&self, html: &mut Html, loss: UnexpectedLoss, places: &[&Scope]) {
        let Some(first) = places.first() else {
            return;
        };
        write_html!(html, (Withheld::Lost((*first).clone(), loss)), ". ");
        for scope in places.iter().take(PLACES_MAX) {
            self.remedy(html, Remedy::Accept(scope, loss.lost));
        }
    }
}

/// Shows the images of a cause behind a disclosure: the number to share and the number to cancel separately.
fn held_up(html: &mut Html, place: usize, cause: &Cause, rows: &[Row<'_>]) {
    let of = |desired| rows.iter().filter(move |row| row.image.desired == desired);
    let (share, cancel) = (
        of(ShareState::Shared).count(),
        of(ShareState::Unshared).count(),
    );
    write_html!(html, "<details id=\"held-by-", (place + 1), "\"><summary>");
    for (position, (count, what)) in [(share, " to be shared"), (cancel, " to be cancelled")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .enumerate()
    {
        let and = if position > 0 { ", " } else { "" };
        write_html!(html, (and), (Count(count)), (what));
    }
    html.markup("</summary><ul class=\"names\">");
    let named = of(ShareState::Shared).chain(of(ShareState::Unshared));
    for row in named.take(NAMED_MAX) {
        html.markup("<li>");
        html.markup(match row.image.desired {
            ShareState::Shared => "+ ",
            ShareState::Unshared => "- ",
        });
        image_link(html, row.id, row.image);
        write_html!(html, " <small>", (row.scope.region), "</small></li>");
    }
    html.markup("</ul>");
    if rows.len() > NAMED_MAX {
        let all = Query {
            account: Some(cause.account.clone()),
            reason: rows.first().map(|row| row.image.reason),
            show: Some(Show::Wrong),
            ..Query::default()
        };
        write_html!(
            html,
            "<a href=\"",
            (all),
            "\">all images held up for this reason</a>"
        );
    }
    html.markup("</details>");
}

/// The effect of a cause on the images that it holds up.
const fn effect(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::AccountBroken => "The credentials do not work, so nothing is done",
        CauseKind::RoleMissing => "The service role is missing",
        CauseKind::PermissionMissing => "A permission is missing",
        CauseKind::RegionNotOffered => "Image sharing is not offered there",
        CauseKind::ReadDenied => "Changed without being read",
        CauseKind::NotSeen => "Not seen, so nothing is done",
        CauseKind::NotTried => "Nothing more is tried for now",
    }
}

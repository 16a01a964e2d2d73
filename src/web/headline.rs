//! The headline: everything in one line, which is the title of the page, too.

use std::collections::BTreeSet;

use super::badge::Badge;
use super::html::Count;
use crate::plan::View;
use crate::status::{Activity, Board, Counts, Holds, ScopeStatus};
use crate::words::plural;

/// Everything in one line.
pub(super) struct Headline {
    pub(super) badge: Badge,
    pub(super) text: String,
}

impl Headline {
    fn new(badge: Badge, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { badge, text }
    }

    /// The most urgent of what there is to say about the board, whose images are counted in `total`, and whether anything
    /// is held back.
    pub(super) fn of(board: &Board, total: &Counts) -> Self {
        let Self { badge, text } = Self::of_images(board, total);
        let Some(held) = held_back(board.holds()) else {
            return Self { badge, text };
        };
        let badge = match badge == Badge::BAD {
            true => badge,
            false => Badge::WARN,
        };
        Self::new(badge, format!("{text}; {held}"))
    }

    fn of_images(board: &Board, total: &Counts) -> Self {
        let images = total.total();
        let scopes = |is_one: fn(&ScopeStatus) -> bool| {
            let scopes = board.scopes().values();
            scopes.filter(|status| is_one(status)).count()
        };
        let (unobserved, halted) = (scopes(is_unobserved), scopes(is_halted));
        let all_in_sync = total.in_sync == images;
        let findings = board.findings();
        if board.state().lost.is_some() {
            let text = "Nothing is done: the state cannot be used any longer";
            Self::new(Badge::BAD, text)
        } else if let Some(headline) = without_images(board, images) {
            headline
        } else if total.stalled > 0 {
            let verb = if total.stalled == 1 { "needs" } else { "need" };
            let of = of_images(total.stalled, images);
            Self::new(Badge::BAD, format!("{of} {verb} a person"))
        } else if findings > 0 {
            let verb = if findings == 1 {
                "name or policy needs"
            } else {
                "names or policies need"
            };
            Self::new(Badge::BAD, format!("{} {verb} a person", Count(findings)))
        } else if halted > 0 {
            let of = of_scopes(halted, board);
            Self::new(Badge::BAD, format!("{of} given up after a fault"))
        } else if unobserved > 0 {
            let of = of_scopes(unobserved, board);
            Self::new(Badge::BAD, format!("{of} not seen"))
        } else if all_in_sync && board.manifests().broken_since.is_some() {
            let text = "The manifests cannot be used; all is as the last good ones ask";
            Self::new(Badge::BAD, text)
        } else if all_in_sync {
            let text = match images {
                1 => "The image is as desired".to_owned(),
                n => format!("All {} images are as desired", Count(n)),
            };
            Self::new(Badge::GOOD, text)
        } else {
            let of = of_images(total.in_sync, images);
            let (badge, rest) = Self::of_rest(board, total);
            Self::new(badge, format!("{of} as desired; {rest}"))
        }
    }
}

impl Headline {
    /// What becomes of images that are not as desired, where none needs a person.
    fn of_rest(board: &Board, total: &Counts) -> (Badge, String) {
        if board.observe_only() {
            let rest = "nothing is done about the rest: observe only";
            (Badge::WARN, rest.to_owned())
        } else if total.held > 0 {
            let verb = if total.held == 1 { "is" } else { "are" };
            let held = Count(total.held);
            let rest = format!("{held} {verb} held back until a person says otherwise");
            (Badge::WARN, rest)
        } else if total.blocked + total.withheld + total.unknown > 0 {
            (Badge::WARN, "no person is needed".to_owned())
        } else {
            (Badge::BUSY, "the rest is on its way".to_owned())
        }
    }
}

/// What people and windows hold back, in a few words.
fn held_back(holds: &Holds) -> Option<String> {
    let suspended = match &holds.suspensions[..] {
        [] => None,
        [one] => Some(format!("{} is suspended", one.selector)),
        all if all.iter().any(|one| one.selector.is_all()) => {
            Some("everything is suspended".into())
        }
        all => Some(format!("{} hold", plural(all.len() as u64, "suspension"))),
    };
    let accounts: BTreeSet<_> = holds.windows.iter().map(|one| &one.account).collect();
    let closed = match accounts.len() {
        0 => None,
        1 => Some("a change window is closed".to_owned()),
        n => Some(format!("change windows of {n} accounts are closed")),
    };
    let parts: Vec<_> = suspended.into_iter().chain(closed).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The headline while no image is known.
fn without_images(board: &Board, images: usize) -> Option<Headline> {
    if images > 0 {
        return None;
    }
    let manifests = board.manifests();
    let has_failed = |status: &ScopeStatus| {
        is_unobserved(status) || is_halted(status) || !status.findings.is_empty()
    };
    Some(match (manifests.loaded_at, manifests.broken_since) {
        (None, Some(_)) => Headline::new(
            Badge::BAD,
            "Nothing is worked on: the manifests cannot be used",
        ),
        (None, None) => Headline::new(Badge::BUSY, "No manifests have been read yet"),
        (Some(_), _) if board.scopes().values().any(|status| has_failed(status)) => return None,
        (Some(_), _) if manifests.images == 0 => {
            Headline::new(Badge::WARN, "No manifest names an image")
        }
        (Some(_), _) => Headline::new(Badge::BUSY, "Nothing has been looked at yet"),
    })
}

fn of_scopes(n: usize, board: &Board) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!(
        "{n} of {} {verb}",
        plural(board.scopes().len() as u64, "scope")
    )
}

fn of_images(n: usize, of: usize) -> String {
    let s = if of == 1 { "" } else { "s" };
    format!("{} of {} image{s}", Count(n), Count(of))
}

pub(super) fn is_unobserved(status: &ScopeStatus) -> bool {
    matches!(status.view, Some(View::Unobserved(_)))
}

pub(super) fn is_halted(status: &ScopeStatus) -> bool {
    matches!(status.activity, Activity::Halted { .. })
}

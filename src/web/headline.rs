//! The headline: the status of everything in one line, which is also the title of the page.

use std::collections::{BTreeSet, HashSet};

use super::badge::Badge;
use super::html::Count;
use crate::model::{AccountName, ImageId};
use crate::plan::View;
use crate::status::{Activity, Board, Counts, Holds, Progress, ScopeStatus};
use crate::words::{plural, thousands};

/// The status of everything in one line.
pub(super) struct Headline {
    pub(super) badge: Badge,
    pub(super) text: String,
}

impl Headline {
    fn new(badge: Badge, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { badge, text }
    }

    /// The most urgent fact about the board, and whether anything is held back. `total` counts an image once in every
    /// region; `images` is the number of images.
    pub(super) fn of(board: &Board, total: &Counts, images: usize) -> Self {
        let Self { badge, mut text } = Self::of_shares(board, total, images);
        let Progress {
            acknowledged,
            planned,
        } = board.progress();
        if planned > 0 {
            let (done, all) = (thousands(acknowledged), thousands(planned));
            let changes = if planned == 1 { "change" } else { "changes" };
            text.push_str(&format!("; {done} of {all} {changes} written"));
        }
        let Some(held) = held_back(board.holds()) else {
            return Self { badge, text };
        };
        let badge = match badge == Badge::BAD {
            true => badge,
            false => Badge::WARN,
        };
        Self::new(badge, format!("{text}; {held}"))
    }

    fn of_shares(board: &Board, total: &Counts, images: usize) -> Self {
        let shares = total.total();
        let scopes = |is_one: fn(&ScopeStatus) -> bool| {
            let scopes = board.scopes().values();
            scopes.filter(|status| is_one(status)).count()
        };
        let (unobserved, halted) = (scopes(is_unobserved), scopes(is_halted));
        let all_in_sync = total.in_sync == shares;
        let findings = board.findings();
        let awaited = board.awaiting_first_observation(|_| true);
        if board.state().lost.is_some() {
            let text = "Nothing is done: the state cannot be used any longer";
            Self::new(Badge::BAD, text)
        } else if let Some(headline) = without_images(board, shares) {
            headline
        } else if total.stalled > 0 {
            let verb = if total.stalled == 1 { "needs" } else { "need" };
            let of = of_all(total.stalled, shares, images);
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
            let text = "The manifests cannot be used; everything is as the last good ones ask";
            Self::new(Badge::BAD, text)
        } else if all_in_sync && awaited > 0 {
            let of = of_all(shares, shares, images);
            let scopes = plural(board.scopes().len() as u64, "scope");
            let text = format!("{of} as desired; {awaited} of {scopes} not observed yet");
            Self::new(Badge::BUSY, text)
        } else if all_in_sync {
            let text = match (shares, of_images(shares, images)) {
                (1, _) => "The image is as desired".to_owned(),
                (_, all) => format!("All {all} are as desired"),
            };
            Self::new(Badge::GOOD, text)
        } else {
            let of = of_all(total.in_sync, shares, images);
            let (badge, rest) = Self::of_rest(board, total);
            // The progress says more than "on its way".
            let is_told = badge == Badge::BUSY && board.progress().planned > 0;
            let rest = match is_told {
                true => String::new(),
                false => format!("; {rest}"),
            };
            Self::new(badge, format!("{of} as desired{rest}"))
        }
    }
}

impl Headline {
    /// What will happen to images that are not as desired, if none of them needs a person.
    fn of_rest(board: &Board, total: &Counts) -> (Badge, String) {
        if board.observe_only() {
            let rest = "nothing is done about the rest: observe only";
            (Badge::WARN, rest.to_owned())
        } else if total.held > 0 {
            let verb = if total.held == 1 { "is" } else { "are" };
            let held = Count(total.held);
            let rest = format!("{held} {verb} withheld until a person changes that");
            (Badge::WARN, rest)
        } else if total.blocked + total.withheld + total.unknown > 0 {
            (Badge::WARN, "no person is needed".to_owned())
        } else {
            (Badge::BUSY, "the rest is on its way".to_owned())
        }
    }
}

/// What suspensions and windows hold back, in a few words.
fn held_back(holds: &Holds) -> Option<String> {
    let suspended = match &holds.suspensions[..] {
        [] => None,
        [one] => Some(format!("{} is suspended", one.selector)),
        all if all.iter().any(|one| one.selector.is_all()) => {
            Some("everything is suspended".into())
        }
        all => Some(format!(
            "{} in force",
            plural(all.len() as u64, "suspension")
        )),
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
    let awaited = board.awaiting_first_observation(|_| true);
    let has_failed = |status: &ScopeStatus| {
        is_unobserved(status) || is_halted(status) || !status.findings.is_empty()
    };
    Some(match (manifests.loaded_at, manifests.broken_since) {
        (None, Some(_)) => {
            Headline::new(Badge::BAD, "No work is done: the manifests cannot be used")
        }
        (None, None) => Headline::new(Badge::BUSY, "No manifests have been read yet"),
        (Some(_), _) if board.scopes().values().any(|status| has_failed(status)) => return None,
        (Some(_), _) if manifests.images + manifests.policies == 0 => {
            Headline::new(Badge::WARN, "No manifest names an image")
        }
        (Some(_), _) => match (awaited, board.scopes().len()) {
            (0, 1..) => Headline::new(Badge::WARN, "No image is named or selected"),
            (awaited, all) if awaited == all => {
                Headline::new(Badge::BUSY, "Nothing has been observed yet")
            }
            (awaited, all) => {
                let scopes = plural(all as u64, "scope");
                let text = format!("{awaited} of {scopes} not observed yet");
                Headline::new(Badge::BUSY, text)
            }
        },
    })
}

fn of_scopes(n: usize, board: &Board) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!(
        "{n} of {} {verb}",
        plural(board.scopes().len() as u64, "scope")
    )
}

/// Writes a number of all shares in words.
fn of_all(n: usize, shares: usize, images: usize) -> String {
    format!("{} of {}", Count(n), of_images(shares, images))
}

/// Writes `4 images`; or `12 shares of 4 images` if some are shared in several regions and so counted in each of them.
pub(super) fn of_images(shares: usize, images: usize) -> String {
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let named = format!("{} image{}", Count(images), s(images));
    match shares == images {
        true => named,
        false => format!("{} share{} of {named}", Count(shares), s(shares)),
    }
}

/// Counts the images, each once however many regions it is shared in.
pub(super) fn count_images<'a>(
    images: impl Iterator<Item = (&'a AccountName, &'a ImageId)>,
) -> usize {
    images.collect::<HashSet<_>>().len()
}

pub(super) fn is_unobserved(status: &ScopeStatus) -> bool {
    matches!(status.view, Some(View::Unobserved(_)))
}

pub(super) fn is_halted(status: &ScopeStatus) -> bool {
    matches!(status.activity, Activity::Halted { .. })
}

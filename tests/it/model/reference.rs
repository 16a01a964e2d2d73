//! What is to happen to each image of a scope, by the contract: in plain enums, and sharing nothing with the planner but
//! the words for a cause.

use sharekeeper::model::Cause;

/// What the manifests say of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Shared,
    Unshared,
    /// `shared`, `until` a time that has passed.
    Expired,
    /// `shared`, `until` a time that has passed by one of the two clocks.
    Contested,
    /// No manifest names it.
    Nothing,
}

/// Whose share it is, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    No,
    /// The API acknowledged our SHARE.
    Proven,
    /// Its answer was lost.
    Probable,
    /// It was ours, and now shows as another blueprint.
    Disputed,
}

/// Whether servers can be started from what an image is shared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Usable,
    Syncing,
    /// Not, until a person acts.
    Failed,
}

/// All that matters about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) want: Want,
    pub(crate) shared: bool,
    pub(crate) own: Own,
    /// An observation has shown it as ours, and we have not cancelled it since.
    pub(crate) settled: bool,
    /// The manifest says so; for one that no manifest names, the last one that did.
    pub(crate) protected: bool,
    pub(crate) suspended: bool,
    pub(crate) parked: bool,
    /// What it is shared as, where it is.
    pub(crate) shows: Shows,
    /// Another account's, or deleted: what it is shared as can be cancelled by nobody here.
    pub(crate) foreign: bool,
    /// An instance was started from what it is shared as.
    pub(crate) in_use: bool,
    /// Whether our write of a moment ago shared it, if there was one: the API said that it is done.
    pub(crate) written: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prune {
    None,
    Owned,
    Exclusive,
}

/// All that matters about the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The whole scope was read.
    pub(crate) seen: bool,
    pub(crate) prune: Prune,
    pub(crate) max_cancels: usize,
    pub(crate) percent: usize,
    pub(crate) accept_lost: usize,
    pub(crate) shares_only: bool,
    /// A loss was noticed only a moment ago.
    pub(crate) loss_is_new: bool,
    /// Nobody knows what instances use.
    pub(crate) uses_unknown: bool,
}

/// Why a change is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Protected,
    ProtectedBefore,
    Partial,
    Suspended,
    Parked,
    Probable,
    Disputed,
    Lost,
    TooMany,
    Clocks,
    InUse,
    /// It may be in use.
    UseUnknown,
}

/// What is to happen to one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is none of our business.
    Nothing,
    InSync,
    /// Shared as it should be, and not ready yet.
    Pending,
    /// Shared as it should be, and of no use.
    Blocked,
    /// What we wrote a moment ago does not show yet.
    Await,
    Share,
    Cancel(Cause),
    Withheld(Why),
    /// Look again, the loss may be a bad reply.
    LookAgain,
    Unobserved,
}

/// A reason, whether a SHARE is withheld for it too, and when it holds.
type Reason = (Why, bool, fn(&Rules, &Image) -> bool);

/// Reasons that concern one image, in the order in which they are told.
const REASONS: [Reason; 9] = [
    (Why::Protected, false, |_, i| i.protected && named(i)),
    (Why::ProtectedBefore, false, |_, i| i.protected && !named(i)),
    (Why::Partial, false, |rules, _| rules.shares_only),
    (Why::Probable, false, |rules, i| {
        !named(i) && rules.prune == Prune::Owned && i.own == Own::Probable
    }),
    (Why::Disputed, false, |rules, i| {
        !named(i) && rules.prune == Prune::Owned && i.own == Own::Disputed
    }),
    (Why::Suspended, true, |_, i| i.suspended),
    (Why::Parked, true, |_, i| i.parked),
    (Why::UseUnknown, false, |rules, i| {
        rules.uses_unknown && i.want != Want::Unshared
    }),
    // Whoever writes that it is unshared sees what that does; a date that comes, nobody sees.
    (Why::InUse, false, |rules, i| {
        !rules.uses_unknown && i.in_use && i.want != Want::Unshared
    }),
];

pub(crate) fn named(image: &Image) -> bool {
    image.want != Want::Nothing
}

fn ours(image: &Image) -> bool {
    image.own != Own::No
}

fn should_be_there(image: &Image) -> bool {
    image.settled && matches!(image.want, Want::Shared | Want::Nothing | Want::Contested)
}

/// Rules of one image: what it should be, whether anything licenses a change, and what forbids it.
fn alone(rules: &Rules, image: &Image) -> Expected {
    let licensed = match rules.prune {
        Prune::None => false,
        _ if image.foreign => false,
        Prune::Owned => ours(image),
        Prune::Exclusive => true,
    };
    let (share, cause) = match image.want {
        Want::Shared => (true, Cause::Declared),
        Want::Unshared => (false, Cause::Declared),
        Want::Expired => (false, Cause::Expired),
        Want::Contested if rules.seen => return Expected::Withheld(Why::Clocks),
        Want::Contested => return Expected::Unobserved,
        // It is shared by all that is known, whatever the look shows.
        Want::Nothing
            if rules.seen && licensed && (image.shared || image.written == Some(true)) =>
        {
            (false, Cause::Pruned)
        }
        Want::Nothing => return Expected::Nothing,
    };
    if !rules.seen {
        return Expected::Unobserved;
    }
    if image.written.is_some_and(|shared| shared != image.shared) {
        return Expected::Await;
    }
    match image.shows {
        _ if share != image.shared => {}
        Shows::Syncing if share => return Expected::Pending,
        Shows::Failed if share => return Expected::Blocked,
        _ => return Expected::InSync,
    }
    let forbids = |(_, shares_too, holds): &&Reason| (*shares_too || !share) && holds(rules, image);
    match REASONS.iter().find(forbids) {
        Some((why, ..)) => Expected::Withheld(*why),
        None if share => Expected::Share,
        None => Expected::Cancel(cause),
    }
}

/// Percentages and losses are not judged of fewer images than this.
const FEW: usize = 10;

/// Rules of one image, then those of the scope: a loss withholds CANCEL, and where there is enough to lose, SHARE;
/// then a cap that would be exceeded withholds every CANCEL.
pub(crate) fn expected(rules: &Rules, images: &[Image], all: &mut Vec<Expected>) {
    all.clear();
    all.extend(images.iter().map(|image| alone(rules, image)));
    if !rules.seen {
        return;
    }
    let count = |which: fn(&Image) -> bool| images.iter().filter(|image| which(image)).count();
    let should_be = count(should_be_there);
    let lost = count(|image| should_be_there(image) && !image.shared);
    if lost >= 2 && lost * 4 > should_be && lost != rules.accept_lost {
        let held = match rules.loss_is_new {
            true => Expected::LookAgain,
            false => Expected::Withheld(Why::Lost),
        };
        for one in all.iter_mut() {
            match one {
                Expected::Cancel(_) => *one = held,
                Expected::Share if should_be >= FEW => *one = held,
                _ => {}
            }
        }
    }
    // What a person asks to wait is counted, too: it will not wait for ever.
    let waits = |(one, image): (&Expected, &Image)| {
        *one == Expected::Withheld(Why::Suspended) && image.shared && image.want != Want::Shared
    };
    let waiting: Vec<_> = all.iter().zip(images).map(waits).collect();
    let pruned = all
        .iter()
        .zip(images)
        .zip(&waiting)
        .filter(|((one, image), waits)| {
            **one == Expected::Cancel(Cause::Pruned) || **waits && !named(image)
        });
    let pruned = pruned.count();
    let of = match rules.prune {
        Prune::Exclusive => count(|i| i.shared && !i.foreign),
        Prune::Owned | Prune::None => count(|i| i.settled),
    };
    if pruned > rules.max_cancels || (of >= FEW && pruned * 100 > of * rules.percent) {
        for (one, waits) in all.iter_mut().zip(waiting) {
            if matches!(one, Expected::Cancel(_)) || waits {
                *one = Expected::Withheld(Why::TooMany);
            }
        }
    }
}

//! The reference model of the planner: it decides from the contract what happens to each image of a scope. It uses
//! plain enums and shares no code with the planner except the type of a cause.

use sharekeeper::model::Cause;

/// The desired state that the manifests give an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Shared,
    Unshared,
    /// The desired state is `shared` with an `until` that has passed.
    Expired,
    /// The desired state is `shared` with an `until` that has passed by only one of the two clocks.
    Contested,
    /// No manifest names the image.
    Nothing,
}

/// Whether the share is ours, or was, and how certain this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    No,
    /// The API acknowledged our SHARE.
    Proven,
    /// The answer to our SHARE was lost.
    Probable,
    /// The share was ours, and the image now shows another blueprint.
    Disputed,
}

/// Whether servers can be started from the blueprint of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Usable,
    Syncing,
    /// No server can be started from it until a person acts.
    Failed,
}

/// Everything about one image that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) want: Want,
    pub(crate) shared: bool,
    pub(crate) own: Own,
    /// An observation showed the image as our share, and we have not cancelled it since then.
    pub(crate) settled: bool,
    /// Whether the manifest protects the image. If no manifest names it now, the last manifest that named it counts.
    pub(crate) protected: bool,
    pub(crate) suspended: bool,
    pub(crate) parked: bool,
    /// The state of its blueprint, if it is shared.
    pub(crate) shows: Shows,
    /// The image belongs to another account or was deleted, so this account cannot cancel its share.
    pub(crate) foreign: bool,
    /// An instance was started from the blueprint of the image.
    pub(crate) in_use: bool,
    /// The state that our last write set a moment ago, if there was one. The API acknowledged this write.
    pub(crate) written: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prune {
    None,
    Owned,
    Exclusive,
}

/// Everything about the run that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether the whole scope was read.
    pub(crate) seen: bool,
    pub(crate) prune: Prune,
    pub(crate) max_cancels: usize,
    pub(crate) percent: usize,
    pub(crate) accept_lost: usize,
    pub(crate) shares_only: bool,
    /// The loss was noticed only a moment ago, so it is not confirmed yet.
    pub(crate) loss_is_new: bool,
    /// It is unknown which blueprints the instances use.
    pub(crate) uses_unknown: bool,
}

/// The reason why a change is withheld.
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
    /// It is unknown whether the image is in use.
    UseUnknown,
}

/// The decision that the contract asks for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The image is not managed by sharekeeper.
    Nothing,
    InSync,
    /// The image is shared as desired, and its blueprint is not ready yet.
    Pending,
    /// The image is shared as desired, but its blueprint cannot be used.
    Blocked,
    /// The observation does not show yet what we wrote a moment ago.
    Await,
    Share,
    Cancel(Cause),
    Withheld(Why),
    /// Observe again, because the loss may be a wrong reply.
    LookAgain,
    Unobserved,
}

/// A reason, whether it withholds a SHARE as well as a CANCEL, and the condition under which it holds.
type Reason = (Why, bool, fn(&Rules, &Image) -> bool);

/// The reasons that concern one image, in order of precedence.
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
    // A person who writes `unshared` accepts the consequence. Nobody watches when a date passes or an image is
    // pruned.
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

/// Applies the rules for one image: its desired state, whether a change is allowed, and what forbids it.
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
        // All knowledge says that the image is shared, even if this observation does not show it.
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

/// Percentages and losses are not evaluated for fewer images than this.
const FEW: usize = 10;

/// Applies the rules for each image and then those for the scope. A loss withholds every CANCEL, and every SHARE if
/// the scope has enough images. After that, an exceeded cap withholds every CANCEL.
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
    // CANCELs that a suspension withholds count toward the cap, because the suspension will end.
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

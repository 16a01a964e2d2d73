//! Tracks how long ago each image of a pending write was seen. An image that was seen too long ago is rechecked by id,
//! many in one request and before its turn comes, so that the permit queue does not wait for the answer. It must not
//! know the purpose of a plan, only which of its writes are still to be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use smol_str::SmolStr;

use super::context::ScopeContext;
use super::event::Event;
use super::plan_scope::PlannedScope;
use crate::api::protocol::wire::PAGE_LIMIT_MAX;
use crate::execute::{Executor, WriteId};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::listing::{RecheckAnswer, Unanswered, still_shareable, still_shared};
use crate::model::{ImageId, Permission};
use crate::observation::ObservedAt;
use crate::plan::Actual;

/// An image that was seen longer ago than this is not written.
const AGE_MAX: Duration = Duration::from_secs(120);
/// From this age on, an image is rechecked once its turn is near.
const RECHECK_FROM: Duration = Duration::from_secs(90);
/// From this age on, a write is not prepared, because it may still wait for its permit for a while.
const PREPARE_AGE_MAX: Duration = Duration::from_secs(105);
/// The number of images in one recheck.
const BATCH_MAX: usize = PAGE_LIMIT_MAX as usize;
/// While this many images at the head of the queue are fresh enough, none is rechecked.
const FRESH_AHEAD_MIN: usize = BATCH_MAX / 2;

/// The time at which each image of a pending write was last seen.
pub(super) struct Freshness {
    /// When the observation began.
    began: ObservedAt,
    /// The age limit: no image was seen before this.
    oldest: ObservedAt,
    /// The end of the observation, at which the writes were planned.
    planned: ObservedAt,
    seen: BTreeMap<WriteId, ObservedAt>,
    /// The images in rechecks without an answer yet, with their planned writes.
    rechecking: BTreeMap<WriteId, Permission>,
    /// Whether the key may not ask about images to share. They are then shared on the basis of what was seen, as when
    /// all reading is denied: the answer to the SHARE is the only information.
    shares_are_blind: bool,
    /// The images to share, both those that are ready and those that wait for another attempt.
    shares: BTreeSet<WriteId>,
}

/// A recheck that waits for its answer.
pub(super) type Recheck<'t> = LocalBoxFuture<'t, Rechecked>;

/// The answer to a recheck.
pub(super) struct Rechecked {
    images: Vec<(WriteId, ImageId)>,
    result: Result<RecheckAnswer, Unanswered>,
}

impl Freshness {
    /// Starts from the times of an observation that began at `began`.
    pub(super) fn new(
        planned: &PlannedScope,
        executor: &Executor,
        (began, now): (ObservedAt, ObservedAt),
    ) -> Self {
        let writes = executor.ready();
        let seen = writes.map(|(id, image, _)| (id, planned.times.of(image)));
        let shares = executor.ready();
        let shares = shares.filter(|(.., permission)| *permission == Permission::Share);
        Self {
            began,
            oldest: planned.times.oldest,
            planned: now,
            seen: seen.collect(),
            rechecking: BTreeMap::new(),
            shares_are_blind: false,
            shares: shares.map(|(id, ..)| id).collect(),
        }
    }

    fn age(&self, id: WriteId, now: ObservedAt) -> Duration {
        if self.shares_are_blind && self.shares.contains(&id) {
            return Duration::ZERO;
        }
        self.seen
            .get(&id)
            .map_or(Duration::MAX, |seen| seen.age(now))
    }

    /// Whether the plan is so old that its knowledge about other images no longer counts. The age is measured from the
    /// end of the observation, because after a long observation no such write could ever be sent otherwise.
    pub(super) fn is_plan_aged(&self, now: ObservedAt) -> bool {
        self.planned.age(now) >= RECHECK_FROM
    }

    /// Whether the observation is so old that images are rechecked before they are written.
    pub(super) fn has_aged(&self, now: ObservedAt) -> bool {
        self.oldest.age(now) >= RECHECK_FROM
    }

    /// Whether a write may be sent.
    pub(super) fn may_send(&self, id: WriteId, now: ObservedAt) -> bool {
        self.age(id, now) < AGE_MAX
    }

    /// Whether a write may be prepared for sending.
    pub(super) fn may_prepare(&self, id: WriteId, now: ObservedAt) -> bool {
        self.age(id, now) < PREPARE_AGE_MAX && !self.rechecking.contains_key(&id)
    }

    /// Whether the machine has slept for so long that more than single images may have changed.
    pub(super) fn machine_slept(&self, now: ObservedAt) -> bool {
        self.began.slept(now) >= AGE_MAX
    }

    /// The images to recheck now for `permission`, in the order of the queue: as many as fit into a request, and none
    /// while that is not urgent.
    fn due<'e>(
        &self,
        ready: impl Iterator<Item = (WriteId, &'e ImageId, Permission)>,
        permission: Permission,
        now: ObservedAt,
    ) -> Vec<(WriteId, &'e ImageId)> {
        if self
            .rechecking
            .values()
            .any(|towards| *towards == permission)
        {
            return Vec::new();
        }
        let ready = ready.filter(|(.., towards)| *towards == permission);
        let (mut fresh, mut aging) = (0, Vec::new());
        for (place, (id, image, _)) in ready.enumerate() {
            if self.age(id, now) >= RECHECK_FROM {
                aging.push((id, image));
            } else if place < BATCH_MAX {
                fresh += 1;
            }
            if fresh >= FRESH_AHEAD_MIN || aging.len() == BATCH_MAX {
                break;
            }
        }
        if fresh >= FRESH_AHEAD_MIN {
            aging.clear();
        }
        aging
    }

    /// The rechecks to start now. Writes that are being prepared are not rechecked.
    pub(super) fn rechecks<'t, H: Host, L: Ledger>(
        &mut self,
        context: &'t ScopeContext<'_, H, L>,
        planned: &PlannedScope,
        executor: &Executor,
        is_preparing: impl Fn(WriteId) -> bool,
    ) -> Vec<Recheck<'t>> {
        let now = context.seen_at();
        let mut rechecks: Vec<Recheck<'t>> = Vec::new();
        // This is nearly always true, and costs less than going through a long queue.
        if !self.has_aged(now) {
            return rechecks;
        }
        for permission in [Permission::Share, Permission::Cancel] {
            let ready = executor.ready().filter(|(id, ..)| !is_preparing(*id));
            let due = self.due(ready, permission, now);
            if due.is_empty() {
                continue;
            }
            let due = due.into_iter().map(|(id, image)| (id, image.clone()));
            let images: Vec<_> = due.collect();
            self.rechecking
                .extend(images.iter().map(|(id, _)| (*id, permission)));
            rechecks.push(match permission {
                Permission::Share => Box::pin(recheck_shares(context, images)),
                Permission::Cancel => {
                    let blueprints = blueprints(planned, &images);
                    Box::pin(recheck_cancels(context, images, blueprints))
                }
            });
        }
        rechecks
    }

    /// Applies the answer to a recheck. An image that has changed is left to the next observation. Without an answer,
    /// the same is true for all images of that kind of write that need one. If the key may not ask about images to
    /// share, they are shared on the basis of what was seen.
    pub(super) fn rechecked<H: Host, L: Ledger>(
        &mut self,
        context: &ScopeContext<'_, H, L>,
        executor: &mut Executor,
        answer: Rechecked,
    ) {
        let Rechecked { images, result } = answer;
        let towards = images
            .iter()
            .filter_map(|(id, _)| self.rechecking.remove(id));
        let permission = towards.last();
        let scope = context.task.scope;
        match result {
            Ok(RecheckAnswer { asked, still }) => {
                let mut changed = BTreeSet::new();
                for (id, image) in images {
                    if still.contains(&image) {
                        self.seen.insert(id, asked);
                    } else {
                        executor.withdraw(id);
                        changed.insert(image);
                    }
                }
                if !changed.is_empty() {
                    let images = changed.len();
                    tracing::debug!(%scope, images, "images have changed since they were seen; they are observed again");
                }
            }
            Err(Unanswered { why, is_denied }) => {
                let what = if is_denied && permission == Some(Permission::Share) {
                    self.shares_are_blind = true;
                    "they are shared all the same, and the API's answer decides"
                } else {
                    let now = context.seen_at();
                    let aging = executor.ready().filter(|(id, _, towards)| {
                        Some(*towards) == permission && self.age(*id, now) >= RECHECK_FROM
                    });
                    let aging: Vec<_> = aging.map(|(id, ..)| id).collect();
                    aging.into_iter().for_each(|id| executor.withdraw(id));
                    "they are observed again first"
                };
                context.emit(Event::Trouble {
                    scope,
                    what: format!(
                        "images with pending writes were seen minutes ago, and asking about them again failed; {what}: {why}"
                    ),
                    of_account: false,
                });
            }
        }
    }
}

async fn recheck_shares<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    images: Vec<(WriteId, ImageId)>,
) -> Rechecked {
    let ids: Vec<_> = images.iter().map(|(_, image)| image.clone()).collect();
    let result = still_shareable(context.client.read(), context.task.scope, &ids).await;
    Rechecked { images, result }
}

async fn recheck_cancels<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    images: Vec<(WriteId, ImageId)>,
    blueprints: Option<BTreeMap<ImageId, SmolStr>>,
) -> Rechecked {
    let result = match blueprints {
        Some(blueprints) => {
            still_shared(context.client.read(), context.task.scope, &blueprints).await
        }
        None => Err(Unanswered {
            why: "the blueprint of an image is not known".into(),
            is_denied: false,
        }),
    };
    Rechecked { images, result }
}

/// The blueprints that the observation showed for the images. `None` unless it showed one for each.
fn blueprints(
    planned: &PlannedScope,
    images: &[(WriteId, ImageId)],
) -> Option<BTreeMap<ImageId, SmolStr>> {
    let blueprints = images.iter().map(|(_, image)| {
        let decision = planned.plan.decisions.get(image)?;
        match &decision.actual {
            Actual::Shared(Some(blueprint)) => Some((image.clone(), blueprint.clone())),
            Actual::Shared(None) | Actual::Unshared | Actual::Unknown => None,
        }
    });
    blueprints.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Monotonic, Timestamp};

    fn at(seconds: u64) -> ObservedAt {
        let time = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        let elapsed = Duration::from_secs(seconds);
        ObservedAt::new(Monotonic::new(elapsed), time + elapsed)
    }

    /// Images to share or to cancel, each seen at a number of seconds after the start.
    fn freshness(seen: &[(Permission, u64)]) -> (Freshness, Executor) {
        let actions = seen.iter().enumerate().map(|(n, (permission, _))| {
            let image = ImageId::new(&format!("img-{n}")).expect("valid");
            (image, *permission)
        });
        let executor = Executor::new(actions);
        let seen = executor.ready().zip(seen);
        let seen = seen.map(|((id, ..), (_, seen))| (id, at(*seen))).collect();
        let freshness = Freshness {
            began: at(0),
            oldest: at(0),
            planned: at(0),
            seen,
            rechecking: BTreeMap::new(),
            shares_are_blind: false,
            shares: BTreeSet::new(),
        };
        (freshness, executor)
    }

    fn shares(count: usize, seen: u64) -> Vec<(Permission, u64)> {
        vec![(Permission::Share, seen); count]
    }

    fn due_at(
        freshness: &Freshness,
        executor: &Executor,
        permission: Permission,
        now: u64,
    ) -> usize {
        freshness.due(executor.ready(), permission, at(now)).len()
    }

    #[test]
    fn c8_s4_what_is_or_soon_will_be_too_old_does_not_leave() {
        let (freshness, executor) = freshness(&shares(1, 0));
        let (id, ..) = executor.ready().next().expect("one");
        for (age, is_sent, is_prepared, is_asked) in [
            (0, true, true, false),
            (89, true, true, false),
            (90, true, true, true),
            (104, true, true, true),
            (105, true, false, true),
            (119, true, false, true),
            (120, false, false, true),
        ] {
            let now = at(age);
            let may = (freshness.may_send(id, now), freshness.may_prepare(id, now));
            assert_eq!(may, (is_sent, is_prepared), "{age}");
            let asked = due_at(&freshness, &executor, Permission::Share, age);
            assert_eq!(asked, usize::from(is_asked), "{age}");
        }
    }

    #[test]
    fn c8_s4_it_is_asked_by_the_hundred_in_time_and_no_sooner() {
        for (young, old, asked) in [
            (0, 0, 0),
            (0, 1, 1),
            (0, 250, 100),
            (49, 250, 100),
            (50, 250, 0),
            (49, 20, 20),
            (1_000, 1, 0),
        ] {
            let seen = [shares(young, 100), shares(old, 0)].concat();
            let (freshness, executor) = freshness(&seen);
            let is = due_at(&freshness, &executor, Permission::Share, 100);
            assert_eq!(is, asked, "{young}, {old}");
        }
    }

    #[test]
    fn c8_s4_shares_and_cancels_are_asked_about_apart_each_once_at_a_time() {
        let mixed = [(Permission::Share, 0), (Permission::Cancel, 0)].repeat(5);
        let (mut freshness, executor) = freshness(&mixed);
        assert_eq!(due_at(&freshness, &executor, Permission::Share, 100), 5);
        assert_eq!(due_at(&freshness, &executor, Permission::Cancel, 100), 5);
        let (id, ..) = executor.ready().next().expect("one");
        freshness.rechecking.insert(id, Permission::Share);
        assert_eq!(due_at(&freshness, &executor, Permission::Share, 100), 0);
        assert_eq!(due_at(&freshness, &executor, Permission::Cancel, 100), 5);
        assert!(!freshness.may_prepare(id, at(0)), "the answer comes first");
    }

    #[test]
    fn p5_s4_a_machine_that_slept_looks_again() {
        let (freshness, _) = freshness(&[]);
        let slept = |seconds: u64| {
            let time = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
            let awake = Duration::from_secs(30);
            let now = ObservedAt::new(
                Monotonic::new(awake),
                time + awake + Duration::from_secs(seconds),
            );
            freshness.machine_slept(now)
        };
        assert!(!slept(0));
        assert!(!slept(119));
        assert!(slept(120));
        assert!(
            !freshness.machine_slept(at(3_600)),
            "a long look is no sleep"
        );
    }
}

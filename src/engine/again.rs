//! How old what was seen of an image is when its turn to be written comes. What is too old is asked about again by id,
//! many at a time and before the turn comes, so that the line does not wait for the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use smol_str::SmolStr;

use super::Event;
use super::look::Look;
use super::scope::Run;
use crate::api::protocol::wire::PAGE_LIMIT_MAX;
use crate::execute::{Executor, WriteId};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::listing::{Again, Unanswered, still_shareable, still_shared};
use crate::model::{ImageId, Permission};
use crate::observation::SeenAt;
use crate::plan::Actual;

/// No write leaves on what was seen longer ago.
const AGE_MAX: Duration = Duration::from_secs(120);
/// From here on it is asked about again, once its turn is near.
const AGING: Duration = Duration::from_secs(90);
/// From here on it is not recorded as about to leave: it may still stand in line for a while.
const STALE: Duration = Duration::from_secs(105);
/// Images to a question.
const AT_ONCE: usize = PAGE_LIMIT_MAX as usize;
/// With fewer images at the head of the line than this that need not be asked about, the next are.
const AHEAD_MIN: usize = AT_ONCE / 2;

/// When each image that is to be written was seen last.
pub(super) struct Ages {
    /// When the look began.
    began: SeenAt,
    /// What was seen of each is no older than this.
    oldest: SeenAt,
    seen: BTreeMap<WriteId, SeenAt>,
    /// Those that a question is about which has no answer yet, and what is to be done with them.
    asked: BTreeMap<WriteId, Permission>,
    /// The key may not ask about images to share: they are as where reading is denied altogether, and the answer to a
    /// SHARE is all that there is to see.
    shares_are_blind: bool,
    /// Those that are to be shared, whether they are ready or wait for another try.
    shares: BTreeSet<WriteId>,
}

/// A question under way.
pub(super) type Question<'t> = LocalBoxFuture<'t, Answer>;

/// What came of a question.
pub(super) struct Answer {
    about: Vec<(WriteId, ImageId)>,
    result: Result<Again, Unanswered>,
}

impl Ages {
    /// That of a look that began at `began`.
    pub(super) fn new(look: &Look, executor: &Executor, began: SeenAt) -> Self {
        let jobs = executor.ready();
        let seen = jobs.map(|(id, image, _)| (id, look.sightings.of(image)));
        let shares = executor.ready();
        let shares = shares.filter(|(.., permission)| *permission == Permission::Share);
        Self {
            began,
            oldest: look.sightings.oldest,
            seen: seen.collect(),
            asked: BTreeMap::new(),
            shares_are_blind: false,
            shares: shares.map(|(id, ..)| id).collect(),
        }
    }

    fn of(&self, id: WriteId, now: SeenAt) -> Duration {
        if self.shares_are_blind && self.shares.contains(&id) {
            return Duration::ZERO;
        }
        self.seen
            .get(&id)
            .map_or(Duration::MAX, |seen| seen.age(now))
    }

    /// Whether a call may leave.
    pub(super) fn may_leave(&self, id: WriteId, now: SeenAt) -> bool {
        self.of(id, now) < AGE_MAX
    }

    /// Whether a call may get ready to leave.
    pub(super) fn may_get_ready(&self, id: WriteId, now: SeenAt) -> bool {
        self.of(id, now) < STALE && !self.asked.contains_key(&id)
    }

    /// Whether the machine has slept for so long that more may have changed than single images.
    pub(super) fn is_slept_away(&self, now: SeenAt) -> bool {
        self.began.slept(now) >= AGE_MAX
    }

    /// The images to ask about now for what is to be done with them, in the order of their turns: as many as a question
    /// holds, and none while there is no hurry.
    fn to_ask<'e>(
        &self,
        ready: impl Iterator<Item = (WriteId, &'e ImageId, Permission)>,
        permission: Permission,
        now: SeenAt,
    ) -> Vec<(WriteId, &'e ImageId)> {
        if self.asked.values().any(|asked| *asked == permission) {
            return Vec::new();
        }
        let ready = ready.filter(|(.., towards)| *towards == permission);
        let (mut young, mut aging) = (0, Vec::new());
        for (place, (id, image, _)) in ready.enumerate() {
            if self.of(id, now) >= AGING {
                aging.push((id, image));
            } else if place < AT_ONCE {
                young += 1;
            }
            if young >= AHEAD_MIN || aging.len() == AT_ONCE {
                break;
            }
        }
        if young >= AHEAD_MIN {
            aging.clear();
        }
        aging
    }
}

impl<H: Host, L: Ledger> Run<'_, H, L> {
    /// What both clocks show now.
    pub(super) fn at(&self) -> SeenAt {
        SeenAt::new(self.host().monotonic(), self.host().now())
    }

    /// The questions to ask now. Those who get ready are not asked about.
    pub(super) fn questions<'t>(
        &'t self,
        look: &Look,
        ages: &mut Ages,
        executor: &Executor,
        gets_ready: impl Fn(WriteId) -> bool,
    ) -> Vec<Question<'t>> {
        let now = self.at();
        let mut questions: Vec<Question<'t>> = Vec::new();
        // Nearly always, and the line is long.
        if ages.oldest.age(now) < AGING {
            return questions;
        }
        for permission in [Permission::Share, Permission::Cancel] {
            let ready = executor.ready().filter(|(id, ..)| !gets_ready(*id));
            let about = ages.to_ask(ready, permission, now);
            if about.is_empty() {
                continue;
            }
            let about: Vec<_> = about
                .into_iter()
                .map(|(id, image)| (id, image.clone()))
                .collect();
            ages.asked
                .extend(about.iter().map(|(id, _)| (*id, permission)));
            questions.push(match permission {
                Permission::Share => Box::pin(self.ask_of_shares(about)),
                Permission::Cancel => {
                    let blueprints = blueprints(look, &about);
                    Box::pin(self.ask_of_cancels(about, blueprints))
                }
            });
        }
        questions
    }

    async fn ask_of_shares(&self, about: Vec<(WriteId, ImageId)>) -> Answer {
        let images: Vec<_> = about.iter().map(|(_, image)| image.clone()).collect();
        let result = still_shareable(self.client.read(), self.job.scope, &images).await;
        Answer { about, result }
    }

    async fn ask_of_cancels(
        &self,
        about: Vec<(WriteId, ImageId)>,
        blueprints: Option<BTreeMap<ImageId, SmolStr>>,
    ) -> Answer {
        let result = match blueprints {
            Some(blueprints) => still_shared(self.client.read(), self.job.scope, &blueprints).await,
            None => Err(Unanswered {
                why: "it is not known as which blueprint an image is shared".into(),
                is_denied: false,
            }),
        };
        Answer { about, result }
    }

    /// Takes an answer in. What is not as it was any longer is left to the next look, and so is what there is no answer
    /// about. Where the key may not ask about images to share, they are shared on what was seen.
    pub(super) fn answered(&self, ages: &mut Ages, executor: &mut Executor, answer: Answer) {
        let Answer { about, result } = answer;
        let asked = about.iter().filter_map(|(id, _)| ages.asked.remove(id));
        let permission = asked.last();
        let scope = self.job.scope;
        match result {
            Ok(Again { asked, still }) => {
                let mut changed = BTreeSet::new();
                for (id, image) in about {
                    if still.contains(&image) {
                        ages.seen.insert(id, asked);
                    } else {
                        executor.withdraw(id);
                        changed.insert(image);
                    }
                }
                if !changed.is_empty() {
                    let images = changed.len();
                    tracing::debug!(%scope, images, "not as they were seen any longer; they are looked at again");
                }
            }
            Err(Unanswered { why, is_denied }) => {
                let what = if is_denied && permission == Some(Permission::Share) {
                    ages.shares_are_blind = true;
                    "it is shared all the same, and the API's answer tells"
                } else {
                    let now = self.at();
                    let old = executor.ready().filter(|(id, _, towards)| {
                        Some(*towards) == permission && ages.of(*id, now) >= AGING
                    });
                    let old: Vec<_> = old.map(|(id, ..)| id).collect();
                    old.into_iter().for_each(|id| executor.withdraw(id));
                    "it is looked at again first"
                };
                self.engine.listener.event(Event::Trouble {
                    scope,
                    what: format!(
                        "what is to be written was seen minutes ago and cannot be asked about again; {what}: {why}"
                    ),
                    of_account: false,
                });
            }
        }
    }
}

/// The blueprints that the look showed for images, if it did for all of them.
fn blueprints(look: &Look, about: &[(WriteId, ImageId)]) -> Option<BTreeMap<ImageId, SmolStr>> {
    let blueprints = about.iter().map(|(_, image)| {
        let decision = look.plan.decisions.get(image)?;
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

    fn at(seconds: u64) -> SeenAt {
        let time = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        let elapsed = Duration::from_secs(seconds);
        SeenAt::new(Monotonic::new(elapsed), time + elapsed)
    }

    /// Images to share, or to take back, that were seen so many seconds after the start.
    fn ages(seen: &[(Permission, u64)]) -> (Ages, Executor) {
        let actions = seen.iter().enumerate().map(|(n, (permission, _))| {
            let image = ImageId::new(&format!("img-{n}")).expect("valid");
            (image, *permission)
        });
        let executor = Executor::new(actions);
        let seen = executor.ready().zip(seen);
        let seen = seen.map(|((id, ..), (_, seen))| (id, at(*seen))).collect();
        let ages = Ages {
            began: at(0),
            oldest: at(0),
            seen,
            asked: BTreeMap::new(),
            shares_are_blind: false,
            shares: BTreeSet::new(),
        };
        (ages, executor)
    }

    fn shares(count: usize, seen: u64) -> Vec<(Permission, u64)> {
        vec![(Permission::Share, seen); count]
    }

    fn asked_at(ages: &Ages, executor: &Executor, permission: Permission, now: u64) -> usize {
        ages.to_ask(executor.ready(), permission, at(now)).len()
    }

    #[test]
    fn c8_s4_what_is_too_old_does_not_leave_and_what_soon_will_be_does_not_get_ready() {
        let (ages, executor) = ages(&shares(1, 0));
        let (id, ..) = executor.ready().next().expect("one");
        for (age, leaves, gets_ready, is_asked) in [
            (0, true, true, false),
            (89, true, true, false),
            (90, true, true, true),
            (104, true, true, true),
            (105, true, false, true),
            (119, true, false, true),
            (120, false, false, true),
        ] {
            let now = at(age);
            let may = (ages.may_leave(id, now), ages.may_get_ready(id, now));
            assert_eq!(may, (leaves, gets_ready), "{age}");
            let asked = asked_at(&ages, &executor, Permission::Share, age);
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
            let (ages, executor) = ages(&seen);
            let is = asked_at(&ages, &executor, Permission::Share, 100);
            assert_eq!(is, asked, "{young}, {old}");
        }
    }

    #[test]
    fn c8_s4_shares_and_cancels_are_asked_about_apart_each_once_at_a_time() {
        let mixed = [(Permission::Share, 0), (Permission::Cancel, 0)].repeat(5);
        let (mut ages, executor) = ages(&mixed);
        assert_eq!(asked_at(&ages, &executor, Permission::Share, 100), 5);
        assert_eq!(asked_at(&ages, &executor, Permission::Cancel, 100), 5);
        let (id, ..) = executor.ready().next().expect("one");
        ages.asked.insert(id, Permission::Share);
        assert_eq!(asked_at(&ages, &executor, Permission::Share, 100), 0);
        assert_eq!(asked_at(&ages, &executor, Permission::Cancel, 100), 5);
        assert!(!ages.may_get_ready(id, at(0)), "the answer comes first");
    }

    #[test]
    fn p5_s4_a_machine_that_slept_looks_again() {
        let (ages, _) = ages(&[]);
        let slept = |seconds: u64| {
            let time = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
            let awake = Duration::from_secs(30);
            let now = SeenAt::new(
                Monotonic::new(awake),
                time + awake + Duration::from_secs(seconds),
            );
            ages.is_slept_away(now)
        };
        assert!(!slept(0));
        assert!(!slept(119));
        assert!(slept(120));
        assert!(!ages.is_slept_away(at(3_600)), "a long look is no sleep");
    }
}

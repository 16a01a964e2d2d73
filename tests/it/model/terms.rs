//! Translates the cases of the reference model into the types of the planner, and the decisions of the planner back
//! into the terms of the model.

use crate::support::cloud::live::scope;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use sharekeeper::attempts::AttemptLog;
use sharekeeper::desired::{Completeness, DesiredImage, DesiredShare, Source};
use sharekeeper::inventory::{
    AcknowledgedWrite, AnsweredState, Inventory, InventoryEntry, OwnedShare, OwnershipState,
    Suspension,
};
use sharekeeper::model::{Clocks, ImageId, Monotonic, Scope, Selector, ShareState, Timestamp};
use sharekeeper::observation::{
    Blueprint, Eligibility, Instances, Observation, OwnImage, OwnImages, Seen, Unobserved,
};
use sharekeeper::plan::{
    self, Awaiting, Decision, Inputs, Plan, Policy, ScopeAccount, Verdict, Withheld,
};
use sharekeeper::resolve::ResolvedScope;
use sharekeeper::windows::Windows;
use smol_str::SmolStr;

use super::reference::{Expected, Image, Own, Prune, Rules, Shows, Want, Why};

/// The clock of the access point minus the clock of this machine.
pub(crate) const AHEAD: TimeDelta = TimeDelta::hours(1);

/// The id of the blueprint of image number `n`.
fn blueprint_id(n: usize) -> SmolStr {
    format!("lhbp-{}", n + 1).into()
}

/// The numbers of the images that are in use.
pub(crate) fn used(images: &[Image]) -> impl Iterator<Item = usize> {
    let images = images.iter().enumerate();
    images.filter(|(_, image)| image.in_use).map(|(n, _)| n)
}

/// The list of the account's own images, which have no names here.
fn own<'a>(images: impl Iterator<Item = &'a ImageId>) -> OwnImages {
    let image = OwnImage {
        name: Default::default(),
        created: None,
        state: "NORMAL".into(),
        os_name: "Ubuntu Server 22.04 LTS".into(),
        platform: "Ubuntu".into(),
        architecture: "x86_64".into(),
        eligibility: Eligibility::Shareable,
    };
    OwnImages::Known(images.map(|id| (id.clone(), image.clone())).collect())
}

/// The desired state of each image, by its id.
pub(crate) type Wanted<'a> = BTreeMap<&'a ImageId, &'a DesiredImage>;

/// The values that all cases have in common.
pub(crate) struct Setting {
    pub(crate) scope: Scope,
    pub(crate) ids: Vec<ImageId>,
    /// The blueprint id of each image.
    blueprints: Vec<SmolStr>,
    pub(crate) attempts: AttemptLog,
    pub(crate) windows: Windows,
    pub(crate) now: Timestamp,
    pub(crate) clocks: Clocks,
    pub(crate) unobserved: Observation,
}

impl Setting {
    pub(crate) fn new(images: usize) -> Self {
        let now = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        let id = |n| ImageId::new(&format!("img-{n:02}")).expect("an id");
        Self {
            scope: scope("ap-tokyo"),
            ids: (0..images).map(id).collect(),
            blueprints: (0..images).map(blueprint_id).collect(),
            attempts: AttemptLog {
                unexpected_loss_since: Some(Monotonic::default()),
                ..AttemptLog::default()
            },
            windows: Windows::default(),
            now,
            clocks: Clocks::new(now, AHEAD),
            unobserved: Observation::Unobserved(Unobserved::new("page 3 of 7 failed")),
        }
    }

    pub(crate) fn declared(&self, want: Want, protect: bool) -> Option<DesiredImage> {
        let share = match want {
            Want::Nothing => return None,
            Want::Unshared => DesiredShare::Unshared,
            Want::Shared => DesiredShare::Shared {
                from: None,
                until: None,
            },
            Want::Expired => DesiredShare::Shared {
                from: None,
                until: Some(self.now),
            },
            Want::Contested => DesiredShare::Shared {
                from: None,
                until: Some(self.now + AHEAD / 2),
            },
        };
        Some(DesiredImage {
            share,
            protect,
            source: Source {
                file: "a.yaml".into(),
                line: 1,
            },
            document: Default::default(),
            name: None,
            note: None,
            bounds: None,
            other_labels: Vec::new(),
        })
    }

    /// An observation of the shared images, with the blueprints that instances use.
    pub(crate) fn seen(
        &self,
        shared: impl Iterator<Item = usize>,
        used: impl Iterator<Item = usize>,
    ) -> Seen {
        let blueprint = |n: usize| Blueprint {
            id: self.blueprints[n].clone(),
            state: "NORMAL".into(),
            name: Default::default(),
        };
        Seen {
            shared: shared
                .map(|n| (self.ids[n].clone(), blueprint(n)))
                .collect(),
            own: own(self.ids.iter()),
            instances: self.instances(used),
            ..Seen::default()
        }
    }

    /// One instance for each image that is in use.
    fn instances(&self, used: impl Iterator<Item = usize>) -> Instances {
        let used = used.map(|n| (self.blueprints[n].clone(), vec![SmolStr::new("lhins-1")]));
        Instances::Known(used.collect())
    }

    /// Like [`Self::seen`], but with the state of each blueprint, and without images that are not the account's own.
    pub(crate) fn seen_as(&self, images: &[Image]) -> Seen {
        let known = || images.iter().zip(&self.ids);
        let shared = known().enumerate().filter(|(_, (image, _))| image.shared);
        let shared = shared.map(|(n, (image, id))| {
            let state = match image.shows {
                Shows::Usable => "NORMAL",
                Shows::Syncing => "SYNCING",
                Shows::Failed => "SYNCING_FAILED",
            };
            let blueprint = Blueprint {
                id: self.blueprints[n].clone(),
                state: state.into(),
                name: Default::default(),
            };
            (id.clone(), blueprint)
        });
        let own_ids = known().filter(|(image, _)| !image.foreign);
        Seen {
            shared: shared.collect(),
            own: own(own_ids.map(|(_, id)| id)),
            instances: self.instances(used(images)),
            ..Seen::default()
        }
    }

    /// The inventory entry of image number `n`.
    pub(crate) fn record(&self, n: usize, image: &Image) -> Option<InventoryEntry> {
        let ownership = match image.own {
            Own::No => None,
            Own::Proven => Some(OwnershipState::Acknowledged),
            Own::Probable => Some(OwnershipState::Probable),
            Own::Disputed => Some(OwnershipState::Adopted),
        };
        let owned = ownership.map(|ownership| OwnedShare {
            ownership,
            since: self.now,
            blueprint: Some(self.blueprints[n].to_string()),
            confirmed: image.settled,
            missing_since: None,
            disputed_since: (image.own == Own::Disputed).then_some(self.now),
            cancelled: image.written == Some(false),
        });
        let parked_since = image.parked.then_some(self.now);
        let at = self.now - TimeDelta::seconds(5);
        let written = image.written.map(|shared| match shared {
            true => ShareState::Shared,
            false => ShareState::Unshared,
        });
        let write = written.map(|towards| AcknowledgedWrite {
            at,
            towards,
            confirmed: image.written == Some(image.shared),
        });
        let is_known = owned.is_some() || image.parked || image.protected || write.is_some();
        is_known.then(|| InventoryEntry {
            owned,
            parked_since,
            protected: image.protected,
            writes: write.into_iter().collect(),
            last_answer: written.map(|state| AnsweredState {
                at,
                state,
                presumed: false,
            }),
            ..InventoryEntry::default()
        })
    }

    pub(crate) fn suspension(&self, image: usize) -> Suspension {
        Suspension {
            id: 1,
            reason: "a launch".into(),
            until: None,
            since: self.now,
            by: "me@here".into(),
            selector: Selector {
                images: [self.ids[image].clone()].into(),
                ..Selector::default()
            },
        }
    }

    pub(crate) fn plan(
        &self,
        rules: &Rules,
        wanted: &Wanted<'_>,
        observation: &Observation,
        inventory: &Inventory,
    ) -> Plan {
        let small = |number| u32::try_from(number).expect("small");
        let policy = Policy {
            prune: match rules.prune {
                Prune::None => plan::Prune::None,
                Prune::Owned => plan::Prune::Owned,
                Prune::Exclusive => plan::Prune::Exclusive,
            },
            max_cancels: small(rules.max_cancels),
            max_cancels_percent: small(rules.percent),
            accept_lost: [(self.scope.clone(), small(rules.accept_lost))]
                .into_iter()
                .collect(),
            shares_only: rules.shares_only,
            ..Policy::default()
        };
        let uses_unknown;
        let observation = match (rules, observation) {
            (Rules { seen: false, .. }, _) => &self.unobserved,
            (
                Rules {
                    uses_unknown: true, ..
                },
                Observation::Seen(known),
            ) => {
                uses_unknown = Observation::Seen(Seen {
                    instances: Instances::Unknown("denied".into()),
                    ..known.clone()
                });
                &uses_unknown
            }
            _ => observation,
        };
        plan::plan(&Inputs {
            scope: &self.scope,
            account: &ScopeAccount::default(),
            desired: &ResolvedScope::by_id(
                Cow::Borrowed(wanted),
                &Selector::default(),
                &Completeness::Whole,
            ),
            observation,
            inventory,
            attempts: &self.attempts,
            windows: &self.windows,
            policy: &policy,
            approved: None,
            clocks: self.clocks,
            present: self.now.into(),
            monotonic: Monotonic::new(Duration::from_secs(if rules.loss_is_new { 1 } else { 10 })),
        })
    }
}

/// The decision of the planner for an image, in the terms of the model.
pub(crate) fn said(decision: Option<&Decision>) -> Expected {
    let Some(decision) = decision else {
        return Expected::Nothing;
    };
    match &decision.verdict {
        Verdict::InSync => Expected::InSync,
        Verdict::Pending(_) => Expected::Pending,
        Verdict::Blocked(_) => Expected::Blocked,
        Verdict::Unobserved(_) => Expected::Unobserved,
        Verdict::Act => match decision.desired {
            ShareState::Shared => Expected::Share,
            ShareState::Unshared => Expected::Cancel(decision.cause),
        },
        Verdict::Await { reason, .. } if matches!(**reason, Awaiting::Loss(_)) => {
            Expected::LookAgain
        }
        Verdict::Await { .. } => Expected::Await,
        Verdict::Withheld(why) => Expected::Withheld(match &**why {
            Withheld::Protected => Why::Protected,
            Withheld::ProtectedBefore => Why::ProtectedBefore,
            Withheld::PartialManifests => Why::Partial,
            Withheld::Suspended(_) => Why::Suspended,
            Withheld::Parked(_) => Why::Parked,
            Withheld::Probable => Why::Probable,
            Withheld::Disputed => Why::Disputed,
            Withheld::Lost(..) | Withheld::LostBefore(_) => Why::Lost,
            Withheld::TooMany(_) => Why::TooMany,
            Withheld::ClocksDisagree(_) => Why::Clocks,
            Withheld::InUse(_) => Why::InUse,
            Withheld::InUseUnknown(_) => Why::UseUnknown,
            other => panic!("unexpected reason {other:?}"),
        }),
        other => panic!("unexpected verdict {other:?}"),
    }
}

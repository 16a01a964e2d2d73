//! What is known of one image: whether the share is ours, what was written lately, and what holds changes back. Here are
//! the changes that answers to writes make; what observations change is in `update`.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{OpenIntent, REVERSAL_WINDOW, REVERSALS_MAX};
use crate::model::{Permission, Present, ShareState, Timestamp};
use crate::observation::Blueprint;

/// What is known of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryEntry {
    /// Set if the share is ours.
    pub owned: Option<OwnedShare>,
    /// The last acknowledged writes, the newest last; no more than [`REVERSALS_MAX`].
    pub writes: Vec<AcknowledgedWrite>,
    /// Since when it is left alone, because somebody else kept reversing us. Only a person ends that.
    pub parked_since: Option<Timestamp>,
    /// It was protected when a manifest last named it, whoever shared it. Deleting the entry does not end that.
    pub protected: bool,
    /// What the API's last final answer to a write of ours says of the image; `None`: nothing, or a complete look has
    /// shown otherwise since.
    pub last_answer: Option<AnsweredState>,
    /// When a write of the image was last denied (`UnauthorizedOperation` and its kind), which may be about the image or
    /// about all; `None`: it is not, for all that is known.
    pub denied_since: Option<Timestamp>,
}

/// What the API says of an image in its answer to a write, which is all there is to know where reading is denied. The
/// greater of two is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AnsweredState {
    /// When it was answered.
    pub at: Timestamp,
    /// The state that the image is in, by that answer.
    pub state: ShareState,
    /// The answer does not say so: a CANCEL of an image that sharekeeper never shared failed twice in the same way.
    #[serde(default)]
    pub presumed: bool,
}

/// A share that is sharekeeper's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedShare {
    /// How certain that is.
    pub ownership: OwnershipState,
    /// Since when.
    pub since: Timestamp,
    /// The blueprint that our share became. Another blueprint for the image is another share: somebody else's.
    pub blueprint: Option<String>,
    /// A complete observation has shown it.
    pub confirmed: bool,
    /// The first complete observation that did not show it, with none since that did.
    pub missing_since: Option<Timestamp>,
    /// The first look since which it shows as another blueprint. A replica that lags behind a repair of ours shows an
    /// older one, too.
    pub disputed_since: Option<Timestamp>,
    /// Our CANCEL was acknowledged; it is gone once an observation does not show it.
    pub cancelled: bool,
}

/// How certain it is that a share is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnershipState {
    /// The API acknowledged our SHARE.
    Acknowledged,
    /// A person took it over with `adopt`.
    Adopted,
    /// The answer to our SHARE was lost; the image was not shared before it, and was after. Not pruned.
    Probable,
}

/// An acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedWrite {
    /// When it was acknowledged.
    pub at: Timestamp,
    /// The state it brought about.
    pub towards: ShareState,
    /// A complete observation has shown that state since.
    pub confirmed: bool,
}

impl InventoryEntry {
    /// Takes in that the API acknowledged a write at `at`. `blueprint` is what SHARE answered, if it said.
    pub fn record_acknowledged(
        &mut self,
        permission: Permission,
        blueprint: Option<&str>,
        protected: bool,
        at: Timestamp,
    ) {
        match permission {
            Permission::Share => {
                self.owned = Some(OwnedShare {
                    ownership: OwnershipState::Acknowledged,
                    since: at,
                    blueprint: blueprint.map(str::to_owned),
                    confirmed: false,
                    missing_since: None,
                    disputed_since: None,
                    cancelled: false,
                });
            }
            Permission::Cancel => {
                if let Some(owned) = &mut self.owned {
                    owned.cancelled = true;
                }
            }
        }
        self.protected = protected;
        self.record_answer(permission.leads_to(), at);
        self.writes.push(AcknowledgedWrite {
            at,
            towards: permission.leads_to(),
            confirmed: false,
        });
        let surplus = self.writes.len().saturating_sub(REVERSALS_MAX);
        self.writes.drain(..surplus);
    }

    /// Takes in that the API's answer to a write leaves the image in `state`.
    pub fn record_answer(&mut self, state: ShareState, at: Timestamp) {
        self.last_answer = Some(AnsweredState {
            at,
            state,
            presumed: false,
        });
    }

    /// Takes in that the API called the image shared already. Our own earlier SHARE, whose answer was lost, may have
    /// done it, if it was seen unshared before.
    pub fn record_already_shared(&mut self, earlier: &[OpenIntent], at: Timestamp) {
        self.record_answer(ShareState::Shared, at);
        if earlier.iter().any(OpenIntent::is_ours_if_shared) {
            self.mark_probable(None, at);
        }
    }

    /// Takes in that a SHARE of ours, whose answer was lost, has in all likelihood taken effect. What is certain stays
    /// so, but for an older share that had gone before: the one that is there now took its place.
    pub(super) fn mark_probable(&mut self, blueprint: Option<&Blueprint>, at: Timestamp) {
        let still = |owned: &OwnedShare| match blueprint {
            Some(blueprint) => owned.matches(blueprint),
            None => owned.missing_since.is_none(),
        };
        let probable =
            || OwnedShare::probable(blueprint.map(|blueprint| blueprint.id.to_string()), at);
        self.owned = Some(self.owned.take().filter(still).unwrap_or_else(probable));
    }

    /// How often within [`REVERSAL_WINDOW`] somebody else undid a write towards `state` that had been seen to hold;
    /// true only while the image is not in that state. It was found undone when it was repeated, the last one now: how
    /// long a share had stood before somebody took it back says nothing of how often they do.
    pub fn reversals(&self, state: ShareState, now: impl Into<Present>) -> usize {
        let now = now.into();
        let repairs = self.writes.iter();
        let repairs = repairs.map(|write| (write.towards, now.since(write.at)));
        let found = repairs.skip(1).chain([(state, TimeDelta::zero())]);
        let counts = |(write, (then, ago)): &(&AcknowledgedWrite, (ShareState, TimeDelta))| {
            write.confirmed && write.towards == state && *then == state && *ago < REVERSAL_WINDOW
        };
        self.writes.iter().zip(found).filter(counts).count()
    }

    /// Whether there is nothing in it worth keeping at `now`.
    pub fn is_expired(&self, now: impl Into<Present>) -> bool {
        let now = now.into();
        self.owned.is_none()
            && !self.protected
            && self.parked_since.is_none()
            && self.denied_since.is_none()
            && self
                .last_answer
                .is_none_or(|word| now.since(word.at) >= REVERSAL_WINDOW)
            && self
                .writes
                .iter()
                .all(|write| now.since(write.at) >= REVERSAL_WINDOW)
    }
}

impl OwnedShare {
    /// Whether a blueprint can be the one that our share became.
    pub(super) fn matches(&self, blueprint: &Blueprint) -> bool {
        let ours = self.blueprint.as_ref();
        ours.is_none_or(|ours| *ours == blueprint.id)
    }

    /// Ours in all likelihood.
    fn probable(blueprint: Option<String>, since: Timestamp) -> Self {
        Self {
            ownership: OwnershipState::Probable,
            since,
            confirmed: blueprint.is_some(),
            blueprint,
            missing_since: None,
            disputed_since: None,
            cancelled: false,
        }
    }

    /// Taken over by a person, who was shown the blueprint.
    pub fn adopted(blueprint: &str, since: Timestamp) -> Self {
        Self {
            ownership: OwnershipState::Adopted,
            since,
            blueprint: Some(blueprint.to_owned()),
            confirmed: true,
            missing_since: None,
            disputed_since: None,
            cancelled: false,
        }
    }
}

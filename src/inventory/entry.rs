//! The inventory entry of one image: whether the share is ours, the latest writes, and what holds changes back. This
//! file has the changes that follow from replies to writes; `update` has those that follow from observations.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{OpenIntent, REVERSAL_WINDOW, REVERSALS_MAX};
use crate::model::{Permission, Present, ShareState, Timestamp};
use crate::observation::Blueprint;

/// What is known about one image, beyond what an observation shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryEntry {
    /// The share, if it is ours.
    pub owned: Option<OwnedShare>,
    /// The latest acknowledged writes, at most [`REVERSALS_MAX`], the newest last.
    pub writes: Vec<AcknowledgedWrite>,
    /// Since when the image has been left alone, because somebody else kept reversing our writes. Only a person ends
    /// that.
    pub parked_since: Option<Timestamp>,
    /// Whether the image was protected when a manifest last named it, regardless of who shared it. It stays protected
    /// when the manifest no longer names it.
    pub protected: bool,
    /// The image's state according to the API's last final reply to a write of ours; `None` if there was no such reply,
    /// or if a complete observation has contradicted it since.
    pub last_answer: Option<AnsweredState>,
    /// When a write of the image was last denied (`UnauthorizedOperation` and related codes). The denial may concern
    /// this image or all images. `None` if no denial is known.
    pub denied_since: Option<Timestamp>,
}

/// The state of an image according to the API's reply to a write. If reading is denied, nothing else is known. Of two
/// values, the greater one is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AnsweredState {
    /// When the reply came.
    pub at: Timestamp,
    pub state: ShareState,
    /// Whether the state is only presumed, because a CANCEL of an image that sharekeeper never shared failed twice in the
    /// same way.
    #[serde(default)]
    pub presumed: bool,
}

/// A share that is sharekeeper's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedShare {
    pub ownership: OwnershipState,
    /// When the share became ours.
    pub since: Timestamp,
    /// The blueprint of our share, if the API returned it. Any other blueprint of the image is somebody else's share.
    pub blueprint: Option<String>,
    /// Whether a complete observation has shown the share.
    pub confirmed: bool,
    /// When a complete observation first did not show the share, if none has shown it since.
    pub missing_since: Option<Timestamp>,
    /// Since when observations have shown another blueprint. A replica that lags behind a repair of ours shows an older
    /// blueprint, too.
    pub disputed_since: Option<Timestamp>,
    /// Whether our CANCEL was acknowledged. The share ends with the first observation that does not show it.
    pub cancelled: bool,
}

/// How certain it is that a share is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnershipState {
    /// The API acknowledged our SHARE.
    Acknowledged,
    /// A person took the share over with `adopt`.
    Adopted,
    /// The reply to our SHARE was lost, but the image was not shared before it and was shared after it. Such a share is
    /// not pruned.
    Probable,
}

/// A write that the API acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedWrite {
    /// When the API acknowledged it.
    pub at: Timestamp,
    /// The state that the write brings about.
    pub towards: ShareState,
    /// Whether a complete observation has shown that state since then.
    pub confirmed: bool,
}

impl InventoryEntry {
    /// Records that the API acknowledged a write at `at`. `blueprint` is the blueprint of a SHARE, if the reply
    /// contained it.
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

    /// Records the image's state according to the API's reply to a write.
    pub fn record_answer(&mut self, state: ShareState, at: Timestamp) {
        self.last_answer = Some(AnsweredState {
            at,
            state,
            presumed: false,
        });
    }

    /// Records that the API called the image already shared. One of the `earlier` intents, a SHARE whose reply was
    /// lost, may have shared it, if the image was observed as unshared before.
    pub fn record_already_shared(&mut self, earlier: &[OpenIntent], at: Timestamp) {
        self.record_answer(ShareState::Shared, at);
        if earlier.iter().any(OpenIntent::is_ours_if_shared) {
            self.mark_probable(None, at);
        }
    }

    /// Records that a SHARE of ours, whose reply was lost, has probably taken effect. A share that is certainly ours
    /// stays so, unless it was an older one that had ended before: then the present share replaces it.
    pub(super) fn mark_probable(&mut self, blueprint: Option<&Blueprint>, at: Timestamp) {
        let still = |owned: &OwnedShare| match blueprint {
            Some(blueprint) => owned.matches(blueprint),
            None => owned.missing_since.is_none(),
        };
        let probable =
            || OwnedShare::probable(blueprint.map(|blueprint| blueprint.id.to_string()), at);
        self.owned = Some(self.owned.take().filter(still).unwrap_or_else(probable));
    }

    /// How often within [`REVERSAL_WINDOW`] somebody else reversed a write towards `state` after it had been observed
    /// to hold. Valid only while the image is not in that state. A reversal counts from its discovery, which is when
    /// the write was repeated, or now. How long the share had stood before says nothing about the frequency of
    /// reversals.
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

    /// Whether the entry holds nothing that is worth keeping at `now`. `trust_acknowledged` says for how long the API's
    /// last reply counts once reading is denied.
    pub fn is_expired(&self, now: impl Into<Present>, trust_acknowledged: TimeDelta) -> bool {
        let now = now.into();
        let answer_kept = trust_acknowledged.max(REVERSAL_WINDOW);
        self.owned.is_none()
            && !self.protected
            && self.parked_since.is_none()
            && self.denied_since.is_none()
            && self
                .last_answer
                .is_none_or(|word| now.since(word.at) >= answer_kept)
            && self
                .writes
                .iter()
                .all(|write| now.since(write.at) >= REVERSAL_WINDOW)
    }
}

impl OwnedShare {
    /// Whether `blueprint` can be the blueprint of our share.
    pub(super) fn matches(&self, blueprint: &Blueprint) -> bool {
        let ours = self.blueprint.as_ref();
        ours.is_none_or(|ours| *ours == blueprint.id)
    }

    /// A share that is probably ours.
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

    /// A share that a person adopted after seeing this blueprint.
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

//! Losses that a person has accepted. A number alone would accept any loss of its size, in each later run too. So an
//! acceptance is applied to the first observation that it fits: it accepts the images that were missing then, and no
//! others.

use std::collections::BTreeSet;

use super::Inventory;
use crate::model::{ImageId, Timestamp};
use crate::observation::Seen;

/// A person's statement that this number of our shares in a scope has vanished. There is one for each scope and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossAcceptance {
    /// The number that the person gave.
    pub lost: u32,
    /// The accepted images that are still missing; `None` if no observation has shown a loss of this size since the
    /// statement.
    pub images: Option<BTreeSet<ImageId>>,
    /// The author: a person as `user@host`, or `--accept-lost`.
    pub by: String,
    /// The time of the statement.
    pub since: Timestamp,
}

impl LossAcceptance {
    /// The author of an acceptance that a flag gives.
    pub const BY_FLAG: &str = "--accept-lost";

    fn covers(&self, missing: &BTreeSet<ImageId>) -> bool {
        let images = self.images.as_ref();
        images.is_some_and(|images| missing.is_subset(images))
    }
}

impl Inventory {
    /// Whether a person has accepted a loss: exactly these images, or their number if no observation was compared with
    /// that acceptance yet. `accept_lost` is the number from the flag. The flag counts only once, because nobody
    /// removes it from the command line.
    pub fn is_loss_accepted(&self, missing: &BTreeSet<ImageId>, accept_lost: u32) -> bool {
        let mut acceptances = self.acceptances.iter();
        if acceptances.clone().any(|one| one.covers(missing)) {
            return true;
        }
        let of_size = acceptances.find(|one| one.lost as usize == missing.len());
        match of_size {
            Some(acceptance) => acceptance.images.is_none(),
            None => missing.len() == accept_lost as usize,
        }
    }

    /// Takes over acceptances that were made under an earlier name of the account. For the same number, an acceptance
    /// under the present name takes precedence.
    pub(super) fn inherit(&mut self, acceptances: Vec<LossAcceptance>) {
        for acceptance in acceptances {
            let mut own = self.acceptances.iter();
            if !own.any(|one| one.lost == acceptance.lost) {
                self.acceptances.push(acceptance);
            }
        }
    }

    /// Applies the acceptances to a complete observation, in which the `missing` images are an unexpected loss, if
    /// there is one. Returns the acceptances that change.
    pub(super) fn bind_acceptances(
        &mut self,
        seen: &Seen,
        missing: Option<&BTreeSet<ImageId>>,
        accept_lost: u32,
        now: Timestamp,
    ) -> Vec<LossAcceptance> {
        let before = self.acceptances.clone();
        for acceptance in &mut self.acceptances {
            if let Some(images) = &mut acceptance.images {
                images.retain(|image| !seen.shared.contains_key(image));
            }
        }
        if let Some(missing) = missing.filter(|missing| self.is_loss_accepted(missing, accept_lost))
            && !self.acceptances.iter().any(|one| one.covers(missing))
        {
            let mut acceptances = self.acceptances.iter_mut();
            match acceptances.find(|one| one.lost as usize == missing.len()) {
                Some(acceptance) => acceptance.images = Some(missing.clone()),
                None => self.acceptances.push(LossAcceptance {
                    lost: accept_lost,
                    images: Some(missing.clone()),
                    by: LossAcceptance::BY_FLAG.to_owned(),
                    since: now,
                }),
            }
        }
        let changed = self.acceptances.iter();
        let changed = changed.filter(|one| !before.contains(one));
        changed.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::at;
    use crate::observation::{Blueprint, BlueprintState};

    fn set(names: &[&str]) -> BTreeSet<ImageId> {
        let ids = names
            .iter()
            .map(|name| ImageId::new(&format!("img-{name}")));
        ids.map(|id| id.expect("an id")).collect()
    }

    fn blueprint() -> Blueprint {
        Blueprint {
            id: "lhbp-1".into(),
            state: BlueprintState::Normal,
            name: "".into(),
        }
    }

    fn seen(names: &[&str]) -> Seen {
        Seen {
            shared: set(names).into_iter().map(|id| (id, blueprint())).collect(),
            ..Seen::default()
        }
    }

    fn said(lost: u32) -> Inventory {
        Inventory {
            acceptances: vec![LossAcceptance {
                lost,
                images: None,
                by: "ann@desk".into(),
                since: at(0),
            }],
            ..Inventory::default()
        }
    }

    #[test]
    fn c9_a_flag_accepts_the_first_loss_of_its_size_and_no_later_one() {
        let mut inventory = Inventory::default();
        let (first, later) = (set(&["a", "b"]), set(&["c", "d"]));
        assert!(!inventory.is_loss_accepted(&set(&["a", "b", "c"]), 2));
        let changed = inventory.bind_acceptances(&seen(&[]), Some(&first), 2, at(1));
        assert_eq!(changed[0].images.as_ref(), Some(&first));
        assert_eq!(changed[0].by, "--accept-lost");
        assert!(inventory.is_loss_accepted(&first, 2));
        assert!(
            inventory.is_loss_accepted(&first, 0),
            "without the flag, too"
        );
        assert!(
            inventory.is_loss_accepted(&set(&["a"]), 0),
            "and what is left of it"
        );
        assert!(!inventory.is_loss_accepted(&later, 2));
        assert_eq!(
            inventory.bind_acceptances(&seen(&[]), Some(&later), 2, at(2)),
            []
        );
        // The same images are a new loss if they had returned in between.
        let changed = inventory.bind_acceptances(&seen(&["a", "b"]), None, 2, at(3));
        assert_eq!(changed[0].images, Some(BTreeSet::new()));
        assert!(!inventory.is_loss_accepted(&first, 2));
    }

    #[test]
    fn c9_what_a_person_says_waits_for_a_loss_of_that_size() {
        let mut inventory = said(2);
        assert_eq!(inventory.bind_acceptances(&seen(&[]), None, 0, at(1)), []);
        let other = set(&["a", "b", "c"]);
        assert!(!inventory.is_loss_accepted(&other, 0));
        assert_eq!(
            inventory.bind_acceptances(&seen(&[]), Some(&other), 0, at(1)),
            []
        );
        let loss = set(&["a", "b"]);
        let changed = inventory.bind_acceptances(&seen(&[]), Some(&loss), 0, at(2));
        assert_eq!(
            (changed[0].images.as_ref(), &*changed[0].by),
            (Some(&loss), "ann@desk")
        );
        assert!(inventory.is_loss_accepted(&loss, 0));
        assert!(!inventory.is_loss_accepted(&set(&["c", "d"]), 0));
    }
}

//! Issued temporary keys, with their sessions and expiry times. `sts` decides who may get one.

use std::collections::BTreeMap;

use super::roles::RoleIndex;

/// The most keys that are stored; the oldest is removed first. Expired keys stay known until then, because the API
/// refuses them for their token and not for their id.
const ISSUED_MAX: usize = 1_000;
/// A token consists of this many random numbers of 32 hexadecimal digits. Real tokens are also some hundred bytes long.
const TOKEN_DRAWS: usize = 8;

/// The assumption of a role by one call.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub role: RoleIndex,
    pub name: String,
    /// Uin of the calling account.
    pub principal: String,
}

#[derive(Clone, Debug)]
pub(super) struct TemporaryKey {
    pub secret_id: String,
    pub secret_key: String,
    pub token: String,
    pub session: Session,
    /// Time of issue in seconds of server time.
    pub issued: i64,
    /// The first second in which the key does not work.
    pub expires: i64,
}

/// Every temporary key that STS has issued.
#[derive(Debug, Default)]
pub(super) struct TemporaryKeys {
    /// Keys by SecretId. Ids begin with an increasing number, so the first key is the oldest.
    keys: BTreeMap<String, TemporaryKey>,
    count: u64,
    /// SecretId of the key that the metadata service shows.
    shown_by_metadata: Option<String>,
}

impl TemporaryKeys {
    /// Creates a key that works for `lifetime` seconds from `now` on.
    pub(super) fn issue(
        &mut self,
        session: Session,
        now: i64,
        lifetime: i64,
        rng: &mut fastrand::Rng,
    ) -> TemporaryKey {
        let mut draw = |count: usize| -> String {
            (0..count)
                .map(|_| format!("{:032x}", rng.u128(..)))
                .collect()
        };
        self.count += 1;
        let temporary = TemporaryKey {
            secret_id: format!("AKIDsimtmp{:08}{}", self.count, draw(1)),
            secret_key: draw(1),
            token: draw(TOKEN_DRAWS),
            session,
            issued: now,
            expires: now + lifetime,
        };
        if self.keys.len() == ISSUED_MAX {
            self.keys.pop_first();
        }
        self.keys
            .insert(temporary.secret_id.clone(), temporary.clone());
        temporary
    }

    /// The key with this SecretId.
    pub(super) fn get(&self, secret_id: &str) -> Option<&TemporaryKey> {
        self.keys.get(secret_id)
    }

    /// All stored keys, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &TemporaryKey> {
        self.keys.values()
    }

    /// The key that the metadata service shows, as long as half of its lifetime remains.
    pub(super) fn shown_by_metadata(&self, role: RoleIndex, now: i64) -> Option<&TemporaryKey> {
        let shown = self.get(self.shown_by_metadata.as_deref()?)?;
        let fresh = now < shown.issued + (shown.expires - shown.issued) / 2;
        (fresh && shown.session.role == role).then_some(shown)
    }

    /// Makes the metadata service show this key from now on.
    pub(super) fn show_by_metadata(&mut self, temporary: &TemporaryKey) {
        self.shown_by_metadata = Some(temporary.secret_id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_is_removed_first_and_all_keys_differ() {
        let (mut issued, mut rng) = (TemporaryKeys::default(), fastrand::Rng::with_seed(1));
        let role = RoleIndex {
            account: 0,
            role: 0,
        };
        let mut issue = || {
            let session = Session {
                role,
                name: "test".into(),
                principal: "1".into(),
            };
            issued.issue(session, 0, 10, &mut rng)
        };
        let first = issue();
        let second = issue();
        for (one, other) in [
            (&first.secret_id, &second.secret_id),
            (&first.secret_key, &second.secret_key),
            (&first.token, &second.token),
        ] {
            assert_ne!(one, other);
        }
        let last = (2..=ISSUED_MAX).map(|_| issue()).last().expect("some");
        assert_eq!(issued.all().count(), ISSUED_MAX);
        assert!(issued.get(&first.secret_id).is_none());
        for kept in [second, last] {
            assert!(issued.get(&kept.secret_id).is_some());
        }
    }
}

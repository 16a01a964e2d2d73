//! Temporary keys: what was given out, to whom, until when.

use std::collections::BTreeMap;

use super::roles::RolePlace;

/// Keys that are remembered, at most; the oldest is forgotten first. What has expired stays known until then, because
/// it is refused for its token and not for its id.
const ISSUED_MAX: usize = 1_000;
/// Draws of 32 hexadecimal digits each that make a token. Real ones are some hundred bytes long as well.
const TOKEN_DRAWS: usize = 8;

/// One who has assumed a role.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub role: RolePlace,
    pub name: String,
    /// The uin of the account that asked.
    pub principal: String,
}

/// A temporary key.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    pub secret_id: String,
    pub secret_key: String,
    pub token: String,
    pub session: Session,
    /// Server time, in seconds.
    pub issued: i64,
    /// The first second in which it does not work.
    pub expires: i64,
}

/// All that were given out.
#[derive(Debug, Default)]
pub(super) struct Issued {
    /// By SecretId. An id begins with its number, so that the first is the oldest.
    keys: BTreeMap<String, Temporary>,
    count: u64,
    /// The one that the metadata service shows.
    on_metadata: Option<String>,
}

impl Issued {
    /// Makes a key that works for `lifetime` seconds from `now` on.
    pub(super) fn issue(
        &mut self,
        session: Session,
        now: i64,
        lifetime: i64,
        rng: &mut fastrand::Rng,
    ) -> Temporary {
        let mut draw = |count: usize| -> String {
            (0..count)
                .map(|_| format!("{:032x}", rng.u128(..)))
                .collect()
        };
        self.count += 1;
        let temporary = Temporary {
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

    /// The key of this SecretId.
    pub(super) fn get(&self, secret_id: &str) -> Option<&Temporary> {
        self.keys.get(secret_id)
    }

    /// All that are remembered, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Temporary> {
        self.keys.values()
    }

    /// What the metadata service shows, while half of its life is left.
    pub(super) fn on_metadata(&self, role: RolePlace, now: i64) -> Option<&Temporary> {
        let shown = self.get(self.on_metadata.as_deref()?)?;
        let fresh = now < shown.issued + (shown.expires - shown.issued) / 2;
        (fresh && shown.session.role == role).then_some(shown)
    }

    /// Shows this one from now on.
    pub(super) fn show_on_metadata(&mut self, temporary: &Temporary) {
        self.on_metadata = Some(temporary.secret_id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_is_forgotten_first_and_no_two_are_alike() {
        let (mut issued, mut rng) = (Issued::default(), fastrand::Rng::with_seed(1));
        let role = RolePlace {
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

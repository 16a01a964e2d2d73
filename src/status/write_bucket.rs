//! The rate at which a scope's writes leave, and how long the pending writes take at that rate.

use std::time::Duration;

use super::{Board, scope_mut};
use crate::model::Scope;

/// The rate bucket for a scope's writes. Scopes with the same account key and host share it.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteBucket {
    /// Host name of the access point.
    pub host: String,
    /// The current number of writes a second.
    pub per_second: f64,
}

impl Board {
    /// Records the rate at which a scope's writes leave. This alone makes no new version: the rate changes with every
    /// pass, and readers need not be woken for it.
    pub fn write_rate_changed(&mut self, scope: &Scope, bucket: WriteBucket) {
        if let Some(status) = scope_mut(&mut self.scopes, scope) {
            status.write_bucket = Some(bucket);
        }
    }

    /// The time that the pending calls of a scope take at the current rate. Scopes that share a bucket alternate, so
    /// their calls count too. `pending` is called for each of those scopes.
    pub fn eta(&self, scope: &Scope, pending: impl Fn(&Scope) -> usize) -> Option<Duration> {
        let bucket = self.scopes.get(scope)?.write_bucket.as_ref()?;
        if self.observe_only || pending(scope) == 0 {
            return None;
        }
        let sharing = self.scopes_of(&scope.account).filter(|(_, status)| {
            let its_bucket = status.write_bucket.as_ref();
            its_bucket.is_some_and(|its| its.host == bucket.host)
        });
        let calls: usize = sharing.map(|(scope, _)| pending(scope)).sum();
        Duration::try_from_secs_f64(calls as f64 / bucket.per_second).ok()
    }
}

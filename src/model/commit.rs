use std::fmt;

use super::Timestamp;

/// A git commit, and its place in time among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The full hash, in hexadecimal.
    pub hash: String,
    /// When it was committed, by the clock of whoever did.
    pub committed: Timestamp,
}

impl Commit {
    /// Whether it was made before `other`. Commits of one second have no order, and neither has a commit with itself.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.hash != other.hash && self.committed < other.committed
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = self.committed.format("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "{} of {committed}", self.hash)
    }
}

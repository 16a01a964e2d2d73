//! A commit of the manifests and its order relative to another one, as far as a repository can tell. It must not know git's
//! commands.

use std::fmt;

use super::Timestamp;
use crate::words::rfc3339;

/// A git commit, and its place in time among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Full hash in hexadecimal digits.
    pub hash: String,
    /// Commit time by the clock of the committer.
    pub committed: Timestamp,
}

/// How the history in a repository relates a commit to the newest one that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// The newest commit was made on top of this commit.
    Ancestor,
    /// This commit was made on top of the newest one.
    Descendant,
    /// The history does not connect the two.
    Unconnected(Gap),
}

/// Why the history does not connect two commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The clone has the whole history, and neither commit contains the other.
    Diverged,
    /// Both commits are there, but the clone is shallow, so the history between them may be cut off.
    CutOff,
    /// The newest commit is not in this clone, and the clone is shallow.
    Shallow,
    /// The newest commit is not in this clone, although the clone has its whole history.
    Absent,
}

/// The order of a commit relative to the newest one that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Both are one commit.
    Same,
    /// The commit comes before the newest one.
    Older(Basis),
    /// The commit comes after the newest one.
    Newer(Basis),
    /// Nothing shows which commit comes first: the history does not connect them, and both were made in the same second.
    Untold(Gap),
}

/// What decided an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// One commit contains the other, whatever their dates are.
    History,
    /// Only the dates, because the history does not connect the commits.
    Dates(Gap),
}

impl Commit {
    /// Orders this commit relative to the newest one. The history decides where it connects the two, because each date
    /// comes from the clock of whoever made the commit. Otherwise the dates decide.
    pub fn order(&self, newest: &Self, ancestry: Ancestry) -> Order {
        if self.hash == newest.hash {
            return Order::Same;
        }
        match ancestry {
            Ancestry::Ancestor => Order::Older(Basis::History),
            Ancestry::Descendant => Order::Newer(Basis::History),
            Ancestry::Unconnected(gap) => match self.committed.cmp(&newest.committed) {
                std::cmp::Ordering::Less => Order::Older(Basis::Dates(gap)),
                std::cmp::Ordering::Equal => Order::Untold(gap),
                std::cmp::Ordering::Greater => Order::Newer(Basis::Dates(gap)),
            },
        }
    }

    /// Returns the hash if it has the form of one. Text from elsewhere may be anything, and git reads some words as
    /// options.
    pub fn full_hash(&self) -> Option<&str> {
        is_hash(self.hash.as_bytes()).then_some(self.hash.as_str())
    }
}

/// Whether the text has the digits of a full SHA-1 or SHA-256 hash.
pub(crate) fn is_hash(text: &[u8]) -> bool {
    matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit)
}

impl Basis {
    /// A way to let the history decide where it does not yet.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::History => None,
            Self::Dates(gap) => gap.remedy(),
        }
    }
}

impl Gap {
    /// A way to fetch the missing history, if there is one.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Diverged => None,
            Self::CutOff | Self::Shallow => Some(
                "fetch the whole history (`fetch-depth: 0` for actions/checkout, else `git fetch --unshallow`)",
            ),
            Self::Absent => Some("fetch the branch that holds it, if the branch still exists"),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Diverged => {
                "neither of the two commits contains the other: branches diverged, or history was rewritten"
            }
            Self::CutOff => {
                "this clone is shallow, and the part of the history in it does not connect the two commits"
            }
            Self::Shallow => "the newest commit is not in this clone, which is shallow",
            Self::Absent => {
                "the newest commit is not in this clone: history was rewritten, or its branch was not fetched"
            }
        })
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = rfc3339(self.committed);
        write!(f, "{} of {committed}", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn commit(letter: &str, second: i64) -> Commit {
        Commit {
            hash: letter.repeat(40),
            committed: DateTime::from_timestamp(second, 0).expect("a time"),
        }
    }

    #[test]
    fn g9_history_decides_where_it_connects_and_dates_elsewhere() {
        use Ancestry::{Ancestor, Descendant, Unconnected};
        let newest = commit("b", 10);
        for second in [9, 10, 11] {
            let other = commit("a", second);
            let older = Order::Older(Basis::History);
            assert_eq!(other.order(&newest, Ancestor), older, "{second}");
            let newer = Order::Newer(Basis::History);
            assert_eq!(other.order(&newest, Descendant), newer, "{second}");
            for gap in [Gap::Diverged, Gap::CutOff, Gap::Shallow, Gap::Absent] {
                let expected = match second {
                    9 => Order::Older(Basis::Dates(gap)),
                    10 => Order::Untold(gap),
                    _ => Order::Newer(Basis::Dates(gap)),
                };
                assert_eq!(other.order(&newest, Unconnected(gap)), expected, "{second}");
            }
            // A commit contains itself and is not older than itself.
            let same = commit("b", second);
            for ancestry in [Ancestor, Descendant, Unconnected(Gap::Absent)] {
                assert_eq!(same.order(&newest, ancestry), Order::Same);
            }
        }
    }

    #[test]
    fn only_hexadecimal_digits_in_full_are_a_hash() {
        for good in ["a".repeat(40), "0F".repeat(32)] {
            assert!(is_hash(good.as_bytes()), "{good}");
        }
        for bad in ["", "HEAD", "--all", &"a".repeat(39), &"g".repeat(40)] {
            assert!(!is_hash(bad.as_bytes()), "{bad}");
        }
    }
}

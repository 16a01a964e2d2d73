//! Compares the commit of the manifests with the newest commit that was applied: a value for `reconcile`, which refuses
//! an older one, for `plan`, which warns, and for `doctor`.

use crate::manifest::RevisionError;
use crate::model::{Ancestry, Basis, Commit, Gap, Order};
use crate::store::NewestCommit;
use crate::words::rfc3339;

/// The commit of the manifests compared with the newest commit that a state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitCheck {
    /// The manifests are of that commit or a newer one, or there is nothing to compare.
    Fine,
    /// Only the dates can be compared, and by them the manifests are not older.
    ByDate {
        /// Commit of the manifests.
        commit: Commit,
        /// The commit that it was compared with.
        newest: NewestCommit,
        /// Why the history does not show the order.
        gap: Gap,
    },
    /// The manifests are of an older commit.
    Older {
        /// Commit of the manifests.
        commit: Commit,
        /// The commit that it was compared with.
        newest: NewestCommit,
        /// The evidence that it is older.
        basis: Basis,
    },
    /// The commit of the manifests, or its place in the history, is unknown.
    Unknown {
        why: String,
        /// How to make it known.
        remedy: String,
        /// The commit that it cannot be compared with; `None` if the state knows no commit.
        newest: Option<NewestCommit>,
    },
}

impl CommitCheck {
    /// Compares the commit of the manifests with the newest one.
    pub fn compared(
        commit: &Commit,
        newest: NewestCommit,
        ancestry: Result<Ancestry, RevisionError>,
    ) -> Self {
        let ancestry = match ancestry {
            Ok(ancestry) => ancestry,
            Err(unknown) => return Self::unknown(&unknown, Some(newest)),
        };
        let order = commit.order(&newest.commit, ancestry);
        let commit = commit.clone();
        match order {
            Order::Same | Order::Newer(Basis::History) => Self::Fine,
            Order::Newer(Basis::Dates(gap)) | Order::Untold(gap) => Self::ByDate {
                commit,
                newest,
                gap,
            },
            Order::Older(basis) => Self::Older {
                commit,
                newest,
                basis,
            },
        }
    }

    /// The result if a repository gives no answer.
    pub fn unknown(why: &RevisionError, newest: Option<NewestCommit>) -> Self {
        Self::Unknown {
            why: why.to_string(),
            remedy: why.remedy(),
            newest,
        }
    }

    /// The result if there is no repository, although there is a commit to compare with.
    pub fn no_repository(newest: NewestCommit) -> Self {
        Self::Unknown {
            why: "they are not in a git repository".into(),
            remedy: "give the manifests in their git checkout, with its `.git` directory".into(),
            newest: Some(newest),
        }
    }

    /// Why `reconcile` refuses the manifests, with the remedies; `None` if it accepts them.
    pub fn refusal(&self) -> Option<String> {
        let remedy = self.remedy();
        match self {
            Self::Older { .. } => Some(format!(
                "the manifests are {}, so nothing was done; {}reconcile the newer one, or, to go back on purpose, give `--allow-older-commit`",
                self.older()?,
                remedy.map_or_else(String::new, |remedy| format!("{remedy}, "))
            )),
            Self::Unknown {
                why,
                newest: Some(newest),
                ..
            } => Some(format!(
                "the commit of the manifests is unknown: {why}; {}, and manifests of an older commit must not undo that, so nothing was done; \
                 {}, or, if these manifests are intended, give `--allow-unknown-commit`",
                worked_on(newest),
                remedy?
            )),
            Self::Fine | Self::ByDate { .. } | Self::Unknown { newest: None, .. } => None,
        }
    }

    /// What a user must know before `reconcile`, without the remedy.
    pub fn forecast(&self) -> Option<String> {
        match self {
            Self::Older { .. } => Some(format!(
                "`reconcile` would refuse these manifests without `--allow-older-commit`: they are {}",
                self.older()?
            )),
            Self::Unknown {
                why,
                newest: Some(newest),
                ..
            } => Some(format!(
                "`reconcile` would refuse these manifests without `--allow-unknown-commit`: their commit is unknown: {why}; {}",
                worked_on(newest)
            )),
            Self::Fine | Self::ByDate { .. } | Self::Unknown { newest: None, .. } => self.caution(),
        }
    }

    /// What a user must know while the manifests are applied, without the remedy.
    pub fn caution(&self) -> Option<String> {
        match self {
            Self::Fine | Self::Older { .. } => None,
            Self::ByDate {
                commit,
                newest,
                gap,
            } => Some(format!(
                "the manifests are of commit {commit}, and {}; by the dates alone they are not older ({gap})",
                worked_on(newest)
            )),
            Self::Unknown { why, newest, .. } => {
                let so = match newest {
                    Some(newest) => format!("they were not compared with commit {}", newest.commit),
                    None => "later runs cannot determine whether their commit is older".into(),
                };
                Some(format!(
                    "the commit of the manifests is unknown: {why}; {so}"
                ))
            }
        }
    }

    /// A way to make the commits comparable, if there is one.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::ByDate { gap, .. } => gap.remedy(),
            Self::Older { basis, .. } => basis.remedy(),
            Self::Unknown { remedy, .. } => Some(remedy),
        }
    }

    /// Appends the remedy to one of the texts above.
    pub fn with_remedy(&self, text: String) -> String {
        match self.remedy() {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        }
    }

    /// The commit of the manifests, and the newer one.
    fn older(&self) -> Option<String> {
        let Self::Older {
            commit,
            newest,
            basis,
        } = self
        else {
            return None;
        };
        let by = match basis {
            Basis::History => String::new(),
            Basis::Dates(gap) => format!(" by the dates alone ({gap})"),
        };
        let NewestCommit {
            commit: newer,
            since,
        } = newest;
        let since = rfc3339(*since);
        Some(format!(
            "of commit {commit}, and commit {newer}, which is newer{by}, has been in use since {since}"
        ))
    }
}

/// The newest commit, and since when it has been in use.
fn worked_on(newest: &NewestCommit) -> String {
    let since = rfc3339(newest.since);
    format!("commit {} has been in use since {since}", newest.commit)
}

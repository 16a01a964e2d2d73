//! What is told of the commit of the manifests beside the newest one that was worked on: a value for `reconcile`, which
//! refuses, `plan`, which warns, and `doctor`.

use crate::manifest::RevisionError;
use crate::model::{Ancestry, Basis, Commit, Gap, Order};
use crate::store::NewestCommit;
use crate::words::rfc3339;

/// How the manifests stand to the newest commit that a state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitCheck {
    /// They are of that commit or of a newer one, or there is nothing to compare.
    Fine,
    /// Nothing but dates speaks for or against them, and the dates are not against them.
    ByDate {
        /// The commit of the manifests.
        commit: Commit,
        /// What it was compared with.
        newest: NewestCommit,
        /// Why the history does not tell.
        gap: Gap,
    },
    /// They are of an older commit.
    Older {
        /// The commit of the manifests.
        commit: Commit,
        /// What it was compared with.
        newest: NewestCommit,
        /// What tells that it is older.
        basis: Basis,
    },
    /// Their commit, or its place in the history, cannot be told.
    Unknown {
        why: String,
        /// What lets it be told.
        remedy: String,
        /// What it cannot be compared with; none where the state knows no commit.
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

    /// A repository does not tell.
    pub fn unknown(why: &RevisionError, newest: Option<NewestCommit>) -> Self {
        Self::Unknown {
            why: why.to_string(),
            remedy: why.remedy(),
            newest,
        }
    }

    /// There is no repository, though there is a commit to compare with.
    pub fn no_repository(newest: NewestCommit) -> Self {
        Self::Unknown {
            why: "they are in no git repository".into(),
            remedy: "give them in their checkout, with its `.git`".into(),
            newest: Some(newest),
        }
    }

    /// Why `reconcile` refuses the manifests, and the ways out; none if it does not.
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
                "the commit of the manifests cannot be told: {why}; {}, and manifests of an older commit must not undo that, so nothing was done; \
                 {}, or, if these manifests are meant, give `--allow-unknown-commit`",
                worked_on(newest),
                remedy?
            )),
            Self::Fine | Self::ByDate { .. } | Self::Unknown { newest: None, .. } => None,
        }
    }

    /// What is to be known before `reconcile`, without the remedy.
    pub fn forecast(&self) -> Option<String> {
        match self {
            Self::Older { .. } => Some(format!(
                "`reconcile` would refuse these manifests, without `--allow-older-commit`: they are {}",
                self.older()?
            )),
            Self::Unknown {
                why,
                newest: Some(newest),
                ..
            } => Some(format!(
                "`reconcile` would refuse these manifests, without `--allow-unknown-commit`: their commit cannot be told: {why}; {}",
                worked_on(newest)
            )),
            Self::Fine | Self::ByDate { .. } | Self::Unknown { newest: None, .. } => self.caution(),
        }
    }

    /// What is to be known where the manifests are worked on, without the remedy.
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
                    None => "no later run can tell whether it is of an older one".into(),
                };
                Some(format!(
                    "the commit of the manifests cannot be told: {why}; {so}"
                ))
            }
        }
    }

    /// What lets the commits be compared, if anything does.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::ByDate { gap, .. } => gap.remedy(),
            Self::Older { basis, .. } => basis.remedy(),
            Self::Unknown { remedy, .. } => Some(remedy),
        }
    }

    /// One of the above for a person, with the remedy.
    pub fn with_remedy(&self, text: String) -> String {
        match self.remedy() {
            Some(remedy) => format!("{text}; {remedy}"),
            None => text,
        }
    }

    /// Of which commit they are, and which newer one there is.
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
            "of commit {commit}, and commit {newer}, which is newer{by}, has been worked on since {since}"
        ))
    }
}

/// What was done, and since when.
fn worked_on(newest: &NewestCommit) -> String {
    let since = rfc3339(newest.since);
    format!("commit {} has been worked on since {since}", newest.commit)
}

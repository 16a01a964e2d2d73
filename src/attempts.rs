//! What a run remembers of its own writes to one scope, so that a lagging read is told from drift.
//!
//! A value that the planner reads and the engine keeps; knows nothing of either.

use std::collections::BTreeMap;
use std::fmt;

use crate::inventory::UnexpectedLoss;
use crate::model::{ImageId, KeyDigest, Monotonic, ShareState, Uin};

/// Own writes, and doubts, by image.
#[derive(Clone, Debug, Default)]
pub struct AttemptLog {
    /// What was last tried for each image.
    pub tried: BTreeMap<ImageId, PendingAttempt>,
    /// Since when the API calls an image unshareable without saying why. It says so of an image that
    /// is shared already, too, which a lagging list of blueprints may not show yet.
    pub doubted_since: BTreeMap<ImageId, Monotonic>,
    /// Since when much of what is ours does not show.
    pub loss_since: Option<Monotonic>,
    /// Much of what is ours did not show at some time in this run. To share it again mends the view, not the doubt.
    pub loss: Option<UnexpectedLoss>,
    /// Why this run prunes nothing: it is the first under another account, or with a key that nothing proves to be of
    /// the same one. The next run goes on.
    pub account_doubt: Option<AccountDoubt>,
    /// The key that this run began with, if it is one that lasts.
    pub key: Option<KeyDigest>,
    /// Why nothing more is written in this pass, once that is so.
    pub rest: Option<WritePause>,
}

/// Why nothing more is written in a scope for now: one finding for all images that were not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritePause {
    /// It holds for the whole account.
    pub of_account: bool,
    /// What was found.
    pub problem: Problem,
}

impl WritePause {
    /// Of the scope alone.
    pub fn of_scope(problem: Problem) -> Self {
        Self {
            of_account: false,
            problem,
        }
    }

    /// Of all scopes of the account.
    pub fn of_account(problem: Problem) -> Self {
        Self {
            of_account: true,
            problem,
        }
    }
}

impl fmt::Display for WritePause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not tried: {}", self.problem)
    }
}

/// Why images may be another account's than those that the state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountDoubt {
    /// The state was used with another account under this name.
    Changed {
        /// The account that the state knows.
        was: Uin,
        /// The account that the credentials belong to.
        is: Uin,
    },
    /// Nothing proves that it is the same account; holds why that is in doubt.
    Unproven(String),
}

/// The writes sent for one image in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAttempt {
    /// The state they were to bring about.
    pub towards: ShareState,
    /// How many the API acknowledged.
    pub acknowledged: u32,
    /// How many ended without a clear answer.
    pub unclear: u32,
    /// The last error code that left the outcome open, and how often it came in a row.
    pub answer: Option<Repeated>,
    /// How the last one ended.
    pub last: LastResult,
}

/// An answer that came in a row. Replies that are lost in between say nothing, and do not end the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The API's error code.
    pub code: String,
    /// How often.
    pub times: u32,
    /// When it came first.
    pub since: Monotonic,
}

/// How the last write for an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastResult {
    /// The API said it is done.
    Acknowledged {
        /// When the answer came.
        at: Monotonic,
        /// Null after CANCEL, and possibly after SHARE.
        blueprint_id: Option<String>,
        /// For the vendor's support.
        request_id: Option<String>,
    },
    /// SHARE was answered with `ImageAlreadyShared`: as desired, but not our doing.
    AlreadyShared {
        /// For the vendor's support.
        request_id: Option<String>,
    },
    /// No answer, or one that leaves the outcome open: only looking tells.
    Unclear {
        /// When that was known.
        at: Monotonic,
        /// What happened.
        problem: Problem,
    },
    /// A person must act before another try makes sense.
    Blocked(Problem),
    /// The same, because the API denies it: to this image, or to all.
    Denied(Problem),
    /// Given up after retries.
    Failed(Problem),
    /// It had no effect so far, and the pass ended before the next try.
    CutShort(Problem),
}

/// What went wrong, for a person and for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One line.
    pub message: String,
    /// The API's error code.
    pub code: Option<String>,
    /// For the vendor's support.
    pub request_id: Option<String>,
    /// The condition that is not met, where it was read off the image or its blueprint.
    pub unmet: Option<UnmetCondition>,
}

/// A condition that an image does not meet for sharing it, for using the share, or for ending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmetCondition {
    /// There is no such image.
    Absent,
    /// It is still being made, and will meet it by itself.
    NotYet,
    /// It never will, unless a person changes it.
    Never,
    /// It is shared, and its blueprint is in a state that no server can be started from.
    Usable,
    /// It is to be cancelled, and its blueprint is left over: CANCEL does nothing about it.
    Leftover,
}

impl Problem {
    /// A problem that the API gave no code for.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
            request_id: None,
            unmet: None,
        }
    }

    /// A condition that is not met.
    pub fn unmet(unmet: UnmetCondition, message: impl Into<String>) -> Self {
        Self {
            unmet: Some(unmet),
            ..Self::new(message)
        }
    }
}

impl LastResult {
    /// Whether there is no use in another try for now.
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Blocked(_) | Self::Denied(_) | Self::Failed(_))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl AttemptLog {
    /// Adds how a write towards `towards` ended.
    pub fn record(&mut self, image: ImageId, towards: ShareState, last: LastResult) {
        let tried = self
            .tried
            .entry(image)
            .and_modify(|tried| {
                if tried.towards != towards {
                    (tried.acknowledged, tried.unclear) = (0, 0);
                    tried.answer = None;
                }
            })
            .or_insert(PendingAttempt {
                towards,
                acknowledged: 0,
                unclear: 0,
                answer: None,
                last: last.clone(),
            });
        tried.towards = towards;
        match &last {
            LastResult::Acknowledged { .. } => {
                tried.acknowledged += 1;
                tried.answer = None;
            }
            LastResult::Unclear { at, problem } => {
                tried.unclear += 1;
                if let Some(code) = &problem.code {
                    tried.answered(code, *at);
                }
            }
            LastResult::AlreadyShared { .. }
            | LastResult::Blocked(_)
            | LastResult::Denied(_)
            | LastResult::Failed(_)
            | LastResult::CutShort(_) => tried.answer = None,
        }
        tried.last = last;
    }

    /// What was tried to bring `state` about for `image`.
    pub fn tried_towards(&self, image: &ImageId, state: ShareState) -> Option<&PendingAttempt> {
        self.tried.get(image).filter(|tried| tried.towards == state)
    }
}

impl PendingAttempt {
    /// Whether the last write ended in doubt, with the error code `code`.
    pub fn is_unclear_with(&self, code: &str) -> bool {
        matches!(&self.last, LastResult::Unclear { problem, .. } if problem.code.as_deref() == Some(code))
    }

    fn answered(&mut self, code: &str, at: Monotonic) {
        match &mut self.answer {
            Some(answer) if answer.code == code => answer.times += 1,
            other => {
                *other = Some(Repeated {
                    code: code.to_owned(),
                    times: 1,
                    since: at,
                });
            }
        }
    }

    /// Has one more write tried for what was given up because one answer kept coming: if it comes once more, that is
    /// enough. False where it was given up for another reason.
    pub fn once_more(&mut self) -> bool {
        let LastResult::Unclear { problem, .. } = &self.last else {
            return false;
        };
        match &mut self.answer {
            Some(answer) if answer.times > 1 && problem.code.as_ref() == Some(&answer.code) => {
                answer.times -= 1;
                self.unclear = answer.times;
                true
            }
            _ => false,
        }
    }
}

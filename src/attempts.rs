//! What a run remembers of its own writes to one scope, so that a lagging read can be told from drift. These are plain
//! values: the planner reads them and the engine keeps them, and this module must not know either.

use std::collections::BTreeMap;
use std::fmt;

use crate::inventory::UnexpectedLoss;
use crate::model::{ImageId, KeyDigest, Monotonic, ShareState, Uin};
use crate::words::with_request_id;

/// The writes of this run to one scope, and what the run waits for or doubts there.
#[derive(Clone, Debug, Default)]
pub struct AttemptLog {
    /// The attempts at each image. Attempts that are settled are not in the map.
    pub tried: BTreeMap<ImageId, ImageAttempts>,
    /// Since when the API has called an image unshareable without giving a reason. The API also says this of an image
    /// that is already shared, and a lagging list of blueprints may not show that image yet.
    pub unshareable_since: BTreeMap<ImageId, Monotonic>,
    /// Since when many of our shares have been missing from observations.
    pub unexpected_loss_since: Option<Monotonic>,
    /// The loss that this run has seen at any time. It stays when the images are shared again: sharing repairs the view
    /// but does not explain the loss.
    pub loss: Option<UnexpectedLoss>,
    /// Why this run prunes nothing: it is the first run under another account, or it uses a key that nothing proves to
    /// belong to the same account. The next run prunes again.
    pub account_doubt: Option<AccountDoubt>,
    /// The key that this run began with, unless it is a temporary one.
    pub key: Option<KeyDigest>,
    /// Why this pass sends no further writes, once that is known.
    pub write_pause: Option<WritePause>,
}

/// Why no further writes are sent in a scope for now. It is reported once, for all images that were not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritePause {
    /// Whether all scopes of the account pause, or only this one.
    pub of_account: bool,
    /// What the API or the credentials answered.
    pub problem: Problem,
}

impl WritePause {
    /// A pause of this scope alone.
    pub fn of_scope(problem: Problem) -> Self {
        Self {
            of_account: false,
            problem,
        }
    }

    /// A pause of all scopes of the account.
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

/// Why the images may belong to an account other than the one that the state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountDoubt {
    /// The state knows another account under this name.
    Changed {
        /// The account that the state knows.
        was: Uin,
        /// The account that the credentials belong to.
        is: Uin,
    },
    /// Nothing proves that it is the same account. Holds the reason for the doubt.
    Unproven(String),
}

/// The attempts at one image in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageAttempts {
    /// The state that the attempts should lead to.
    pub towards: ShareState,
    /// How many attempts the API acknowledged.
    pub acknowledged: u32,
    /// How many attempts ended without a clear answer.
    pub unclear: u32,
    /// The last error code that left the outcome open, and how often it came in a row.
    pub answer: Option<RepeatedAnswer>,
    /// How the last attempt ended.
    pub last: LastResult,
}

/// An error code that came several times in a row. Replies that were lost in between carry no information and do not
/// end the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedAnswer {
    /// The code as the API spells it.
    pub code: String,
    /// The length of the row, from 1.
    pub times: u32,
    /// When the row began.
    pub since: Monotonic,
}

/// How the last attempt at an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastResult {
    /// The API acknowledged the write.
    Acknowledged {
        /// When the answer arrived.
        at: Monotonic,
        /// The new blueprint. Null after CANCEL, and possibly after SHARE.
        blueprint_id: Option<String>,
        /// The RequestId, for the vendor's support.
        request_id: Option<String>,
    },
    /// The API answered SHARE with `ImageAlreadyShared`: the image is as desired, but sharekeeper did not share it.
    AlreadyShared {
        /// The RequestId, for the vendor's support.
        request_id: Option<String>,
    },
    /// There was no answer, or one that leaves the outcome open. Only the next observation shows what happened.
    Unclear {
        /// When the attempt ended.
        at: Monotonic,
        /// The transport's error, or the API's refusal.
        problem: Problem,
    },
    /// A person must act before another attempt makes sense.
    Blocked(Problem),
    /// The API denies the write, for this image or for all images. A person must act here, too.
    Denied(Problem),
    /// Retried within one pass, then given up.
    Failed(Problem),
    /// The attempts so far had no effect, and the pass ended before the next one.
    CutShort(Problem),
}

/// What went wrong, for a person and for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One line for a person.
    pub message: String,
    /// The API's error code, if the API answered.
    pub code: Option<String>,
    /// The RequestId, for the vendor's support.
    pub request_id: Option<String>,
    /// What a person can do, if the answer alone shows it. It ends `message` in parentheses.
    pub remedy: Option<Box<str>>,
    /// The condition that is not met, if the image or its blueprint shows one.
    pub unmet: Option<UnmetCondition>,
}

/// A condition that the image does not meet: for sharing it, for using its share, or for ending the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmetCondition {
    /// The account has no such image.
    Absent,
    /// The image is still being made. It will meet the condition without any action.
    NotYet,
    /// The image never meets the condition unless a person changes the image.
    Never,
    /// The image is shared, but no server can be started from its blueprint.
    Usable,
    /// The share should end, but its blueprint is left over and CANCEL has no effect on it.
    Leftover,
}

impl Problem {
    /// A problem without an error code.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
            request_id: None,
            remedy: None,
            unmet: None,
        }
    }

    /// The message for a person, with the RequestId if there is one.
    pub fn told(&self) -> String {
        with_request_id(&self.message, self.request_id.as_deref())
    }

    /// A problem that an unmet condition explains.
    pub fn unmet(unmet: UnmetCondition, message: impl Into<String>) -> Self {
        Self {
            unmet: Some(unmet),
            ..Self::new(message)
        }
    }
}

impl LastResult {
    /// Whether another attempt is pointless for now.
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
    /// Records how an attempt towards `towards` ended. An attempt in the other direction restarts the counts.
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
            .or_insert(ImageAttempts {
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

    /// The attempts at `image`, if the last of them was towards `state`.
    pub fn tried_towards(&self, image: &ImageId, state: ShareState) -> Option<&ImageAttempts> {
        self.tried.get(image).filter(|tried| tried.towards == state)
    }
}

impl ImageAttempts {
    /// Whether the last attempt left its outcome open with the error code `code`.
    pub fn is_unclear_with(&self, code: &str) -> bool {
        matches!(&self.last, LastResult::Unclear { problem, .. } if problem.code.as_deref() == Some(code))
    }

    fn answered(&mut self, code: &str, at: Monotonic) {
        match &mut self.answer {
            Some(answer) if answer.code == code => answer.times += 1,
            other => {
                *other = Some(RepeatedAnswer {
                    code: code.to_owned(),
                    times: 1,
                    since: at,
                });
            }
        }
    }

    /// Allows one more attempt at an image that was given up because the same answer kept coming. If that answer comes
    /// once more, the image is given up again. Returns false if the image was given up for another reason.
    pub fn allow_one_retry(&mut self) -> bool {
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

//! The exit status of each command. The numbers are a public interface, and the JSON documents contain them too.

use serde::{Serialize, Serializer};

/// The exit status of the process, as docs/cli.md lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command is done, and everything is in the desired state.
    Done,
    /// The manifests, credentials, state or API failed, and nothing was decided.
    Error,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// A guard withheld changes.
    Withheld,
    /// The command finished, but some images are not in the desired state.
    Incomplete,
    /// The saved plan is stale, or a newer commit of the manifests has been in use.
    Stale,
    /// The command line is wrong.
    Usage,
    /// SIGHUP ended the command after calls in flight settled.
    HungUp,
    /// SIGINT ended the command after calls in flight settled.
    Interrupted,
    /// The reader of the result is gone; all started work is finished and recorded.
    ClosedPipe,
    /// SIGTERM ended the command after calls in flight settled.
    Terminated,
}

impl ExitStatus {
    /// Every status, in the order of the numbers.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Error,
        Self::Changes,
        Self::Withheld,
        Self::Incomplete,
        Self::Stale,
        Self::Usage,
        Self::HungUp,
        Self::Interrupted,
        Self::ClosedPipe,
        Self::Terminated,
    ];

    /// Describes the status for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, and everything is in the desired state",
            Self::Error => "error: manifests, credentials, state or API; nothing was decided on it",
            Self::Changes => {
                "`plan --detailed-exitcode`: there are changes; `lock --check`: policies select other images than the lock file lists"
            }
            Self::Withheld => "a guard withheld changes",
            Self::Incomplete => {
                "`reconcile` finished, but some images are not in the desired state"
            }
            Self::Stale => {
                "the saved plan or the lock file is stale, or the manifests' commit is older than the newest; nothing was done"
            }
            Self::Usage => {
                "usage error; or the saved plan was made with wider guards than the command line allows"
            }
            Self::HungUp => "stopped by SIGHUP, after calls in flight settled",
            Self::Interrupted => "stopped by SIGINT, after calls in flight settled",
            Self::ClosedPipe => {
                "the reader of the result is gone; all started work is finished and recorded"
            }
            Self::Terminated => "stopped by SIGTERM, after calls in flight settled",
        }
    }

    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Withheld => 3,
            Self::Incomplete => 4,
            Self::Stale => 5,
            Self::Usage => 64,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            // The status that a shell reports for a process that SIGPIPE ended.
            Self::ClosedPipe => 141,
            Self::Terminated => 143,
        }
    }
}

/// A JSON document shows the number.
impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nc3_all_statuses_are_listed_in_order() {
        let codes = ExitStatus::ALL.map(ExitStatus::code);
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let arms = include_str!("exit.rs").lines();
        let has_number = |line: &&str| {
            let arm = line.trim().strip_prefix("Self::");
            let number = arm.and_then(|arm| arm.split_once(" => "));
            number.is_some_and(|(_, number)| number.trim_end_matches(',').parse::<u8>().is_ok())
        };
        assert_eq!(arms.filter(has_number).count(), codes.len());
    }
}

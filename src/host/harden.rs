//! Keeps the memory of this process private: no core dumps, no debugger.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps keys in memory from reaching a disk or other processes of this user: no core dumps and, on Linux, no debugger.
/// If the system does not allow that, work continues, because this is a second line of defence.
pub fn keep_memory_private() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(%error, "core dumps cannot be turned off");
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::debug!(%error, "this process cannot be shielded from debuggers");
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    #[test]
    fn s12_no_core_is_ever_dumped() {
        keep_memory_private();
        assert_eq!(
            dumpable_behavior().expect("Linux tells"),
            DumpableBehavior::NotDumpable
        );
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}

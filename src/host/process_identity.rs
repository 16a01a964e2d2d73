//! Identifies the process that wrote a file, and finds out whether that process still runs. A process id alone is not
//! enough: the kernel reuses ids, each boot restarts the count, and each container counts on its own.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::process;

/// Linux's own view of the processes.
const PROC: &str = "/proc";

/// Identifies a process on one machine, across boots and PID namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id within `pid_namespace`.
    pub pid: u32,
    /// The random id that the kernel keeps from one boot to the next.
    pub boot_id: String,
    /// The namespace that `pid` belongs to; `None` if Linux does not show it.
    pub pid_namespace: Option<String>,
    /// When the process began, in clock ticks since the boot.
    pub start_ticks: u64,
}

/// Whether a process runs, as far as another process can find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Running,
    /// No process has its id any longer, or another one has the id now.
    Ended,
    /// It ran before this machine's last boot, or on another machine.
    OtherBoot,
    /// It belongs to another PID namespace, such as a container's, so its id has no meaning here.
    OtherNamespace,
}

impl ProcessIdentity {
    /// The identity of this process. Fails if Linux does not show it, for example without `/proc`.
    pub fn of_this_process() -> io::Result<Self> {
        Self::of(std::process::id(), Path::new(PROC))
    }

    /// Whether the process runs now. Fails if Linux does not show it.
    pub fn presence(&self) -> io::Result<Presence> {
        self.presence_in(Path::new(PROC))
    }

    fn of(pid: u32, proc: &Path) -> io::Result<Self> {
        let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat"))?;
        let start_ticks = process::start_ticks(&stat)
            .ok_or_else(|| io::Error::other("/proc does not show when the process began"))?;
        Ok(Self {
            pid,
            boot_id: boot_id(proc)?,
            pid_namespace: pid_namespace(proc),
            start_ticks,
        })
    }

    fn presence_in(&self, proc: &Path) -> io::Result<Presence> {
        if self.boot_id != boot_id(proc)? {
            return Ok(Presence::OtherBoot);
        }
        if self.pid_namespace != pid_namespace(proc) {
            return Ok(Presence::OtherNamespace);
        }
        match fs::read_to_string(proc.join(self.pid.to_string()).join("stat")) {
            Ok(stat) if process::start_ticks(&stat) == Some(self.start_ticks) => {
                Ok(Presence::Running)
            }
            Ok(_) => Ok(Presence::Ended),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::Ended),
            Err(error) => Err(error),
        }
    }
}

fn boot_id(proc: &Path) -> io::Result<String> {
    let id = fs::read_to_string(proc.join("sys/kernel/random/boot_id"))?;
    Ok(id.trim().to_owned())
}

fn pid_namespace(proc: &Path) -> Option<String> {
    let link = fs::read_link(proc.join("self/ns/pid")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const STAT: &str = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 4711 0 0 0 0";

    /// A `/proc` with one process, 7, which began at tick 4711.
    fn proc() -> tempfile::TempDir {
        let proc = tempfile::tempdir().expect("a directory");
        for directory in ["sys/kernel/random", "self/ns", "7"] {
            fs::create_dir_all(proc.path().join(directory)).expect("a directory");
        }
        let write = |file: &str, text: &str| fs::write(proc.path().join(file), text).expect("it");
        write("sys/kernel/random/boot_id", "boot-1\n");
        write("7/stat", STAT);
        symlink("pid:[1]", proc.path().join("self/ns/pid")).expect("a link");
        proc
    }

    #[test]
    fn status_knows_a_process_by_more_than_its_number() {
        let proc = proc();
        let identity = ProcessIdentity::of(7, proc.path()).expect("it runs");
        assert_eq!(identity.start_ticks, 4711);
        let presence = |change: fn(&mut ProcessIdentity)| {
            let mut identity = identity.clone();
            change(&mut identity);
            identity.presence_in(proc.path()).expect("/proc tells")
        };
        assert_eq!(presence(|_| {}), Presence::Running);
        assert_eq!(presence(|other| other.pid = 8), Presence::Ended);
        assert_eq!(presence(|other| other.start_ticks = 4712), Presence::Ended);
        let rebooted = presence(|other| other.boot_id = "boot-0".into());
        assert_eq!(rebooted, Presence::OtherBoot);
        let contained = presence(|other| other.pid_namespace = Some("pid:[2]".into()));
        assert_eq!(contained, Presence::OtherNamespace);
        let zombie = STAT.replace(" S ", " Z ");
        fs::write(proc.path().join("7/stat"), zombie).expect("a file");
        assert_eq!(presence(|_| {}), Presence::Ended);
    }

    #[test]
    fn this_process_runs() {
        let identity = ProcessIdentity::of_this_process().expect("Linux");
        assert_eq!(identity.presence().expect("Linux"), Presence::Running);
    }
}

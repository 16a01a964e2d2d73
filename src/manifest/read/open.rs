//! Opens manifests: only regular files on a disk. Files that the kernel generates under `/proc` and `/sys` look like
//! regular files, but may never end, block forever, or hold this process's own keys.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fstatfs, statfs};

/// Magic numbers of file systems whose files the kernel generates (`statfs(2)`): proc, sysfs, debugfs, tracefs,
/// securityfs, configfs, cgroup, cgroup2, bpf and pstore.
const MADE_UP: [u64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6265_6570,
    0x0027_e0eb,
    0x6367_7270,
    0xcafe_4a11,
    0x6165_676c,
];

/// Why a file is not read, whatever its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A FIFO, a device or a socket.
    NotRegular,
    /// A file that the kernel generates.
    MadeUp,
}

pub(super) enum ReadError {
    Io(io::Error),
    Refused(Refusal),
}

impl Refusal {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::NotRegular => "cannot be read: not a regular file",
            Self::MadeUp => {
                "is not read: the kernel generates it, like all files below `/proc` and `/sys`"
            }
        }
    }

    pub(super) fn help(self) -> &'static str {
        "give a file, or a directory of files"
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Refuses files that must not be opened: opening a FIFO blocks forever, and opening some devices has side effects.
pub(super) fn check(metadata: &Metadata, path: &Path) -> Result<(), Refusal> {
    if !metadata.is_file() {
        return Err(Refusal::NotRegular);
    }
    // If the system does not report it, reading shows it.
    match statfs(path) {
        Ok(of) if is_made_up(&of) => Err(Refusal::MadeUp),
        _ => Ok(()),
    }
}

/// The first `bytes_max` bytes of a file. Checks again, because another file may have replaced it.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ReadError::Refused(Refusal::NotRegular));
    }
    if fstatfs(&file).is_ok_and(|of| is_made_up(&of)) {
        return Err(ReadError::Refused(Refusal::MadeUp));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The type of the number differs between platforms, and so may its sign.
#[expect(clippy::cast_sign_loss, reason = "magic numbers are bits")]
fn is_made_up(of: &rustix::fs::StatFs) -> bool {
    MADE_UP.contains(&(of.f_type as u64 & 0xffff_ffff))
}

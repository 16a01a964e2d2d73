use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::model::Secret;

/// Longest secret. Keys and URLs of chats have some 200 bytes.
const SECRET_BYTES_MAX: u64 = 4096;
/// The bit that lets any user of the machine read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// A secret, and how well its file keeps it.
pub(super) struct Kept {
    /// Without the newline that editors leave.
    pub secret: Secret,
    /// Any user of the machine can read the file.
    pub open: bool,
}

/// Reads a secret file. The error never quotes what is in it.
pub(super) fn secret(path: &Path) -> Result<Kept, String> {
    let (text, mode) = read(path, SECRET_BYTES_MAX)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!(
            "{} is empty: put the secret into it",
            path.display()
        ));
    }
    Ok(Kept {
        secret: Secret::new(text.to_owned()),
        open: mode & READABLE_BY_OTHERS != 0,
    })
}

/// The text of a regular file of at most `bytes_max`, and its mode.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<(String, u32), String> {
    let name = path.display();
    let unreadable = |error| format!("cannot read {name}: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // Opening a FIFO would wait for ever.
    if !metadata.is_file() {
        return Err(format!("cannot read {name}: it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{name} is larger than {bytes_max} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
    Ok((text, metadata.permissions().mode()))
}

//! Reads the settings file and the files with secrets, each up to a limit of size. An error never quotes the contents of
//! a file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::escape::is_invisible;
use crate::model::Secret;

/// Largest secret in bytes. Keys and URLs of chat products have about 200 bytes.
const SECRET_BYTES_MAX: u64 = 4096;
/// The mode bit that allows any user of the machine to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// A secret, and who can read its file.
pub(super) struct SecretFile {
    /// The secret, without the newline that editors put at the end.
    pub secret: Secret,
    /// Whether any user of the machine can read the file.
    pub world_readable: bool,
}

/// Why a file cannot be used. Never quotes its contents.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot read {}: {error}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("cannot read {}: it is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    #[error("{} is empty: put the secret into it", .0.display())]
    Empty(PathBuf),
    #[error("{} has more than one line: keep only the line with the secret", .0.display())]
    SeveralLines(PathBuf),
    #[error(
        "{} begins with a byte order mark: save it as UTF-8 without one", .0.display()
    )]
    ByteOrderMark(PathBuf),
    #[error(
        "{} has a blank or an invisible character beside or within the secret: remove it (`printf %s SECRET > FILE` writes none)",
        .0.display()
    )]
    Blank(PathBuf),
}

/// Reads the file of a secret. It must have one line, without any character that may be there by mistake. Only the end of
/// the line is removed: a changed secret would make wrong signatures, which a receiver refuses without an explanation.
pub(super) fn read_secret(path: &Path) -> Result<SecretFile, ReadError> {
    let (text, mode) = read_text(path, SECRET_BYTES_MAX)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let wrong = match text {
        text if text.trim().is_empty() => Some(ReadError::Empty as fn(PathBuf) -> ReadError),
        text if text.contains(['\n', '\r']) => Some(ReadError::SeveralLines as _),
        text if text.starts_with('\u{feff}') => Some(ReadError::ByteOrderMark as _),
        text if text.chars().any(is_blank) => Some(ReadError::Blank as _),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(wrong(path.to_owned()));
    }
    Ok(SecretFile {
        secret: Secret::new(text.to_owned()),
        world_readable: mode & READABLE_BY_OTHERS != 0,
    })
}

/// Whether a character is blank or invisible.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_invisible(c)
}

/// Reads a regular file of at most `bytes_max` bytes. Returns its text and its mode.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<(String, u32), ReadError> {
    let io = |error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let metadata = fs::metadata(path).map_err(io)?;
    // Opening a FIFO would block for ever.
    if !metadata.is_file() {
        return Err(ReadError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(io)?;
    if bytes.len() as u64 > bytes_max {
        let path = path.to_owned();
        return Err(ReadError::TooLarge { path, bytes_max });
    }
    let text = String::from_utf8(bytes).map_err(|_| ReadError::NotUtf8(path.to_owned()))?;
    Ok((text, metadata.permissions().mode()))
}

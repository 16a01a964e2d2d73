//! The text of one manifest file: its lines and columns, its directories, and facts that need no parsing.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::secret_words::is_secret_word;
use super::suggest::nearest;

#[derive(Debug)]
pub struct SourceText {
    name: Arc<str>,
    text: String,
    directories: Vec<PathBuf>,
    line_starts: OnceLock<Vec<u32>>,
    may_hold_secret: OnceLock<bool>,
}

impl SourceText {
    /// A source text. `name` is the path to show; its parent counts as the directory of the text.
    pub fn new(name: impl Into<Arc<str>>, text: String) -> Self {
        let name = name.into();
        let parent = Path::new(&*name).parent().unwrap_or(Path::new(""));
        let named = |part: &Component<'_>| *part != Component::CurDir;
        let directory = parent.components().filter(named).collect();
        Self {
            name,
            text,
            directories: vec![directory],
            line_starts: OnceLock::new(),
            may_hold_secret: OnceLock::new(),
        }
    }

    /// The path as it is shown to the user.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The same text, found in these directories, all of them without links.
    pub(super) fn found_in(mut self, directories: Vec<PathBuf>) -> Self {
        self.directories.clear();
        self.is_found_in(directories);
        self
    }

    /// Adds directories that the text is also found in.
    pub(super) fn is_found_in(&mut self, directories: Vec<PathBuf>) {
        for directory in directories {
            if !self.directories.contains(&directory) {
                self.directories.push(directory);
            }
        }
    }

    /// All directories through which the file is reached, and its real one. A restriction on any of them applies to it.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it contains nothing except comments and separators.
    pub(super) fn is_blank(&self) -> bool {
        let blank = |line: &str| {
            let line = line.trim_start_matches('\u{feff}').trim();
            line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
        };
        self.text.lines().all(blank)
    }

    /// Whether a field name in it belongs to a secret, or whether it is not a manifest but something else that was
    /// given as one.
    pub(super) fn may_hold_secret(&self) -> bool {
        *self.may_hold_secret.get_or_init(|| {
            let any_field = |is: fn(&str) -> bool| {
                let mut lines = self.text.lines();
                lines.any(|line| line.split([':', ',', '{']).any(is))
            };
            any_field(is_secret_word) || !any_field(is_header_word) || self.is_binary()
        })
    }

    fn is_binary(&self) -> bool {
        let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        !self.text.chars().all(is_text)
    }

    /// Whether it could declare an account. The text may not even be YAML, so any mention counts.
    pub(super) fn may_declare_account(&self) -> bool {
        self.text.contains("Account")
    }

    /// Whether it could revoke images that another file wants shared. The text may not even be YAML, so any mention
    /// counts.
    pub(super) fn may_revoke(&self) -> bool {
        self.text.contains("revoke")
    }

    /// Whether it could declare images `unshared`. The text may not even be YAML, so any mention counts.
    pub(super) fn may_unshare(&self) -> bool {
        self.text.contains("unshared")
    }

    /// Whether it could hold a `Restriction`, misspelt or not. The text may not even be YAML, so any similar word counts.
    pub(super) fn may_restrict(&self) -> bool {
        const WORD: &str = "restrict";
        let mut words = self.text.split(|c: char| !c.is_alphanumeric());
        words
            .any(|word| word.to_ascii_lowercase().contains(WORD) || nearest(word, [WORD]).is_some())
    }

    /// The line and column of a byte offset, both from 1; columns count characters.
    pub(super) fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.line(offset);
        let start = self.line_starts()[line as usize - 1] as usize;
        let column = self.text[start..boundary(&self.text, offset as usize)]
            .chars()
            .filter(|&c| c != '\u{feff}')
            .count();
        (line, u32::try_from(column).unwrap_or(u32::MAX - 1) + 1)
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line(&self, offset: u32) -> u32 {
        u32::try_from(self.line_starts().partition_point(|&start| start <= offset))
            .unwrap_or(u32::MAX)
    }

    /// The line that holds a byte offset, without its end.
    pub(super) fn line_around(&self, offset: u32) -> Range<usize> {
        let start = self.line_starts()[self.line(offset) as usize - 1] as usize;
        let length = self.text[start..]
            .find(['\n', '\r'])
            .unwrap_or(self.text.len() - start);
        start..start + length
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let breaks = self
                .text
                .bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n');
            let starts = breaks.filter_map(|(at, _)| u32::try_from(at + 1).ok());
            std::iter::once(0).chain(starts).collect()
        })
    }
}

/// Whether manifests have a field of this name at the top level.
fn is_header_word(name: &str) -> bool {
    let name = name.trim().trim_matches(['"', '\'', '-', ' ']);
    let header = ["apiVersion", "kind", "metadata", "spec"];
    header.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// The end of the character that contains byte `at`.
pub(super) fn boundary(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len())
}

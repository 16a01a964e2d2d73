//! Conditions that select the images of a policy, on an image's name and properties. All of them must hold.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

use crate::model::{Glob, Timestamp};

/// The limit for the memory of a compiled expression, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression for a whole name. Two are equal if their texts are equal.
#[derive(Clone)]
pub struct NameRegex {
    written: String,
    /// The compiled expression, anchored at both ends.
    regex: Regex,
}

impl NameRegex {
    /// The group whose text is the version.
    pub const VERSION_GROUP: &'static str = "version";

    /// Fails if the text is not a regular expression or needs too much memory. The error is a text for people.
    pub fn new(written: &str) -> Result<Self, String> {
        // The text must compile by itself first: with an unmatched `)` it would close the group, and the anchors would
        // not hold.
        Self::compile(written)?;
        let regex = Self::compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self {
            written: written.to_owned(),
            regex,
        })
    }

    fn compile(text: &str) -> Result<Regex, String> {
        let built = regex::RegexBuilder::new(text).size_limit(SIZE_MAX).build();
        // The lines of a syntax error before the last one draw the expression with a caret; only the last one is kept.
        built.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
    }

    /// Whether the expression has a group for the version.
    pub fn has_version(&self) -> bool {
        let mut names = self.regex.capture_names().flatten();
        names.any(|name| name == Self::VERSION_GROUP)
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// The text of the group `version`; `None` if the expression has no such group or it takes no part in the match.
    pub fn version<'n>(&self, name: &'n str) -> Option<&'n str> {
        let captures = self.regex.captures(name)?;
        Some(captures.name(Self::VERSION_GROUP)?.as_str())
    }
}

impl PartialEq for NameRegex {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for NameRegex {}

impl fmt::Debug for NameRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

/// Conditions on an image. All that are present must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageMatch {
    /// A pattern for the whole name, case-sensitive.
    pub name: Option<Glob>,
    /// An expression for the whole name, which may mark a part of it as the version.
    pub name_regex: Option<NameRegex>,
    /// A pattern for `ImageFamily`, which only CVM shows.
    pub family: Option<Glob>,
    /// Patterns for tags, by key. The image must have all of these tags in CVM.
    pub tags: BTreeMap<String, Glob>,
    pub os_name: Option<Glob>,
    pub platform: Option<Glob>,
    pub architecture: Option<Glob>,
    /// The image was created at or after this time.
    pub created_after: Option<Timestamp>,
    /// The image was created before this time.
    pub created_before: Option<Timestamp>,
}

impl ImageMatch {
    /// Whether a condition needs properties that only CVM's DescribeImages shows.
    pub fn needs_cvm(&self) -> bool {
        self.family.is_some() || !self.tags.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_about_the_whole_name() {
        let regex = NameRegex::new(r"golden|golden-(?<version>\d+)").expect("an expression");
        assert!(regex.matches("golden") && regex.matches("golden-15"));
        assert!(!regex.matches("golden-15-rc") && !regex.matches("xgolden"));
        assert!(!regex.matches("golden\n"));
        assert_eq!(regex.version("golden-15"), Some("15"));
        assert_eq!(regex.version("golden"), None);
        assert!(regex.has_version());
        assert!(
            !NameRegex::new("(?<versio>a)")
                .expect("an expression")
                .has_version()
        );
    }

    #[test]
    fn s21_what_is_no_expression_or_too_large_is_refused_in_one_line() {
        // The last one would be anchored at one end only, if it were used without the check.
        for bad in ["(", "*", r"\d{1000}{1000}", "(?<a>x)(?<a>y)", "a)|(?:b"] {
            let error = NameRegex::new(bad).expect_err(bad);
            assert!(!error.is_empty() && !error.contains('\n'), "{bad}: {error}");
        }
    }
}

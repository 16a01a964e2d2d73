//! Which images a policy is about: conditions on an image's name and properties, all of which must hold.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

use crate::model::{Glob, Timestamp};

/// Bytes that a compiled expression may take.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression for a whole name. Two are equal if they are written alike.
#[derive(Clone)]
pub struct NameRegex {
    written: String,
    /// Anchored at both ends.
    regex: Regex,
}

impl NameRegex {
    /// The group whose text is the version.
    pub const VERSION_GROUP: &'static str = "version";

    /// Fails if the text is no regular expression, or one that would need too much memory. The error is a text for people.
    pub fn new(written: &str) -> Result<Self, String> {
        // By itself first: a `)` too many would otherwise end the group, and the anchors would not hold.
        Self::compile(written)?;
        let regex = Self::compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self {
            written: written.to_owned(),
            regex,
        })
    }

    fn compile(text: &str) -> Result<Regex, String> {
        let built = regex::RegexBuilder::new(text).size_limit(SIZE_MAX).build();
        // Of a syntax error, the lines before the last one draw the expression with a caret.
        built.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
    }

    /// Whether a group of it is the version.
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

/// Conditions on an image. Those that are given must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageMatch {
    /// For the whole name, by case.
    pub name: Option<Glob>,
    /// The whole name, and what of it is the version.
    pub name_regex: Option<NameRegex>,
    /// For `ImageFamily`, which CVM alone tells.
    pub family: Option<Glob>,
    /// Tags by key, all of which the image has in CVM.
    pub tags: BTreeMap<String, Glob>,
    pub os_name: Option<Glob>,
    pub platform: Option<Glob>,
    pub architecture: Option<Glob>,
    /// The image was created at this time or later.
    pub created_after: Option<Timestamp>,
    /// The image was created before this time.
    pub created_before: Option<Timestamp>,
}

impl ImageMatch {
    /// Whether it asks for what only CVM's DescribeImages tells.
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
        // The last one would be anchored at one end only, if it were taken as it is.
        for bad in ["(", "*", r"\d{1000}{1000}", "(?<a>x)(?<a>y)", "a)|(?:b"] {
            let error = NameRegex::new(bad).expect_err(bad);
            assert!(!error.is_empty() && !error.contains('\n'), "{bad}: {error}");
        }
    }
}

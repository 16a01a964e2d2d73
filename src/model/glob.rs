//! Name patterns: `*` stands for any characters, `?` for one, and every other character for itself.

use std::fmt;
use std::sync::Arc;

/// A pattern for names. Two patterns are equal if their texts are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(Arc<str>);

impl Glob {
    /// Characters that turn a name into a pattern.
    pub const WILDCARDS: [char; 2] = ['*', '?'];

    /// Accepts any text as a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` matches. Case matters.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text, |_| true)
    }

    /// Whether every text that `narrower` matches also matches this pattern, as far as a comparison character by
    /// character can prove it. Anything that it cannot prove counts as not covered.
    pub fn covers(&self, narrower: &Self) -> bool {
        // Here the other pattern's wildcards are ordinary characters: a `*` matches any of them, a `?` all but a `*`.
        matches(&self.0, &narrower.0, |sign| sign != b'*')
    }

    /// Whether the pattern contains a wildcard.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(Self::WILDCARDS)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` matches `pattern`, where a `?` matches the characters for whose first byte `is_one` holds. The time is
/// at most proportional to the product of both lengths.
fn matches(pattern: &str, text: &str, is_one: impl Fn(u8) -> bool) -> bool {
    let (bytes, pattern) = (text.as_bytes(), pattern.as_bytes());
    // The end of the character that begins at `at`.
    let next = |at: usize| (at + 1..).find(|&end| text.is_char_boundary(end));
    let (mut p, mut t) = (0, 0);
    // Position of the last `*`, and the position in the text after everything that it matches so far.
    let mut star: Option<(usize, usize)> = None;
    while t < bytes.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(b'?'), _) if is_one(bytes[t]) => {
                p += 1;
                t = next(t).unwrap_or(bytes.len());
            }
            (Some(&letter), _) if letter == bytes[t] && letter != b'?' => {
                p += 1;
                t += 1;
            }
            (_, Some((at, taken))) => {
                let taken = next(taken).unwrap_or(bytes.len());
                star = Some((at, taken));
                p = at + 1;
                t = taken;
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|&rest| rest == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of a match, as a recursive search.
    fn by_definition(pattern: &str, text: &str) -> bool {
        let Some(first) = pattern.chars().next() else {
            return text.is_empty();
        };
        let rest = &pattern[1..];
        match first {
            '*' => (0..=text.len()).any(|taken| by_definition(rest, &text[taken..])),
            '?' => !text.is_empty() && by_definition(rest, &text[1..]),
            letter => text
                .strip_prefix(letter)
                .is_some_and(|text| by_definition(rest, text)),
        }
    }

    #[test]
    fn stars_and_question_marks_match_as_documented() {
        for (pattern, text, is) in [
            ("img-*", "img-a", true),
            ("img-*", "xmg-a", false),
            ("img-a?", "img-ab", true),
            ("img-a?", "img-a", false),
            ("team-*-prod", "team-a-prod-prod", true),
            ("team-*-prod", "team-prod", false),
            ("prod", "prod", true),
            ("prod", "prod2", false),
            ("prod", "aprod", false),
            ("a.c", "abc", false),
            ("?-1", "名-1", true),
            ("*?1", "名1", true),
            ("??", "名", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), is, "{pattern} {text}");
        }
        let (pattern, text) = ("a*".repeat(100), "a".repeat(253));
        assert!(
            !Glob::new(&format!("{pattern}b")).matches(&text),
            "and it ends"
        );
    }

    #[test]
    fn plain_narrowings_are_covered_and_widenings_are_not() {
        for (wide, narrow, is) in [
            ("team-a-*", "team-a-*", true),
            ("team-a-*", "team-a-web-*", true),
            ("team-a-*", "team-a-1.0", true),
            ("team-a-*", "team-a-???", true),
            ("*", "*", true),
            ("?", "?", true),
            ("??*", "?a*", true),
            ("team-a-*", "team-*", false),
            ("team-a-*", "*team-a-*", false),
            ("team-?", "team-*", false),
            ("team-??", "team-?", false),
            ("team-a", "team-?", false),
            // True, but the comparison cannot prove it.
            ("?*", "*?", false),
        ] {
            assert_eq!(
                Glob::new(wide).covers(&Glob::new(narrow)),
                is,
                "{wide} {narrow}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_by_its_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&text), by_definition(&pattern, &text));
        }

        #[test]
        fn a_covering_pattern_matches_everything_that_the_other_matches(
            wide in "[ab*?]{0,6}", narrow in "[ab*?]{0,6}", text in "[ab]{0,6}",
        ) {
            let (wide, narrow) = (Glob::new(&wide), Glob::new(&narrow));
            let is_proven = wide.covers(&narrow) && narrow.matches(&text);
            prop_assert!(!is_proven || wide.matches(&text), "{wide} {narrow} {text}");
        }
    }
}

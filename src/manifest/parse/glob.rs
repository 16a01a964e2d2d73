//! Name patterns: `*` stands for any characters, `?` for one, and every other character for itself.

/// Characters that make a name a pattern.
pub(super) const WILDCARDS: [char; 2] = ['*', '?'];

/// Whether `text` matches `pattern`. Takes at most time in proportion to the product of their lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Position of the last `*`, and where the text continues after what it matches so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(&letter), _) if letter == b'?' || letter == text[t] => {
                p += 1;
                t += 1;
            }
            (_, Some((at, taken))) => {
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
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
    fn stars_and_question_marks_stand_for_what_they_should() {
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
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
        let (pattern, text) = ("a*".repeat(100), "a".repeat(253));
        assert!(!matches(&format!("{pattern}b"), &text), "and it ends");
    }

    proptest! {
        #[test]
        fn it_matches_what_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), by_definition(&pattern, &text));
        }
    }
}

//! Finds the parts of a text that may be secrets, wherever somebody typed them: the user, password, query and fragment of
//! a URL, and words that look like keys. A text is shown without these parts, or with each of their characters masked.

use std::ops::Range;

/// Chat webhooks carry their secret in the path of the URL. A path part of at least this length that is no plain word may
/// be one.
const PATH_PART_LEN_MIN: usize = 8;
/// The vendor's keys have at least 32 characters. No ordinary word of this length mixes capitals, small letters and
/// digits.
const KEY_LEN_MIN: usize = 20;

/// Removes everything that may be a secret.
pub fn without_secrets(text: &str) -> String {
    let mut parts = of_urls(text);
    parts.extend(keys(text));
    replaced(text, parts, |_| "…".to_owned())
}

/// Removes everything that may be a secret in a URL, for texts in which other words are names.
pub fn without_url_secrets(text: &str) -> String {
    replaced(text, of_urls(text), |_| "…".to_owned())
}

/// Replaces each character that may belong to a secret by a star. The length stays the same, so that columns stay
/// aligned.
pub fn masked(text: &str) -> String {
    let mut parts = of_urls(text);
    parts.extend(keys(text));
    replaced(text, parts, |part| "*".repeat(part.chars().count()))
}

/// Whether a text can only be an ordinary word of a command line: a name, a number, a duration.
pub fn is_plain(text: &str) -> bool {
    const CHARS_MAX: usize = 32;
    /// Suffixes of image ids have eight characters.
    const MIXED_MAX: usize = 8;
    let is_mixed = |word: &str| {
        word.contains(|c: char| c.is_ascii_digit())
            && word.contains(|c: char| c.is_ascii_lowercase())
    };
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    text.len() <= CHARS_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" -_.,=".contains(&b))
        && words.all(|word| word.len() <= MIXED_MAX || !is_mixed(word))
}

fn replaced(text: &str, mut parts: Vec<Range<usize>>, by: impl Fn(&str) -> String) -> String {
    parts.sort_by_key(|part| part.start);
    let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
    for part in parts {
        let start = part.start.max(end);
        // A part that an earlier call removed or masked stays as it is.
        let is_hidden = text[part.clone()].chars().all(|c| matches!(c, '*' | '…'));
        if start < part.end && !is_hidden {
            shown.push_str(&text[end..start]);
            shown.push_str(&by(&text[start..part.end]));
            end = part.end;
        }
    }
    shown.push_str(&text[end..]);
    shown
}

/// The secret parts of URLs, with or without a scheme.
fn of_urls(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    for word in ranges(text, |c| !c.is_whitespace() && !"'\"`".contains(c)) {
        let (start, it) = (word.start, &text[word.clone()]);
        let Some(scheme) = it.find("://") else {
            // `user:password@host`
            if let Some(at) = it.rfind('@').filter(|&at| it[..at].contains(':')) {
                parts.push(start..start + at);
            }
            continue;
        };
        let authority = scheme + 3;
        // A password may contain an unescaped slash or `@`, even where that makes the URL invalid.
        let host = it[authority..]
            .rfind('@')
            .map_or(authority, |at| authority + at);
        if host > authority {
            parts.push(start + authority..start + host);
        }
        let query = it[host..].find(['?', '#']).map_or(it.len(), |at| host + at);
        if query + 1 < it.len() {
            parts.push(start + query + 1..word.end);
        }
        let path = it[host..query].find('/').map_or(query, |at| host + at);
        // Text in the place of a port that is not a port: a user and a password without a host.
        let port = it[host..path].rfind([':', ']']).map(|at| host + at + 1);
        if let Some(port) = port.filter(|port| !is_port(&it[*port..path])) {
            parts.push(start + port..start + path);
        }
        let of_path = ranges(&it[path..query], |c| c != '/').into_iter();
        let secret = of_path.filter(|part| {
            let part = &it[path + part.start..path + part.end];
            part.len() >= PATH_PART_LEN_MIN
                && part.contains(|c: char| c.is_ascii_digit())
                && part.contains(|c: char| c.is_ascii_alphabetic())
        });
        parts.extend(secret.map(|part| start + path + part.start..start + path + part.end));
    }
    parts
}

/// Whether the text is a port, a placeholder for one, or empty.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b'*') || text.eq_ignore_ascii_case("port")
}

/// Words that look like keys.
fn keys(text: &str) -> impl Iterator<Item = Range<usize>> {
    let words = ranges(text, |c| c.is_ascii_alphanumeric() || "+_".contains(c)).into_iter();
    words.filter(|word| {
        let word = text[word.clone()].as_bytes();
        word.len() >= KEY_LEN_MIN
            && word.iter().any(u8::is_ascii_digit)
            && word.iter().any(u8::is_ascii_uppercase)
            && word.iter().any(u8::is_ascii_lowercase)
    })
}

/// The longest runs of characters for which `belongs` holds.
fn ranges(text: &str, belongs: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let (mut found, mut start) = (Vec::new(), None);
    for (at, c) in text.char_indices() {
        match (belongs(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| from..text.len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b6_possible_secrets_are_left_out_and_the_rest_is_kept() {
        for (text, shown) in [
            ("https://github.com/a/b", "https://github.com/a/b"),
            ("see 'https://u:p@h/x' twice", "see 'https://…@h/x' twice"),
            ("https://token@h", "https://…@h"),
            ("https://u:a/b@c@h/x", "https://…@h/x"),
            ("https://h/x?token=1#y", "https://h/x?…"),
            ("https://h/#t0ken", "https://h/#…"),
            ("https://h?", "https://h?"),
            ("https://u:hunter2", "https://u:…"),
            ("https://u:hunter2/x", "https://u:…/x"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("http://127.0.0.1:7979/", "http://127.0.0.1:7979/"),
            ("https://h/services/T012AB34C/go", "https://h/services/…/go"),
            ("endpoint: u:pass@h", "endpoint: …@h"),
            ("git@github.com:a/b", "git@github.com:a/b"),
            ("someone@example.com", "someone@example.com"),
            ("https://é:ü@h ä", "https://…@h ä"),
            ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "…"),
            ("--account=Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "--account=…"),
            (
                "lighthouse.ap-tokyo.tencentcloudapi.com",
                "lighthouse.ap-tokyo.tencentcloudapi.com",
            ),
            ("://", "://"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text), shown, "{text}");
            let masked = masked(text);
            assert_eq!(masked.chars().count(), text.chars().count(), "{masked}");
            assert_eq!(masked.contains('*'), shown.contains('…'), "{masked}");
            assert_eq!(without_secrets(&masked), masked);
            assert_eq!(without_secrets(shown), shown);
        }
        let key = "a Gu5t9xGARNpq86cd98joQYCN3EXAMPLE https://u@h";
        assert!(without_url_secrets(key).ends_with("EXAMPLE https://…@h"));
    }

    #[test]
    fn b6_only_ordinary_words_of_a_command_line_are_plain() {
        for plain in [
            "ap-tokio",
            "jsn",
            "-1",
            "5 minutes",
            "img-1a2b3c4d",
            "key",
            "127.0.0.1",
            "",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in [
            "https://h",
            "user@host",
            "CANARYSECRET",
            "s3cr3tk3yvalue",
            "a-word-that-is-longer-than-any-name",
            "a/b",
            "é",
            "pass word!",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}

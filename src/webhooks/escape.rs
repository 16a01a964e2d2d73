//! Makes foreign text harmless in a chat: it cannot link, mention anybody, apply a style or hide anything. Chats have
//! different markup (Slack's mrkdwn, WeCom's markdown), but all of them turn text that looks like a link into one, and
//! none documents how to prevent that.

use crate::words::brief;

/// Endings that are kept as they are, because they are not top-level domains, and the names of our files end with them.
const FILE_ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Returns foreign text on one line, without invisible characters.
pub(super) fn visible(text: &str) -> String {
    brief(
        &text
            .chars()
            .filter(|c| !is_invisible(*c))
            .collect::<String>(),
    )
}

/// Escapes text for Slack, whose three special characters become entities.
pub(super) fn for_slack(text: &str) -> String {
    plain(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Escapes text for WeCom, Feishu and DingTalk. They document no escapes, so each character that could begin a tag or a
/// mention is replaced by its full-width form.
pub(super) fn for_chats(text: &str) -> String {
    let wide = |c| match c {
        '<' => '＜',
        '>' => '＞',
        '&' => '＆',
        c => c,
    };
    plain(text).chars().map(wide).collect()
}

/// Removes links, mentions and styles from text. Their characters are replaced by visible ones, because an invisible one
/// would be copied together with the text.
fn plain(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut plain = String::with_capacity(text.len());
    for (index, &c) in chars.iter().enumerate() {
        let (before, after) = (&chars[..index], &chars[index + 1..]);
        match c {
            ':' if after.starts_with(&['/', '/']) => plain.push('：'),
            '.' | '．' | '。' | '｡' if joins_host(before, c, after) => plain.push_str("［.］"),
            '@' => plain.push('＠'),
            '[' => plain.push('［'),
            ']' => plain.push('］'),
            '*' => plain.push('＊'),
            '~' => plain.push('～'),
            '`' => plain.push('\''),
            // Within a word it is not markup in any chat, and ids and file names contain it there.
            '_' if !is_within_word(before, after) => plain.push('＿'),
            c => plain.push(c),
        }
    }
    plain
}

/// Whether a dot joins two labels of a possible host name, such as `evil.example` or `www.1`.
fn joins_host(before: &[char], dot: char, after: &[char]) -> bool {
    let joins = before
        .last()
        .is_some_and(|c| c.is_alphanumeric() || *c == '-');
    let label: String = after.iter().take_while(|c| c.is_alphanumeric()).collect();
    if !joins || label.is_empty() {
        return false;
    }
    // A Chinese full stop ends a sentence; it counts as a dot of a host name only between Latin letters.
    if dot != '.' && !(label.is_ascii() && before.last().is_some_and(char::is_ascii)) {
        return false;
    }
    let www = before.iter().rev().take(3);
    if www.clone().count() == 3 && www.into_iter().all(|c| c.eq_ignore_ascii_case(&'w')) {
        return true;
    }
    let rest = &after[label.chars().count()..];
    let goes_on = match rest {
        ['-', ..] => true,
        ['.', next, ..] => next.is_alphanumeric(),
        _ => false,
    };
    let is_file = FILE_ENDINGS.contains(&label.as_str()) && !goes_on;
    // A top-level domain consists of letters; encoded ones of other scripts begin with the letters `xn`.
    label.chars().count() > 1 && label.chars().all(char::is_alphabetic) && !is_file
}

fn is_within_word(before: &[char], after: &[char]) -> bool {
    let is_word = |c: Option<&char>| c.is_some_and(char::is_ascii_alphanumeric);
    is_word(before.last()) && is_word(after.first())
}

/// Whether a character has no width or changes the direction of the text.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> [String; 2] {
        let text = visible(text);
        [for_slack(&text), for_chats(&text)]
    }

    #[test]
    fn r11_text_that_a_chat_would_turn_into_a_link_is_broken() {
        for (text, broken) in [
            (
                "https://evil.example/login",
                "https：//evil［.］example/login",
            ),
            ("HTTP://192.0.2.1/a", "HTTP：//192.0.2.1/a"),
            ("x-custom://host", "x-custom：//host"),
            ("www.evil.example", "www［.］evil［.］example"),
            ("WWW.1", "WWW［.］1"),
            ("see evil.com, please", "see evil［.］com, please"),
            ("evil.com:8080/x", "evil［.］com:8080/x"),
            ("evil.co-op.com", "evil［.］co-op［.］com"),
            ("evil.xn--p1ai", "evil［.］xn--p1ai"),
            ("пример.рф", "пример［.］рф"),
            ("evil。com and evil．com", "evil［.］com and evil［.］com"),
            ("a.yaml.evil.zip", "a［.］yaml［.］evil［.］zip"),
            ("run.sh", "run［.］sh"),
            ("me@evil.com", "me＠evil［.］com"),
            (
                "https:\u{200b}//evil\u{2060}.\u{feff}com",
                "https：//evil［.］com",
            ),
        ] {
            for shown in shown(text) {
                assert_eq!(shown, broken);
            }
        }
    }

    #[test]
    fn r11_our_own_ids_files_versions_and_sentences_stay_as_they_are() {
        for text in [
            "img-6pb6lrmy",
            "prod/ap-tokyo/img-0001 blocked: servers use it",
            "manifests/a.yaml:4, b.yml and c.json. Then go on",
            "golden-ubuntu-1.5.1 and golden.v2",
            "snake_case_name",
            "在 10:00 完成。请再试一次",
            "--accept-lost prod/ap-tokyo=3",
        ] {
            for shown in shown(text) {
                assert_eq!(shown, text);
            }
        }
    }

    #[test]
    fn r11_foreign_text_has_no_style_and_hides_nothing() {
        let text = "*b* _i_ ~s~ `c` ```d``` **e** \u{202e}x\u{200b}y\u{2060}z\u{e0041}\u{ad}";
        let plain = "＊b＊ ＿i＿ ～s～ 'c' '''d''' ＊＊e＊＊ xyz";
        for shown in shown(text) {
            assert_eq!(shown, plain);
        }
        assert_eq!(for_slack("a < b & c > d"), "a &lt; b &amp; c &gt; d");
        assert_eq!(for_chats("<at> & [x](y)"), "＜at＞ ＆ ［x］(y)");
    }
}

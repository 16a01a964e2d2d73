use serde::Deserialize;

use super::format::Format;
use crate::host::Reply;

/// A longer text is a page, not a word for what is wrong.
const WORD_LEN_MAX: usize = 60;
/// WeCom: busy; called too often in a minute; too many at once (its table of global error codes).
const WECOM_AGAIN: &[i64] = &[-1, 45009, 45033];
/// Feishu: this bot, and this tenant, called too often.
const FEISHU_AGAIN: &[i64] = &[11232, 99_991_400];
/// DingTalk: busy; called too often, by its old and its new name.
const DINGTALK_AGAIN: &[i64] = &[-1, 130_101, 410_100];

/// What became of an attempt. The second text comes from outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The webhook has it.
    Taken,
    /// It failed, and may succeed later.
    Again(String, String),
    /// It failed, and will each time.
    Never(String, String),
}

/// What chats answer within a 200. Each uses its own fields.
#[derive(Deserialize)]
struct Said {
    /// WeCom and DingTalk.
    errcode: Option<i64>,
    errmsg: Option<String>,
    /// Feishu.
    code: Option<i64>,
    msg: Option<String>,
    /// Feishu, of old.
    #[serde(rename = "StatusCode")]
    status_code: Option<i64>,
    #[serde(rename = "StatusMessage")]
    status_message: Option<String>,
}

pub(super) fn judge(format: Format, reply: &Reply) -> Verdict {
    let status = reply.status;
    let what = format!("it answered {status}");
    match status {
        200..=299 => judge_body(format, &reply.body),
        300..=399 => Verdict::Never(
            format!("{what}, and redirects are not followed: give the URL it leads to"),
            String::new(),
        ),
        429 | 500.. => Verdict::Again(what, word(&reply.body)),
        _ => Verdict::Never(what, word(&reply.body)),
    }
}

fn judge_body(format: Format, body: &[u8]) -> Verdict {
    let again = match format {
        // A 2xx is all that they say.
        Format::Json | Format::Slack => return Verdict::Taken,
        Format::Wecom => WECOM_AGAIN,
        Format::Feishu => FEISHU_AGAIN,
        Format::Dingtalk => DINGTALK_AGAIN,
    };
    let said = serde_json::from_slice::<Said>(body).ok().and_then(|said| {
        let (code, text) = match format {
            Format::Feishu => (
                said.code.or(said.status_code),
                said.msg.or(said.status_message),
            ),
            _ => (said.errcode, said.errmsg),
        };
        Some((code?, text.unwrap_or_default()))
    });
    match said {
        Some((0, _)) => Verdict::Taken,
        Some((code, text)) if again.contains(&code) => {
            Verdict::Again(format!("it answered with code {code}"), text)
        }
        Some((code, text)) => Verdict::Never(format!("it answered with code {code}"), text),
        None => Verdict::Never(
            format!(
                "it answered, but not as {} does: check the URL",
                format.as_str()
            ),
            String::new(),
        ),
    }
}

/// What a short answer says, such as Slack's `invalid_payload`.
fn word(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_word = text.len() <= WORD_LEN_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_ .,:-".contains(&b));
    if is_word {
        text.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(format: Format, status: u16, body: &str) -> Verdict {
        judge(
            format,
            &Reply {
                status,
                date: None,
                body: body.into(),
            },
        )
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
        for format in Format::ALL {
            for status in [429, 500, 502, 503, 504] {
                assert!(
                    matches!(judged(format, status, ""), Verdict::Again(..)),
                    "{status}"
                );
            }
            for status in [301, 302, 307, 308, 400, 401, 403, 404, 408, 410, 413] {
                assert!(
                    matches!(judged(format, status, ""), Verdict::Never(..)),
                    "{status}"
                );
            }
        }
        for status in [200, 202, 204] {
            assert_eq!(judged(Format::Json, status, ""), Verdict::Taken);
            assert_eq!(judged(Format::Slack, status, "ok"), Verdict::Taken);
        }
        assert_eq!(
            judged(Format::Slack, 400, "invalid_payload"),
            Verdict::Never("it answered 400".into(), "invalid_payload".into())
        );
        let page = judged(Format::Slack, 502, "<html>Bad Gateway</html>");
        assert_eq!(
            page,
            Verdict::Again("it answered 502".into(), String::new())
        );
    }

    #[test]
    fn a_failure_inside_a_200_is_a_failure() {
        for (format, good, busy, bad) in [
            (
                Format::Wecom,
                r#"{"errcode":0,"errmsg":"ok"}"#,
                r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
                r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            ),
            (
                Format::Feishu,
                r#"{"code":0,"msg":"success","data":{},"StatusCode":0,"StatusMessage":"success","Extra":null}"#,
                r#"{"code":11232,"msg":"frequency limited"}"#,
                r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}"#,
            ),
            (
                Format::Feishu,
                r#"{"StatusCode":0,"StatusMessage":"success","Extra":null}"#,
                r#"{"StatusCode":11232,"StatusMessage":"frequency limited"}"#,
                r#"{"StatusCode":9499,"StatusMessage":"Bad Request"}"#,
            ),
            (
                Format::Dingtalk,
                r#"{"errcode":0,"errmsg":"ok"}"#,
                r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#,
                r#"{"errcode":310000,"errmsg":"sign not match"}"#,
            ),
        ] {
            assert_eq!(judged(format, 200, good), Verdict::Taken, "{good}");
            assert!(
                matches!(judged(format, 200, busy), Verdict::Again(..)),
                "{busy}"
            );
            assert!(
                matches!(judged(format, 200, bad), Verdict::Never(..)),
                "{bad}"
            );
            for strange in ["", "ok", "{}", "[]", "<html>", r#"{"code":"0"}"#] {
                let verdict = judged(format, 200, strange);
                assert!(matches!(verdict, Verdict::Never(..)), "{strange}");
            }
        }
    }
}

//! Interprets a webhook's reply: delivered, to be retried, or refused for good. Chat products report errors inside a
//! reply with status 200, each with its own fields and codes.

use serde::Deserialize;

use super::format::Format;
use crate::host::Reply;

/// A longer text is probably a whole page, not a short description of an error.
const SHORT_TEXT_LEN_MAX: usize = 60;
/// WeCom's codes for busy, too many calls in a minute and too many at once (its table of global error codes).
const WECOM_RETRY: &[i64] = &[-1, 45009, 45033];
/// Feishu's codes for too many calls of this bot and of this tenant.
const FEISHU_RETRY: &[i64] = &[11232, 99_991_400];
/// DingTalk's codes for busy and, in old and new form, for too many calls.
const DINGTALK_RETRY: &[i64] = &[-1, 130_101, 410_100];

/// The result of one delivery attempt. The first text is ours; the second one comes from the webhook and is not trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeliveryResult {
    Delivered,
    /// Accepted according to its status, but the body, which says more, did not arrive whole.
    Unread,
    /// The attempt failed, and a later one may succeed.
    Retry(String, String),
    /// The attempt failed, and so would every later one.
    Rejected(String, String),
}

/// Body of a chat product's reply with status 200. Each product has its own fields.
#[derive(Deserialize)]
struct ChatReply {
    /// Sent by WeCom and DingTalk.
    errcode: Option<i64>,
    errmsg: Option<String>,
    /// Sent by Feishu as documented now.
    code: Option<i64>,
    msg: Option<String>,
    /// Sent by Feishu in older replies.
    #[serde(rename = "StatusCode")]
    status_code: Option<i64>,
    #[serde(rename = "StatusMessage")]
    status_message: Option<String>,
}

pub(super) fn classify(format: Format, reply: &Reply) -> DeliveryResult {
    let status = reply.status;
    let what = format!("it answered {status}");
    match status {
        200..=299 => classify_chat_reply(format, reply),
        300..=399 => DeliveryResult::Rejected(
            format!("{what}, and redirects are not followed: give the URL it leads to"),
            String::new(),
        ),
        429 | 500.. => DeliveryResult::Retry(what, short_text(&reply.body)),
        _ => DeliveryResult::Rejected(what, short_text(&reply.body)),
    }
}

fn classify_chat_reply(format: Format, reply: &Reply) -> DeliveryResult {
    let retried = match format {
        // These two report success by the status alone.
        Format::Json | Format::Slack => return DeliveryResult::Delivered,
        Format::Wecom => WECOM_RETRY,
        Format::Feishu => FEISHU_RETRY,
        Format::Dingtalk => DINGTALK_RETRY,
    };
    let chat = serde_json::from_slice::<ChatReply>(&reply.body)
        .ok()
        .and_then(|chat| {
            let (code, text) = match format {
                Format::Feishu => (
                    chat.code.or(chat.status_code),
                    chat.msg.or(chat.status_message),
                ),
                _ => (chat.errcode, chat.errmsg),
            };
            Some((code?, text.unwrap_or_default()))
        });
    match chat {
        Some((0, _)) => DeliveryResult::Delivered,
        Some((code, text)) if retried.contains(&code) => {
            DeliveryResult::Retry(format!("it answered with code {code}"), text)
        }
        Some((code, text)) => {
            DeliveryResult::Rejected(format!("it answered with code {code}"), text)
        }
        // Losing one message is better than sending it six times.
        None if !reply.is_whole => DeliveryResult::Unread,
        None => DeliveryResult::Rejected(
            format!(
                "it answered, but not in the form of {}: check the URL",
                format.as_str()
            ),
            String::new(),
        ),
    }
}

/// Returns the body if it is a short plain text, such as Slack's `invalid_payload`; otherwise an empty text.
fn short_text(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_short = text.len() <= SHORT_TEXT_LEN_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_ .,:-".contains(&b));
    if is_short {
        text.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(format: Format, status: u16, body: &str) -> DeliveryResult {
        classify(
            format,
            &Reply {
                status,
                date: None,
                retry_after: None,
                body: body.into(),
                is_whole: true,
            },
        )
    }

    #[test]
    fn only_failures_that_may_pass_are_tried_again() {
        for format in Format::ALL {
            for status in [429, 500, 502, 503, 504] {
                assert!(
                    matches!(classified(format, status, ""), DeliveryResult::Retry(..)),
                    "{status}"
                );
            }
            for status in [301, 302, 307, 308, 400, 401, 403, 404, 408, 410, 413] {
                assert!(
                    matches!(classified(format, status, ""), DeliveryResult::Rejected(..)),
                    "{status}"
                );
            }
        }
        for status in [200, 202, 204] {
            assert_eq!(
                classified(Format::Json, status, ""),
                DeliveryResult::Delivered
            );
            assert_eq!(
                classified(Format::Slack, status, "ok"),
                DeliveryResult::Delivered
            );
        }
        assert_eq!(
            classified(Format::Slack, 400, "invalid_payload"),
            DeliveryResult::Rejected("it answered 400".into(), "invalid_payload".into())
        );
        let page = classified(Format::Slack, 502, "<html>Bad Gateway</html>");
        assert_eq!(
            page,
            DeliveryResult::Retry("it answered 502".into(), String::new())
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
            assert_eq!(
                classified(format, 200, good),
                DeliveryResult::Delivered,
                "{good}"
            );
            assert!(
                matches!(classified(format, 200, busy), DeliveryResult::Retry(..)),
                "{busy}"
            );
            assert!(
                matches!(classified(format, 200, bad), DeliveryResult::Rejected(..)),
                "{bad}"
            );
            for strange in ["", "ok", "{}", "[]", "<html>", r#"{"code":"0"}"#] {
                let verdict = classified(format, 200, strange);
                assert!(matches!(verdict, DeliveryResult::Rejected(..)), "{strange}");
            }
        }
    }
}

//! Finds out how long a receiver does not want to be called: the header `Retry-After` of its reply (RFC 9110, section
//! 10.2.3).

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};

use crate::host::Reply;
use crate::model::Timestamp;

/// The longest pause that a receiver can ask for; a longer one is shortened to it.
const BAN_MAX: Duration = Duration::from_secs(3600);

/// Returns for how long nothing more may be sent after a reply that came at `now`, if the reply asks for a pause.
pub(super) fn ban(reply: &Reply, now: Timestamp) -> Option<Duration> {
    let text = reply.retry_after.as_deref()?.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            // The date is relative to the receiver's own clock, if the reply has one.
            let sent = reply.date.as_deref().and_then(date).unwrap_or(now);
            date(text)?.signed_duration_since(sent).as_seconds_f64()
        }
    };
    // NaN compares as false, so it gives no pause.
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(BAN_MAX.as_secs_f64())))
}

/// Parses a date in one of the three forms that HTTP allows.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let old = |form| NaiveDateTime::parse_from_str(text, form).ok();
    let date = old("%A, %d-%b-%y %H:%M:%S GMT").or_else(|| old("%a %b %e %H:%M:%S %Y"))?;
    Some(date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banned(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let reply = Reply {
            status: 429,
            date: date.map(str::to_owned),
            retry_after: Some(retry_after.to_owned()),
            body: Vec::new(),
            is_whole: true,
        };
        let now = super::date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        ban(&reply, now).map(|ban| ban.as_secs())
    }

    #[test]
    fn r7_retry_after_is_seconds_or_a_date_of_any_form_up_to_an_hour() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("1.5", Some(1)),
            ("3600", Some(3600)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("0", None),
            ("-5", None),
            ("nan", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sunday, 06-Nov-94 08:51:37 GMT", Some(120)),
            ("Sun Nov  6 08:51:37 1994", Some(120)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ] {
            assert_eq!(banned(text, None), seconds, "{text}");
        }
        // The receiver's clock is five minutes behind ours.
        let date = "Sun, 06 Nov 1994 08:44:37 GMT";
        assert_eq!(
            banned("Sun, 06 Nov 1994 08:45:37 GMT", Some(date)),
            Some(60)
        );
    }
}

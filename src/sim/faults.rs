//! Deliberate faults: the calls that a rule of the world applies to, and its effect on the call or the reply. The server
//! performs the effects on the connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::units::DurationText;

/// A rule for faulty calls. Without `action`, `region`, `image` and `offset` it matches every call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// Matches only calls of this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Matches only calls for this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Matches only writes of this image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Matches only the page at this offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Number of matching calls that pass first.
    #[serde(default)]
    pub skip: u32,
    /// The fraction of matching calls that fail, from 0 to 1; by default, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Number of calls that fail before the rule ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Whether the call takes effect before it fails.
    #[serde(default)]
    pub when: FaultTiming,
    pub kind: FaultKind,
    /// Duration of `delay` and `lost`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<DurationText>,
    /// The HTTP status of `status` and `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error code of `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The Location header of `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Whether a call takes effect before it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultTiming {
    /// The call never reaches the service.
    #[default]
    Before,
    /// The call takes effect, and its reply is faulty.
    After,
}

/// The effect on a call or on its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// No reply; the connection ends after `for` (default 60s).
    Lost,
    /// The connection ends at once.
    Cut,
    /// The correct reply, `for` later (default 1s).
    Delay,
    /// Bytes that are not JSON.
    Garbage,
    /// A login page, with HTTP 200.
    Html,
    /// HTTP 200 with an empty body.
    Empty,
    /// Valid JSON without the fields of a reply.
    Shapeless,
    /// Fewer bytes than announced.
    Truncated,
    /// Another HTTP status, with the page of a gateway.
    Status,
    /// A redirect to `location`.
    Redirect,
    /// A reply with an error code of the API.
    Error,
    /// A list whose TotalCount is one too high.
    WrongTotal,
    /// A list whose last row is replaced by its first.
    DuplicateRow,
    /// A list without its last row.
    MissingRow,
    /// An empty list with a TotalCount of 0.
    Nothing,
    /// A list that ignores the offset.
    SamePage,
}

/// The server's action instead of sending a reply unchanged.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyFault {
    /// Send nothing for this long, then end the connection.
    HangUpAfter(Duration),
    /// Send the reply this much later.
    Delayed(Duration),
    /// Announce more bytes than are sent.
    Truncate,
    /// Send these bytes instead.
    Replaced {
        status: u16,
        content_type: &'static str,
        body: &'static str,
        location: Option<String>,
    },
}

/// A rule, with the number of calls that it matched and that it applied to.
#[derive(Debug)]
pub(super) struct ActiveFault {
    pub rule: FaultRule,
    matched: u32,
    applied: u32,
}

/// The parts of a call that a rule checks.
pub(super) struct CallAttributes<'a> {
    pub action: &'a str,
    pub region: &'a str,
    pub body: &'a Value,
}

impl ActiveFault {
    pub(super) fn new(rule: FaultRule) -> Self {
        Self {
            rule,
            matched: 0,
            applied: 0,
        }
    }

    /// Whether the rule applies to this call. Counts the call.
    pub(super) fn applies_to(
        &mut self,
        call: &CallAttributes<'_>,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let FaultRule {
            action,
            region,
            image,
            offset,
            skip,
            rate,
            times,
            ..
        } = &self.rule;
        let is = |wanted: &Option<String>, given: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == given)
        };
        let matches = is(action, call.action)
            && is(region, call.region)
            && is(image, call.body["ImageId"].as_str().unwrap_or_default())
            && offset.is_none_or(|offset| call.body["Offset"].as_i64().unwrap_or(0) == offset);
        if !matches {
            return false;
        }
        self.matched += 1;
        let applies_to = self.matched > *skip
            && times.is_none_or(|times| self.applied < times)
            && rate.is_none_or(|rate| rng.f64() < rate);
        self.applied += u32::from(applies_to);
        applies_to
    }
}

impl FaultRule {
    /// The effect on the reply's connection; `None` if the rule changes only its content.
    pub(super) fn reply_fault(&self) -> Option<ReplyFault> {
        let length = |default: u64| {
            self.length
                .map_or(Duration::from_secs(default), |span| span.0)
        };
        let replaced = |status, content_type, body| {
            Some(ReplyFault::Replaced {
                status,
                content_type,
                body,
                location: self.location.clone(),
            })
        };
        match self.kind {
            FaultKind::Lost => Some(ReplyFault::HangUpAfter(length(60))),
            FaultKind::Cut => Some(ReplyFault::HangUpAfter(Duration::ZERO)),
            FaultKind::Delay => Some(ReplyFault::Delayed(length(1))),
            FaultKind::Truncated => Some(ReplyFault::Truncate),
            FaultKind::Garbage => replaced(200, "application/json", "}{ \u{fffd}"),
            FaultKind::Html => {
                replaced(200, "text/html", "<html><body>Please log in</body></html>")
            }
            FaultKind::Empty => replaced(200, "application/json", ""),
            FaultKind::Shapeless => replaced(200, "application/json", r#"{"Response":{}}"#),
            FaultKind::Status => replaced(
                self.status.unwrap_or(503),
                "text/html",
                "<html><body>Try later</body></html>",
            ),
            FaultKind::Redirect => replaced(self.status.unwrap_or(302), "text/html", ""),
            FaultKind::Error
            | FaultKind::WrongTotal
            | FaultKind::DuplicateRow
            | FaultKind::MissingRow
            | FaultKind::Nothing
            | FaultKind::SamePage => None,
        }
    }

    /// Changes the rows or the count in a reply with a list.
    pub(super) fn alter_list(&self, reply: &mut Value) {
        let name = if reply.get("BlueprintSet").is_some() {
            "BlueprintSet"
        } else {
            "ImageSet"
        };
        let total = reply["TotalCount"].as_u64().unwrap_or(0);
        let Some(rows) = reply.get_mut(name).and_then(Value::as_array_mut) else {
            return;
        };
        match self.kind {
            FaultKind::WrongTotal => reply["TotalCount"] = (total + 1).into(),
            FaultKind::DuplicateRow => {
                let first = rows.first().cloned();
                if let (Some(first), Some(last)) = (first, rows.last_mut()) {
                    *last = first;
                }
            }
            FaultKind::MissingRow => {
                rows.pop();
            }
            FaultKind::Nothing => {
                rows.clear();
                reply["TotalCount"] = 0.into();
            }
            _ => {}
        }
    }
}

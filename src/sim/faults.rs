//! What goes wrong on purpose.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::units::Span;

/// One way for calls to go wrong. A rule without `action`, `region` and `image` meets every call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Only calls of this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only calls for this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only writes of this image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Only the page at this offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// So many of these calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// The share of calls that it befalls, from 0 to 1; default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// At most so many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Whether the call takes effect first.
    #[serde(default)]
    pub when: Effect,
    /// What happens.
    pub kind: Kind,
    /// With `delay` and `lost`: how long.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// With `status`: the HTTP status, and with `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// With `error`: the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `redirect`: where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Whether a call that goes wrong takes effect first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It never reaches the service.
    #[default]
    Before,
    /// It takes effect, and the answer goes wrong.
    After,
}

/// What happens to a call or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// No answer; the connection ends after `for` (default 60s).
    Lost,
    /// The connection ends at once.
    Cut,
    /// The right answer, `for` later.
    Delay,
    /// Bytes that are no JSON.
    Garbage,
    /// A login page, with HTTP 200.
    Html,
    /// HTTP 200 and nothing.
    Empty,
    /// Valid JSON that is no reply.
    Shapeless,
    /// Fewer bytes than announced.
    Truncated,
    /// Another HTTP status, with a gateway's page.
    Status,
    /// A redirect to `location`.
    Redirect,
    /// An error of the API.
    Error,
    /// A list whose TotalCount is one too high.
    WrongTotal,
    /// A list with its first row once more in place of its last.
    DuplicateRow,
    /// A list without its last row.
    MissingRow,
    /// A list that says there is nothing.
    Nothing,
    /// A list that ignores the offset.
    SamePage,
}

/// What is to be done with an answer instead of sending it.
#[derive(Clone, Debug, PartialEq)]
pub enum Broken {
    /// Send nothing for so long, then end the connection.
    Silence(std::time::Duration),
    /// Send it so much later.
    Late(std::time::Duration),
    /// Announce more bytes than are sent.
    Truncate,
    /// Send these bytes instead.
    Instead {
        /// HTTP status.
        status: u16,
        /// Content-Type.
        content_type: &'static str,
        /// The body.
        body: &'static str,
        /// A Location header.
        location: Option<String>,
    },
}

/// A rule, and how often it was met.
#[derive(Debug)]
pub(super) struct Armed {
    pub rule: Rule,
    met: u32,
    struck: u32,
}

/// What a rule looks at.
pub(super) struct Target<'a> {
    pub action: &'a str,
    pub region: &'a str,
    pub body: &'a Value,
}

impl Armed {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            met: 0,
            struck: 0,
        }
    }

    /// Whether it befalls this call.
    pub(super) fn strikes(&mut self, target: &Target<'_>, rng: &mut fastrand::Rng) -> bool {
        let Rule {
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
        let meets = is(action, target.action)
            && is(region, target.region)
            && is(image, target.body["ImageId"].as_str().unwrap_or_default())
            && offset.is_none_or(|offset| target.body["Offset"].as_i64().unwrap_or(0) == offset);
        if !meets {
            return false;
        }
        self.met += 1;
        let strikes = self.met > *skip
            && times.is_none_or(|times| self.struck < times)
            && rate.is_none_or(|rate| rng.f64() < rate);
        self.struck += u32::from(strikes);
        strikes
    }
}

impl Rule {
    /// What becomes of the answer on its way, if not just another answer.
    pub(super) fn on_the_way(&self) -> Option<Broken> {
        let length = |default: u64| {
            self.length
                .map_or(std::time::Duration::from_secs(default), |span| span.0)
        };
        let instead = |status, content_type, body| {
            Some(Broken::Instead {
                status,
                content_type,
                body,
                location: self.location.clone(),
            })
        };
        match self.kind {
            Kind::Lost => Some(Broken::Silence(length(60))),
            Kind::Cut => Some(Broken::Silence(std::time::Duration::ZERO)),
            Kind::Delay => Some(Broken::Late(length(1))),
            Kind::Truncated => Some(Broken::Truncate),
            Kind::Garbage => instead(200, "application/json", "}{ \u{fffd}"),
            Kind::Html => instead(200, "text/html", "<html><body>Please log in</body></html>"),
            Kind::Empty => instead(200, "application/json", ""),
            Kind::Shapeless => instead(200, "application/json", r#"{"Response":{}}"#),
            Kind::Status => instead(
                self.status.unwrap_or(503),
                "text/html",
                "<html><body>Try later</body></html>",
            ),
            Kind::Redirect => instead(self.status.unwrap_or(302), "text/html", ""),
            Kind::Error
            | Kind::WrongTotal
            | Kind::DuplicateRow
            | Kind::MissingRow
            | Kind::Nothing
            | Kind::SamePage => None,
        }
    }

    /// Changes a listing.
    pub(super) fn on_the_list(&self, reply: &mut Value) {
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
            Kind::WrongTotal => reply["TotalCount"] = (total + 1).into(),
            Kind::DuplicateRow => {
                let first = rows.first().cloned();
                if let (Some(first), Some(last)) = (first, rows.last_mut()) {
                    *last = first;
                }
            }
            Kind::MissingRow => {
                rows.pop();
            }
            Kind::Nothing => {
                rows.clear();
                reply["TotalCount"] = 0.into();
            }
            _ => {}
        }
    }
}

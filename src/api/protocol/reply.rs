//! Parses a reply: a success, a refusal with its class, or something unreadable.

use serde::de::DeserializeOwned;

use super::wire::{self, ErrorBody, ReplyBody};
use crate::api::asked::Asked;
use crate::api::error::{CallError, Class, Refusal};
use crate::host::Reply;
use crate::model::Endpoint;
use crate::words::brief;

/// Parses the reply of `host` to a call. It is read as JSON whatever the headers say, and an `Error` overrides all
/// other fields.
pub(in crate::api) fn parse<T: DeserializeOwned>(
    reply: &Reply,
    asked: Asked,
    host: &str,
) -> Result<T, CallError> {
    let body = reply
        .body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&reply.body);
    let outcome = match wire::response::<ReplyBody>(body) {
        Ok(outcome) => outcome,
        Err(_) if reply.status == 429 => return Err(throttled(asked, host)),
        Err(_) => return Err(CallError::Unclear(not_json(reply).into())),
    };
    if let Some(ErrorBody { code, message }) = outcome.error {
        let error = ErrorBody { code, message };
        return Err(CallError::Refused(refusal(
            error,
            outcome.request_id,
            asked,
            host,
        )));
    }
    if reply.status != 200 {
        return Err(CallError::Unclear(not_json(reply).into()));
    }
    wire::response(body).map_err(|error| {
        CallError::Unclear(format!("the reply has an unexpected shape: {error}").into())
    })
}

/// The refusal that `host` sent instead of a result.
pub(in crate::api) fn refusal(
    ErrorBody { code, message }: ErrorBody,
    request_id: Option<String>,
    asked: Asked,
    host: &str,
) -> Refusal {
    Refusal {
        class: Class::of(&code, asked.permission()),
        code: brief(&code),
        message: brief(&message.unwrap_or_default()),
        request_id: request_id.map(|id| brief(&id)),
        asked: Some(asked),
        relay: (!Endpoint::is_vendors_host(host)).then(|| host.into()),
    }
}

/// A throttling by a gateway that sent no error body of the API.
fn throttled(asked: Asked, host: &str) -> CallError {
    let error = ErrorBody {
        code: "RequestLimitExceeded".to_owned(),
        message: None,
    };
    CallError::Refused(Refusal {
        code: "HTTP 429".to_owned(),
        ..refusal(error, None, asked, host)
    })
}

fn not_json(reply: &Reply) -> String {
    const SHOWN_MAX: usize = 80;
    let status = reply.status;
    if (300..400).contains(&status) {
        return format!("answered with a redirect (HTTP {status}), which is never followed");
    }
    if reply.body.is_empty() {
        return format!("answered HTTP {status} with an empty body");
    }
    let start = &reply.body[..reply.body.len().min(SHOWN_MAX)];
    format!(
        "answered HTTP {status} with something other than the API's JSON: `{}`",
        String::from_utf8_lossy(start).trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::protocol::wire::{
        Action, CallerIdentity, DescribeBlueprintsReply, DescribeImagesReply, ModifyReply,
    };
    use crate::model::Permission;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            date: None,
            retry_after: None,
            body: body.as_bytes().to_vec(),
            is_whole: true,
        }
    }

    const HOST: &str = "lighthouse.intl.tencentcloudapi.com";
    const READ: Asked = Asked::Read(Action::DescribeBlueprints);
    const SHARE: Asked = Asked::Write(Permission::Share);

    fn parsed(status: u16, body: &str) -> Result<DescribeBlueprintsReply, CallError> {
        parse(&reply(status, body), READ, HOST)
    }

    #[test]
    fn every_sample_reads_as_what_it_is() {
        let samples: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/describe-samples.json"))
                .expect("JSON");
        let sample = |action: &str, name: &str| reply(200, &samples[action][name].to_string());
        for (name, is_error) in [
            ("success", false),
            ("empty", false),
            ("page_1_of_2_limit_1", false),
            ("nulls", false),
            ("error", true),
        ] {
            let result =
                parse::<DescribeBlueprintsReply>(&sample("DescribeBlueprints", name), READ, HOST);
            assert_eq!(result.is_err(), is_error, "{name}: {result:?}");
        }
        for (name, is_error) in [
            ("success", false),
            ("offset_past_end", false),
            ("error", true),
        ] {
            let result =
                parse::<DescribeImagesReply>(&sample("DescribeImagesToShare", name), READ, HOST);
            assert_eq!(result.is_err(), is_error, "{name}: {result:?}");
        }
        let writes = samples["ModifyImageSharePermission"]
            .as_object()
            .expect("an object");
        for (name, value) in writes {
            let result = parse::<ModifyReply>(&reply(200, &value.to_string()), SHARE, HOST);
            assert_eq!(
                result.is_ok(),
                name.ends_with("_success"),
                "{name}: {result:?}"
            );
        }
    }

    /// The formats are from the examples in the documentation of `GetCallerIdentity`.
    #[test]
    fn s13_a_caller_is_known_by_its_root_account_whoever_it_is() {
        for body in [
            r#"{"Response":{"Type":"CAMUser","AccountId":"100000000001","UserId":"100000000009",
                "PrincipalId":"100000000009","Arn":"qcs::cam:100000000001:uin/100000000009","RequestId":"r"}}"#,
            r#"{"Response":{"Type":"CAMRole","AccountId":"100000000001","UserId":"4611686018417420000:ci",
                "PrincipalId":"100000000009","Arn":"qcs::sts:100000000001:assumed-role/4611686018417420000","RequestId":"r"}}"#,
            r#"{"Response":{"AccountId":"100000000001"}}"#,
        ] {
            let identity =
                parse::<CallerIdentity>(&reply(200, body), READ, HOST).expect("a caller");
            assert_eq!(identity.account_id, "100000000001");
        }
        let nobody = reply(
            200,
            r#"{"Response":{"UserId":"100000000001","RequestId":"r"}}"#,
        );
        assert!(matches!(
            parse::<CallerIdentity>(&nobody, READ, HOST),
            Err(CallError::Unclear(_))
        ));
    }

    #[test]
    fn a18_an_error_beside_other_fields_wins() {
        let body = r#"{"Response":{"Error":{"Code":"InternalError","Message":"x"},"TotalCount":0,"BlueprintSet":[]}}"#;
        assert!(
            matches!(parsed(200, body), Err(CallError::Refused(r)) if r.code == "InternalError")
        );
    }

    #[test]
    fn a_null_blueprint_id_is_legal_after_share() {
        let body = r#"{"Response":{"BlueprintId":null,"RequestId":"r"}}"#;
        let result = parse::<ModifyReply>(&reply(200, body), SHARE, HOST);
        assert_eq!(result.expect("a success").blueprint_id, Some(None));
    }

    #[test]
    fn t7_what_is_not_json_is_unclear_and_names_the_status() {
        for (status, body) in [
            (200, "<html>login</html>"),
            (503, "<h1>Busy</h1>"),
            (200, ""),
            (502, "{"),
            (302, ""),
        ] {
            match parsed(status, body) {
                Err(CallError::Unclear(detail)) => {
                    assert!(detail.to_string().contains(&status.to_string()), "{detail}")
                }
                other => panic!("{status} {body:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn t8_t10_a_wrong_shape_is_never_an_empty_list() {
        for body in [
            "{}",
            r#"{"Response":null}"#,
            r#"{"Response":{}}"#,
            r#"{"Response":{"TotalCount":0}}"#,
            r#"{"Response":{"TotalCount":0,"BlueprintSet":null}}"#,
            r#"{"Response":{"TotalCount":0,"BlueprintSet":{}}}"#,
            r#"{"Response":{"TotalCount":"0","BlueprintSet":[]}}"#,
            r#"{"Response":{"TotalCount":-1,"BlueprintSet":[]}}"#,
            r#"{"Response":{"TotalCount":0,"TotalCount":0,"BlueprintSet":[]}}"#,
            r#"{"Response":{"TotalCount":1,"BlueprintSet":[{}]}}"#,
        ] {
            assert!(
                matches!(parsed(200, body), Err(CallError::Unclear(_))),
                "{body}"
            );
        }
        let deep = "[".repeat(100_000);
        assert!(
            matches!(parsed(200, &deep), Err(CallError::Unclear(_))),
            "t9: deep JSON"
        );
    }

    #[test]
    fn t18_http_429_counts_as_throttling() {
        assert!(
            matches!(parsed(429, "slow down"), Err(CallError::Refused(r)) if matches!(r.class, Class::Throttled(_)))
        );
    }

    #[test]
    fn t20_a_byte_order_mark_is_tolerated() {
        let body = "\u{feff}{\"Response\":{\"TotalCount\":0,\"BlueprintSet\":[]}}";
        assert_eq!(parsed(200, body).expect("a page").total_count, 0);
    }
}

//! Replies that do not match their documentation: needed fields are parsed strictly, and no other field can make a
//! reply unusable.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::asked::Asked;
use super::error::{CallError, Class};
use super::protocol::reply::parse;
use super::protocol::wire::{
    Action, CallerIdentity, DescribeBlueprintsReply, DescribeCvmImagesReply, DescribeImagesReply,
    DescribeInstancesReply, ModifyReply,
};
use crate::host::Reply;
use crate::model::Permission;

/// Values that may appear in place of another one.
pub(super) const ODD: [&str; 20] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "0.5",
    "20.0",
    "1e999",
    "123456789012345678901234567890",
    r#""""#,
    r#""23""#,
    r#""null""#,
    r#""\ud800""#,
    "[]",
    "[null]",
    r#"["x", 1]"#,
    "{}",
    r#"{"a": {"a": null}}"#,
    r#"{"a": 1, "a": 2}"#,
];

/// The values that a field of a reply accepts.
#[derive(Clone, Copy)]
enum Takes {
    /// Only a text is accepted.
    Text,
    /// A text or null.
    TextOrNull,
    /// Only `true` or `false`.
    Bool,
    /// `true`, `false` or null.
    BoolOrNull,
    /// A count of things.
    Count,
    /// A list of objects.
    List,
    /// A list of objects or null.
    ListOrNull,
    /// Any value at all.
    Anything,
}

impl Takes {
    fn fits(self, raw: &str) -> bool {
        let is_text = serde_json::from_str::<String>(raw).is_ok();
        match self {
            Self::Text => is_text,
            Self::TextOrNull => is_text || raw == "null",
            Self::Bool => matches!(raw, "true" | "false"),
            Self::BoolOrNull => matches!(raw, "true" | "false" | "null"),
            Self::Count => matches!(raw, "0" | "1"),
            Self::List => raw == "[]",
            Self::ListOrNull => matches!(raw, "[]" | "null"),
            Self::Anything => true,
        }
    }
}

fn samples() -> Value {
    let samples = include_str!("../../tests/data/describe-samples.json");
    serde_json::from_str(samples).expect("JSON")
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, CallError> {
    let reply = Reply {
        status: 200,
        date: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        is_whole: true,
    };
    let asked = Asked::Read(Action::DescribeBlueprints);
    parse(&reply, asked, "lighthouse.tencentcloudapi.com")
}

/// Puts each odd value into each field of the object at `place`, and parses the result. `needed` names the fields with
/// the values that they accept.
fn every_field<T: DeserializeOwned>(whole: &Value, place: &str, needed: &[(&str, Takes)]) {
    const HERE: &str = r#""@@""#;
    let object = whole.pointer(place).and_then(Value::as_object);
    let fields: Vec<_> = object.expect("an object").keys().cloned().collect();
    for (name, _) in needed {
        assert!(fields.iter().any(|field| field == name), "{name}");
    }
    for field in &fields {
        let takes = needed.iter().find(|(name, _)| name == field);
        let takes = takes.map_or(Takes::Anything, |(_, takes)| *takes);
        let mut changed = whole.clone();
        changed.pointer_mut(place).expect("it is there")[field] = "@@".into();
        let text = changed.to_string();
        assert_eq!(text.matches(HERE).count(), 1, "{field}");
        for raw in ODD {
            let read = read::<T>(&text.replace(HERE, raw));
            assert_eq!(read.is_ok(), takes.fits(raw), "{place}/{field}: {raw}");
        }
        let object = changed.pointer_mut(place).and_then(Value::as_object_mut);
        object.expect("an object").remove(field);
        let may_be_absent = takes.fits("null");
        let read = read::<T>(&changed.to_string());
        assert_eq!(read.is_ok(), may_be_absent, "{place}/{field} is absent");
    }
}

#[test]
fn c14_t2_of_blueprints_only_the_counts_and_ids_are_needed() {
    let whole = &samples()["DescribeBlueprints"]["success"];
    every_field::<DescribeBlueprintsReply>(
        whole,
        "/Response/BlueprintSet/0",
        &[("BlueprintId", Takes::Text), ("ImageId", Takes::TextOrNull)],
    );
    every_field::<DescribeBlueprintsReply>(
        whole,
        "/Response",
        &[("TotalCount", Takes::Count), ("BlueprintSet", Takes::List)],
    );
}

#[test]
fn c14_t2_of_images_only_count_id_and_eligibility_are_needed() {
    let whole = &samples()["DescribeImagesToShare"]["success"];
    every_field::<DescribeImagesReply>(
        whole,
        "/Response/ImageSet/1",
        &[("ImageId", Takes::Text), ("IsShareable", Takes::Bool)],
    );
    every_field::<DescribeImagesReply>(
        whole,
        "/Response",
        &[("TotalCount", Takes::Count), ("ImageSet", Takes::List)],
    );
}

#[test]
fn c14_t2_of_instances_only_the_counts_and_ids_are_needed() {
    let whole = &samples()["DescribeInstances"]["success"];
    every_field::<DescribeInstancesReply>(
        whole,
        "/Response/InstanceSet/1",
        &[
            ("InstanceId", Takes::Text),
            ("BlueprintId", Takes::TextOrNull),
        ],
    );
    every_field::<DescribeInstancesReply>(
        whole,
        "/Response",
        &[("TotalCount", Takes::Count), ("InstanceSet", Takes::List)],
    );
}

#[test]
fn c14_t2_of_images_of_cvm_only_what_lighthouse_lacks_is_needed() {
    let whole = &samples()["DescribeImages"]["success"];
    every_field::<DescribeCvmImagesReply>(
        whole,
        "/Response/ImageSet/0",
        &[
            ("ImageId", Takes::Text),
            ("ImageFamily", Takes::TextOrNull),
            ("ImageDeprecated", Takes::BoolOrNull),
            ("Tags", Takes::ListOrNull),
        ],
    );
    every_field::<DescribeCvmImagesReply>(
        whole,
        "/Response/ImageSet/0/Tags/0",
        &[("Key", Takes::Text), ("Value", Takes::TextOrNull)],
    );
    every_field::<DescribeCvmImagesReply>(
        whole,
        "/Response",
        &[("TotalCount", Takes::Count), ("ImageSet", Takes::List)],
    );
}

#[test]
fn c14_t2_of_a_caller_only_the_account_is_needed() {
    let whole = r#"{"Response": {"Type": "CAMUser", "AccountId": "100000000001", "UserId": "100000000009",
        "PrincipalId": "100000000009", "Arn": "qcs::cam:100000000001:uin/100000000009", "RequestId": "r"}}"#;
    let whole: Value = serde_json::from_str(whole).expect("JSON");
    every_field::<CallerIdentity>(&whole, "/Response", &[("AccountId", Takes::Text)]);
}

#[test]
fn c14_t2_of_a_write_only_what_says_that_it_was_done_is_needed() {
    let whole = r#"{"Response": {"BlueprintId": "lhbp-1", "RequestId": "r"}}"#;
    let needed = [("BlueprintId", Takes::TextOrNull)];
    let whole: Value = serde_json::from_str(whole).expect("JSON");
    every_field::<ModifyReply>(&whole, "/Response", &needed);
    // `Error: null` is no error, and no answer either.
    let neither = read::<ModifyReply>(r#"{"Response": {"Error": null, "RequestId": 1}}"#);
    assert_eq!(neither.expect("a reply").blueprint_id, None);
    let done = read::<ModifyReply>(r#"{"Response": {"Error": null, "BlueprintId": null}}"#);
    assert_eq!(done.expect("a reply").blueprint_id, Some(None));
}

#[test]
fn c14_t2_what_cannot_be_used_is_not_said_and_the_rest_of_its_row_is() {
    for raw in ODD {
        let body = r#"{"Response": {"TotalCount": 1, "BlueprintSet": [{"BlueprintId": "lhbp-1", "ImageId": "img-a",
            "BlueprintState": @, "BlueprintType": @, "BlueprintName": @, "New": @, "Twice": @, "Twice": @}]}}"#;
        let page = read::<DescribeBlueprintsReply>(&body.replace('@', raw)).expect(raw);
        let row = &page.blueprint_set[0];
        assert_eq!(
            (&*row.blueprint_id, row.image_id.as_deref()),
            ("lhbp-1", Some("img-a"))
        );
        let text = serde_json::from_str::<String>(raw).ok();
        for said in [
            &row.blueprint_state,
            &row.blueprint_type,
            &row.blueprint_name,
        ] {
            assert_eq!(*said, text, "{raw}");
        }
        let body = r#"{"Response": {"TotalCount": 1, "ImageSet": [{"ImageId": "img-a", "IsShareable": false,
            "IsSupportCloudinit": @, "ImageState": @}]}}"#;
        let page = read::<DescribeImagesReply>(&body.replace('@', raw)).expect(raw);
        let row = &page.image_set[0];
        let said = serde_json::from_str::<bool>(raw).ok();
        assert_eq!(row.is_support_cloudinit, said, "{raw}");
        assert_eq!(row.image_state, text, "{raw}");
    }
}

#[test]
fn t2_e25_a_refusal_is_one_whatever_stands_beside_its_code() {
    const CODE: &str = "UnauthorizedOperation.NoPermission";
    for raw in ODD {
        for body in [
            r#"{"Response": {"Error": {"Code": "CODE", "Message": @}, "RequestId": "r"}}"#,
            r#"{"Response": {"Error": {"Code": "CODE", "Message": "no"}, "RequestId": @}}"#,
            r#"{"Response": {"Error": {"Code": "CODE", "Message": "no", "Detail": @}, "BlueprintId": @}}"#,
        ] {
            let body = body.replace("CODE", CODE).replace('@', raw);
            match read::<ModifyReply>(&body) {
                Err(CallError::Refused(refusal)) => {
                    assert_eq!((&*refusal.code, refusal.class), (CODE, Class::ScopeBlocked));
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        // Without a code, it is not known what was refused, nor whether anything was done.
        let body = r#"{"Response": {"Error": {"Code": @, "Message": "no"}, "BlueprintId": null}}"#;
        let read = read::<ModifyReply>(&body.replace('@', raw));
        let is_text = Takes::Text.fits(raw);
        assert_eq!(matches!(read, Err(CallError::Refused(_))), is_text, "{raw}");
        assert_eq!(
            matches!(read, Err(CallError::Unclear(_))),
            !is_text,
            "{raw}"
        );
    }
    let body =
        r#"{"Response": {"Error": ["UnauthorizedOperation.NoPermission"], "BlueprintId": null}}"#;
    let listed = read::<ModifyReply>(body);
    assert!(matches!(listed, Err(CallError::Unclear(_))), "{listed:?}");
    let nobody = Class::of(CODE, Some(Permission::Share));
    assert_eq!(nobody, Class::ScopeBlocked, "as a write, too");
}

#[test]
fn t8_t10_what_is_needed_is_read_strictly() {
    for body in [
        r#"[{"TotalCount": 0, "BlueprintSet": []}]"#,
        r#"{"Response": [0, []]}"#,
        r#"{"Response": {"TotalCount": "1", "BlueprintSet": [{"BlueprintId": "lhbp-1"}]}}"#,
        r#"{"Response": {"TotalCount": 1.0, "BlueprintSet": [{"BlueprintId": "lhbp-1"}]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [null]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": ["lhbp-1"]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [["lhbp-1"]]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": {"0": {"BlueprintId": "lhbp-1"}}}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [{"BlueprintId": "lhbp-1", "BlueprintId": "lhbp-2"}]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [{"BlueprintId": "lhbp-1", "ImageId": "a", "ImageId": "b"}]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [{"BlueprintId": "lhbp-1", "ImageId": "\ud800"}]}}"#,
        r#"{"Response": {"TotalCount": 1, "BlueprintSet": [{"BlueprintId": "lhbp-1", "BlueprintName": "x]}}"#,
    ] {
        let read = read::<DescribeBlueprintsReply>(body);
        assert!(
            matches!(read, Err(CallError::Unclear(_))),
            "{body}: {read:?}"
        );
    }
}

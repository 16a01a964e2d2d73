//! The table of remedies: each row is reached by its own code, and its text fits the service.

use super::*;
use crate::api::protocol::wire::Action;

fn refused(code: &str, asked: Option<Asked>) -> Refusal {
    Refusal {
        code: code.into(),
        message: "no".into(),
        request_id: Some("r".into()),
        class: Class::of(code, asked.and_then(Asked::permission)),
        asked,
        relay: None,
    }
}

fn remedy(code: &str, asked: Asked) -> String {
    refused(code, Some(asked)).remedy().unwrap_or_default()
}

const SHARE: Asked = Asked::Write(Permission::Share);
const CANCEL: Asked = Asked::Write(Permission::Cancel);
const LIST: Asked = Asked::Read(Action::DescribeBlueprints);
const CVM: Asked = Asked::Read(Action::DescribeImages);
const WHOSE: Asked = Asked::Read(Action::GetCallerIdentity);

/// A refusal that matches a row.
fn sample(row: &Row) -> Refusal {
    let code = match row.code.strip_suffix("*") {
        Some(family) => format!("{family}SomethingNew"),
        None => row.code.to_owned(),
    };
    let asked = match row.who {
        Who::Relay | Who::Anyone => Some(CVM),
        Who::Role => Some(Asked::AssumeRole),
        Who::Pod => Some(Asked::AssumePodsRole),
        Who::Machine => Some(Asked::MachinesRole),
        Who::Share => Some(SHARE),
        Who::Cancel => Some(CANCEL),
        Who::Write => Some(CANCEL),
        Who::Lighthouse => Some(LIST),
        Who::Ours => None,
    };
    Refusal {
        relay: (row.who == Who::Relay).then(|| "relay.example".into()),
        ..refused(&code, asked)
    }
}

#[test]
fn t7_each_row_of_the_table_is_reached_and_fills_its_gaps() {
    for (number, row) in TABLE.iter().enumerate() {
        let refusal = sample(row);
        let first = TABLE.iter().position(|row| row.fits(&refusal));
        assert_eq!(first, Some(number), "{} is hidden by another row", row.code);
        let remedy = refusal.told();
        assert_eq!(
            remedy.contains('('),
            row.remedy.is_some(),
            "{}: {remedy}",
            row.code
        );
        assert!(!remedy.contains('{'), "{remedy}");
        assert!(remedy.chars().count() < 400, "{remedy}");
    }
}

#[test]
fn t7_a_code_means_what_the_service_that_answered_means_by_it() {
    for (code, asked, words) in [
        // One code for three different roles.
        ("ResourceNotFound.RoleNotFound", SHARE, "service role"),
        ("ResourceNotFound.RoleNotFound", LIST, "service role"),
        (
            "ResourceNotFound.RoleNotFound",
            Asked::AssumeRole,
            "`roleArn` does not exist",
        ),
        (
            "ResourceNotFound.RoleNotFound",
            Asked::AssumePodsRole,
            "TKE_ROLE_ARN does not exist",
        ),
        // An invalid request is an error in the manifest only if it contains texts from the manifest.
        (
            "InvalidParameter.OverTimeError",
            Asked::AssumeRole,
            "`durationSeconds`",
        ),
        (
            "InvalidParameter.ParamError",
            Asked::AssumeRole,
            "`roleArn`",
        ),
        ("InvalidParameter", Asked::AssumeRole, "`roleArn`"),
        (
            "InvalidParameter.WebIdentityTokenError",
            Asked::AssumePodsRole,
            "the pod's token",
        ),
        ("InvalidParameter.ParamError", LIST, "fault in sharekeeper"),
        (
            "InvalidParameterValue.OutOfRange",
            LIST,
            "fault in sharekeeper",
        ),
        ("InvalidFilter", CVM, "fault in sharekeeper"),
        // The permission is the one of the call.
        (
            "UnauthorizedOperation",
            SHARE,
            "lighthouse:ModifyImageSharePermission",
        ),
        (
            "UnauthorizedOperation.NoPermission",
            CVM,
            "cvm:DescribeImages",
        ),
        ("UnauthorizedOperation", WHOSE, "sts:GetCallerIdentity"),
        ("UnauthorizedOperation", Asked::AssumeRole, "sts:AssumeRole"),
        (
            "UnauthorizedOperation",
            Asked::AssumePodsRole,
            "trust policy",
        ),
        // A problem of a region is not a missing permission.
        ("UnsupportedRegion", SHARE, "not open to this account"),
        ("UnsupportedRegion", LIST, "not open to this account"),
        ("AuthFailure.InvalidRegion", CVM, "not open to this account"),
        ("UnsupportedRegion", Asked::AssumePodsRole, "TKE_REGION"),
        // An image that is in use.
        (
            "ResourceInUse.ImageInUse",
            CANCEL,
            "declare the image `shared`",
        ),
        (
            "ResourceInUse.ImageInUse",
            SHARE,
            "it is shared once that has ended",
        ),
        (
            "ResourceNotFound.ImageIdNotFound",
            SHARE,
            "check the image id",
        ),
        // Problems of keys.
        (
            "AuthFailure.SignatureFailure",
            SHARE,
            "the SecretKey does not belong",
        ),
        (
            "AuthFailure.AccessKeyIllegal",
            Asked::AssumeRole,
            "SecretId",
        ),
        ("FailedOperation.CheckMFAError", SHARE, "multi-factor"),
        ("NotFound", Asked::MachinesRole, "bound to this instance"),
        // The text for an unknown code says so, and names the data for the vendor's support.
        ("Brand.NewCode", SHARE, "does not know this code"),
        ("Brand.NewCode", LIST, "with the RequestId"),
        ("AuthFailure.BrandNew", WHOSE, "with the RequestId"),
    ] {
        let remedy = remedy(code, asked);
        assert!(remedy.contains(words), "{code} to {asked:?}: {remedy}");
    }
}

#[test]
fn t7_no_code_of_a_region_or_of_sts_has_the_advice_of_another() {
    for asked in [SHARE, CANCEL, LIST, CVM] {
        for code in ["UnsupportedRegion", "AuthFailure.InvalidRegion"] {
            let remedy = remedy(code, asked);
            assert!(!remedy.contains("in CAM"), "{remedy}");
        }
    }
    for code in [
        "ResourceNotFound.RoleNotFound",
        "InvalidParameter.StrategyInvalid",
        "InvalidParameterValue",
    ] {
        let remedy = remedy(code, Asked::AssumeRole);
        assert!(
            !remedy.contains("Lighthouse") && !remedy.contains("fault in"),
            "{remedy}"
        );
    }
    let share = remedy("ResourceInUse.ImageInUse", SHARE);
    assert!(!share.contains("declare"), "{share}");
}

#[test]
fn t7_a_relay_that_spoils_the_signature_is_named() {
    for code in [
        "AuthFailure.SignatureFailure",
        "AuthFailure.InvalidAuthorization",
    ] {
        for asked in [SHARE, LIST, WHOSE, Asked::AssumeRole] {
            let direct = refused(code, Some(asked));
            let relayed = Refusal {
                relay: Some("relay.example:8443".into()),
                ..direct.clone()
            };
            let remedy = relayed.remedy().expect("a remedy");
            assert!(remedy.contains("`relay.example:8443`"), "{remedy}");
            let remedy = direct.remedy().expect("a remedy");
            assert!(!remedy.contains("`Host`"), "{remedy}");
        }
    }
}

#[test]
fn t7_what_passes_by_itself_has_no_remedy() {
    for code in [
        "RequestLimitExceeded",
        "RequestLimitExceeded.UinLimitExceeded",
        "InternalError.RequestError",
        "ServiceUnavailable",
        "UnsupportedOperation.ImageOccupied",
    ] {
        assert_eq!(refused(code, Some(SHARE)).remedy(), None, "{code}");
    }
}

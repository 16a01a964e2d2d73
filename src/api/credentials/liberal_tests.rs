//! Replies of STS and of the metadata that do not match their documentation.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::fixtures_tests::{World, no_blueprints, ok, plain, region};
use super::{CredentialError, Lease};
use crate::api::error::CallError;
use crate::api::liberal_tests::ODD;
use crate::desired::{AssumeRole, CredentialSource, Role};

/// Returns `whole` with `raw` in one of its fields.
fn with(whole: &Value, field: &str, raw: &str) -> String {
    let mut changed = whole.clone();
    changed[field] = "@@".into();
    changed.to_string().replace(r#""@@""#, raw)
}

/// The credentials from STS for a role.
async fn assumed(response: String) -> Result<Lease, CredentialError> {
    let world = World::new();
    world.set("TENCENTCLOUD_SECRET_ID", "ENV");
    world.set("TENCENTCLOUD_SECRET_KEY", "env-key");
    world
        .host()
        .answer(move |_| plain(200, &format!(r#"{{"Response": {response}}}"#)));
    let source = CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: Role {
            arn: "qcs::cam::uin/1:roleName/keeper".into(),
            session_name: None,
            duration_seconds: None,
            external_id: None,
        },
        source: CredentialSource::Environment,
    }));
    world.current(&world.provider(&source)).await
}

#[tokio::test(start_paused = true)]
async fn c14_t2_of_a_role_only_its_keys_and_their_end_are_needed() {
    let whole = json!({
        "Credentials": {"Token": "t", "TmpSecretId": "TMP", "TmpSecretKey": "k", "New": null},
        "ExpiredTime": 2_000_000_000, "Expiration": "x", "Kind": "x", "RequestId": "r",
    });
    for raw in ODD {
        for field in ["Expiration", "Kind", "RequestId"] {
            let lease = assumed(with(&whole, field, raw)).await;
            assert!(lease.is_ok(), "{field}: {raw}: {:?}", lease.err());
        }
        assert!(assumed(with(&whole, "Credentials", raw)).await.is_err());
    }
    for raw in ["null", r#""2000000000""#, "2e9", "true", "[2000000000]"] {
        let lease = assumed(with(&whole, "ExpiredTime", raw)).await;
        assert!(lease.is_err(), "{raw}");
    }
    for field in ["Token", "TmpSecretId", "TmpSecretKey"] {
        for raw in ["null", "1", r#"["t"]"#, r#""""#] {
            let credentials = with(&whole["Credentials"], field, raw);
            let lease = assumed(with(&whole, "Credentials", &credentials)).await;
            assert!(lease.is_err(), "{credentials}");
        }
    }
    let listed = r#"{"Credentials": ["t", "TMP", "k"], "ExpiredTime": 2000000000}"#;
    assert!(assumed(listed.into()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn t2_e25_a_refused_role_is_refused_once_whatever_the_message() {
    for raw in ODD {
        let text = r#"{"Error": {"Code": "ResourceNotFound.RoleNotFound", "Message": @, "New": @}, "RequestId": @}"#;
        let error = assumed(text.replace('@', raw)).await.err();
        let error = error.expect("refused").to_string();
        assert!(error.contains("RoleNotFound"), "{raw}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn c14_t2_of_the_machines_role_only_its_keys_and_their_end_are_needed() {
    let machine = async |document: String| {
        let world = World::new();
        world.host().answer(move |_| plain(200, &document));
        let source = CredentialSource::CvmRole(Some("keeper".into()));
        world.current(&world.provider(&source)).await
    };
    let whole = json!({
        "Code": "Success", "TmpSecretId": "CVM", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": 2_000_000_000,
        "Expiration": "x", "LastUpdated": "x", "Type": "x",
    });
    for raw in ODD {
        for field in ["Expiration", "LastUpdated", "Type"] {
            let lease = machine(with(&whole, field, raw)).await;
            assert!(lease.is_ok(), "{field}: {raw}");
        }
    }
    for field in [
        "Code",
        "TmpSecretId",
        "TmpSecretKey",
        "Token",
        "ExpiredTime",
    ] {
        for raw in ["null", "true", r#""\n""#, r#"["x"]"#] {
            let lease = machine(with(&whole, field, raw)).await;
            assert!(lease.is_err(), "{field}: {raw}");
        }
    }
    // If it says that there are no credentials, the rest may be anything.
    for raw in ODD {
        let failed = r#"{"Code": "Failed", "TmpSecretId": @, "TmpSecretKey": @, "Token": @, "ExpiredTime": @}"#;
        let error = machine(failed.replace('@', raw)).await.err();
        let error = error.expect("there are none").to_string();
        assert!(error.contains("not available: `Failed`"), "{raw}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn c14_t2_whose_a_key_is_is_known_though_the_rest_of_the_answer_is_odd() {
    for raw in ODD {
        let world = World::new();
        world.set("TENCENTCLOUD_SECRET_ID", "ENV");
        world.set("TENCENTCLOUD_SECRET_KEY", "env-key");
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        world.host().answer(move |heard| {
            if heard.action() != "GetCallerIdentity" {
                return no_blueprints();
            }
            count.set(count.get() + 1);
            let said = r#"{"Response": {"AccountId": "100000000001", "UserId": @, "PrincipalId": @, "Arn": @, "Type": @, "RequestId": @}}"#;
            plain(200, &said.replace('@', raw))
        });
        let client = world.client(
            &world.provider(&CredentialSource::Environment),
            Some("100000000001"),
        );
        client
            .describe_blueprints(region(), 0, None)
            .await
            .expect(raw);
        assert_eq!(asked.get(), 1, "{raw}");
    }
    let world = World::new();
    world.set("TENCENTCLOUD_SECRET_ID", "ENV");
    world.set("TENCENTCLOUD_SECRET_KEY", "env-key");
    world
        .host()
        .answer(|_| ok(&json!({"AccountId": 100_000_000_001_u64})));
    let provider = world.provider(&CredentialSource::Environment);
    let client = world.client(&provider, Some("100000000001"));
    let refused = client.describe_blueprints(region(), 0, None).await;
    assert!(
        matches!(refused, Err(CallError::AccountBroken(_))),
        "a number is no uin"
    );
}

//! No byte of a secret may appear in any error or log, whatever fails in any source.

use serde_json::{Value, json};

use super::fixtures_tests::{Log, World, no_blueprints, ok, plain, refused, region};
use super::{CredentialError, Environment};
use crate::api::error::Refusal;
use crate::desired::{AssumeRole, CredentialSource, Role};
use crate::host::TransportError;

const CANARY: &str = "c4n4ryB1rdS1ngs";
const ROLE: &str = "qcs::cam::uin/1:roleName/keeper";

/// Fails if any eight bytes of the canary are in `text`, literally or in hex.
fn is_silent(text: &str) {
    for run in CANARY.as_bytes().windows(8) {
        let run = std::str::from_utf8(run).expect("ASCII");
        assert!(!text.contains(run), "{run} is shown: {text}");
        assert!(!text.contains(&hex::encode(run)), "{run} is shown: {text}");
    }
}

fn message(error: &CredentialError) -> String {
    let refusal = Refusal::from(error.clone());
    format!("{error} {error:?} {refusal} {refusal:?}")
}

fn file() -> CredentialSource {
    CredentialSource::File {
        path: None,
        section: None,
    }
}

fn role(source: CredentialSource) -> CredentialSource {
    CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: Role {
            arn: ROLE.into(),
            session_name: None,
            duration_seconds: None,
            external_id: None,
        },
        source,
    }))
}

/// Invalid texts that contain the canary, for all parsers.
fn spoilt() -> Vec<String> {
    let c = CANARY;
    vec![
        c.to_owned(),
        format!("[default]\nsecret_id = {c}\n"),
        format!("[default]\nsecret_id = a\nsecret_key = {c} {c}\n"),
        format!("[default]\nsecret_id = a\nsecret_key = {c}\n {c}\n"),
        format!("[{c}]\nsecret_id = a\nsecret_key = {c}\n"),
        format!("[default\n{c}\n"),
        format!(r#"{{"secretId": "{c}"}}"#),
        format!(r#"{{"secretId": "a", "secretKey": "{c} "}}"#),
        format!(r#"{{"secretId": "a", "secretKey": ["{c}"]}}"#),
        format!(r#"{{"{c}": "{c}", "secretId": 5}}"#),
        format!(r#"{{"type": "{c}", "secretKey": "{c}"}}"#),
        format!(r#"{{"secretId": "a", "secretKey": "{c}", "role-arn": "{c}"}}"#),
        format!(r#"{{"secretId": "a", "secretKey": "{c}", "expiresAt": "{c}"}}"#),
        format!("\u{0}{c}"),
    ]
}

/// Invalid replies that contain the canary.
fn spoilt_replies() -> Vec<(u16, String)> {
    let c = CANARY;
    let assumed = |credentials: Value, expires: Value| {
        let reply = json!({"Response": {"Credentials": credentials, "ExpiredTime": expires}});
        (200, reply.to_string())
    };
    vec![
        (200, c.to_owned()),
        (500, c.to_owned()),
        (200, format!(r#"{{"Response": "{c}"}}"#)),
        (302, c.to_owned()),
        assumed(json!(c), json!(1)),
        assumed(json!({"Token": c, "TmpSecretId": "a"}), json!(1)),
        assumed(
            json!({"Token": c, "TmpSecretId": "a", "TmpSecretKey": [c]}),
            json!(1),
        ),
        assumed(
            json!({"Token": c, "TmpSecretId": "a", "TmpSecretKey": c}),
            json!(c),
        ),
        assumed(
            json!({"Token": format!("{c} {c}"), "TmpSecretId": "a", "TmpSecretKey": c}),
            json!(1),
        ),
        (
            200,
            format!(
                r#"{{"Code": "Success", "TmpSecretId": "a", "TmpSecretKey": "{c} ", "Token": "{c}"}}"#
            ),
        ),
        (
            200,
            format!(r#"{{"Code": "Failed", "TmpSecretKey": "{c}"}}"#),
        ),
        (
            200,
            format!(r#"{{"Code": "Success", "ExpiredTime": "{c}"}}"#),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn o2_s12_a_file_that_is_no_good_is_never_quoted() {
    let (log, _guard) = Log::listen();
    for text in spoilt() {
        let world = World::new();
        world.put(".tencentcloud/credentials", &text);
        world.put(".tccli/p.credential", &text);
        for source in [
            file(),
            CredentialSource::Profile(Some("p".into())),
            role(file()),
        ] {
            if let Err(error) = world.current(&world.provider(&source)).await {
                is_silent(&message(&error));
            }
        }
        // The same after a valid content.
        let good = "[default]\nsecret_id = a\nsecret_key = b\n";
        world.put(".tencentcloud/credentials", good);
        let provider = super::ProviderCache::new(world.environment())
            .provider(&file(), &crate::model::Endpoint::default());
        world.current(&provider).await.expect("good");
        world.put(".tencentcloud/credentials", &text);
        world.current(&provider).await.expect("the old");
    }
    assert!(log.text().contains("WARN"));
    is_silent(&log.text());
}

#[tokio::test(start_paused = true)]
async fn o2_s12_a_variable_that_is_no_good_is_never_quoted() {
    let spoilt = [
        format!("{CANARY} x"),
        format!("{CANARY}\u{e9}"),
        format!("\"{CANARY}\""),
    ];
    for value in spoilt {
        for name in [
            "TENCENTCLOUD_SECRET_ID",
            "TENCENTCLOUD_SECRET_KEY",
            "TENCENTCLOUD_TOKEN",
        ] {
            let world = World::new();
            world
                .set("TENCENTCLOUD_SECRET_ID", "a")
                .set("TENCENTCLOUD_SECRET_KEY", "b");
            world.set(name, &value);
            is_silent(&world.error(&CredentialSource::Ambient).await);
        }
    }
    let environment = Environment::new(|name| {
        use std::os::unix::ffi::OsStringExt;
        let bytes = [CANARY.as_bytes(), b"\xff"].concat();
        name.starts_with("TENCENTCLOUD")
            .then(|| std::ffi::OsString::from_vec(bytes))
    });
    let error = environment.credentials().err().expect("is no text");
    is_silent(&message(&error));
}

#[tokio::test(start_paused = true)]
async fn o2_s12_a_reply_that_holds_keys_is_never_quoted() {
    let (log, _guard) = Log::listen();
    for (status, body) in spoilt_replies() {
        let world = World::new();
        world
            .set("TENCENTCLOUD_SECRET_ID", "a")
            .set("TENCENTCLOUD_SECRET_KEY", CANARY);
        let token = world.put("token", CANARY);
        world.set("TKE_ROLE_ARN", ROLE).set("TKE_PROVIDER_ID", "p");
        world.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy());
        world.host().answer(move |_| plain(status, &body));
        for source in [
            role(CredentialSource::Environment),
            CredentialSource::TkeOidc,
            CredentialSource::CvmRole(None),
            CredentialSource::CvmRole(Some("r".into())),
        ] {
            match world.current(&world.provider(&source)).await {
                Err(error) => is_silent(&message(&error)),
                Ok(_) => panic!("{source} takes anything"),
            }
        }
    }
    is_silent(&log.text());
}

#[tokio::test(start_paused = true)]
async fn o2_s12_what_sts_says_of_a_pods_token_is_not_shown_but_for_its_code() {
    let world = World::new();
    let token = world.put("token", CANARY);
    world.set("TKE_ROLE_ARN", ROLE).set("TKE_PROVIDER_ID", "p");
    world.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy());
    world.host().answer(|_| {
        let message = format!("the token {CANARY} is no good");
        ok(&json!({"Error": {"Code": "InvalidParameter.WebIdentityTokenError", "Message": message}}))
    });
    let provider = world.provider(&CredentialSource::TkeOidc);
    let error = world.current(&provider).await.err().expect("is refused");
    is_silent(&message(&error));
    assert!(message(&error).contains("InvalidParameter.WebIdentityTokenError"));
    // A token file with invalid content.
    for text in [format!("{CANARY} {CANARY}"), format!("{CANARY}\u{e9}")] {
        world.put("token", &text);
        is_silent(&world.error(&CredentialSource::TkeOidc).await);
    }
}

#[tokio::test(start_paused = true)]
async fn o2_s12_a_whole_life_with_credentials_leaves_nothing_in_the_log() {
    let (log, _guard) = Log::listen();
    let world = World::new();
    world.put(
        ".tencentcloud/credentials",
        &format!("[default]\nsecret_id = a\nsecret_key = {CANARY}\ntoken = {CANARY}\n"),
    );
    let until = crate::host::Clock::now(world.host()).timestamp() + 7_200;
    let mut dead = false;
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" => ok(&json!({
            "Credentials": {"Token": CANARY, "TmpSecretId": if dead { "b" } else { "c" }, "TmpSecretKey": CANARY},
            "ExpiredTime": until,
        })),
        _ if !dead => {
            dead = true;
            refused("AuthFailure.TokenFailure")
        }
        _ => no_blueprints(),
    });
    let client = world.client(&world.provider(&role(file())), None);
    client
        .describe_blueprints(region(), 0, None)
        .await
        .expect("an answer to the second");
    world
        .host()
        .answer(|_| Err(TransportError::Lost("reset".into())));
    world.host().pass(7_100).await;
    let _ = client.describe_blueprints(region(), 0, None).await;
    let text = log.text();
    assert!(
        text.contains("fetching new ones") && text.contains("continuing with"),
        "{text}"
    );
    is_silent(&text);
}

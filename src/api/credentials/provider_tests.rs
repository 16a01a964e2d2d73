//! Credentials that change, end, are refused, or are not available.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::fixtures_tests::{
    Log, Scripted, World, assumed, ini, no_blueprints, ok, plain, put, refused, region,
};
use super::{CredentialError, Lease};
use crate::api::error::{CallError, Class, NO_CREDENTIALS, WRONG_ACCOUNT};
use crate::api::{ReadClient, WriteClient};
use crate::desired::{AssumeRole, CredentialSource, Role};
use crate::host::{Clock, Method, Reply, TransportError};
use crate::model::{ImageId, Permission};

const FILE: &str = ".tencentcloud/credentials";
const ROLE: &str = "qcs::cam::uin/1:roleName/keeper";

fn file() -> CredentialSource {
    CredentialSource::File {
        path: None,
        section: None,
    }
}

fn role(name: &str, source: CredentialSource) -> CredentialSource {
    CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: Role {
            arn: format!("qcs::cam::uin/1:roleName/{name}"),
            session_name: None,
            duration_seconds: None,
            external_id: None,
        },
        source,
    }))
}

fn pair(lease: &Lease) -> (&str, &str) {
    let credentials = &lease.credentials;
    (&credentials.secret_id, credentials.secret_key.expose())
}

async fn observe(client: &ReadClient<Scripted>) -> Result<(), CallError> {
    client
        .describe_blueprints(region(), 0, None)
        .await
        .map(|_| ())
}

fn of_environment(world: &World) {
    world.set("TENCENTCLOUD_SECRET_ID", "ENV");
    world.set("TENCENTCLOUD_SECRET_KEY", "env-key");
}

/// Issues numbered credentials of a role that live for `seconds`, and answers calls with `blueprints`.
fn sts(world: &World, seconds: i64) -> Rc<Cell<usize>> {
    let count = Rc::new(Cell::new(0));
    let (counted, began) = (Rc::clone(&count), world.host().now().timestamp());
    let since = world.host().monotonic();
    let context = Rc::clone(&world.context);
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            counted.set(counted.get() + 1);
            let passed = context.host.monotonic().since(since).as_secs();
            assumed(counted.get(), began + passed as i64 + seconds)
        }
        _ => no_blueprints(),
    });
    count
}

#[tokio::test(start_paused = true)]
async fn l8_a_rotated_file_is_used_from_the_next_call_without_a_restart() {
    let world = World::new();
    world.put(FILE, &ini("OLD", "old"));
    world.host().answer(|_| no_blueprints());
    let client = world.client(&world.provider(&file()), None);
    observe(&client).await.expect("an answer");
    assert_eq!(world.host().last().secret_id(), "OLD");
    world.put(FILE, &ini("NEW", "new"));
    observe(&client).await.expect("an answer");
    assert_eq!(world.host().last().secret_id(), "NEW");
    // The API counts by caller; a new key of the same user has no quota of its own.
    assert_eq!(&*world.provider(&file()).caller_id(), "OLD");
}

#[tokio::test(start_paused = true)]
async fn c7_a_file_that_is_half_written_leaves_the_old_pair_in_use() {
    let world = World::new();
    world.put(FILE, &ini("OLD", "old"));
    let provider = world.provider(&file());
    world.current(&provider).await.expect("whole");
    let (log, _guard) = Log::listen();
    for half in [
        "",
        "[default]\nsecret_id = NEW\n",
        "[default]\nsecret_id = NEW\nsecret_ke",
    ] {
        world.put(FILE, half);
        for _ in 0..3 {
            let lease = world.current(&provider).await.expect("the old one");
            assert_eq!((pair(&lease), lease.version), (("OLD", "old"), 1));
        }
    }
    fs::remove_file(world.home.path().join(FILE)).expect("is removed");
    world.current(&provider).await.expect("the old one");
    assert_eq!(
        log.count("continuing with the credentials that were read before"),
        4
    );
    world.put(FILE, &ini("NEW", "new"));
    let lease = world.current(&provider).await.expect("whole");
    assert_eq!((pair(&lease), lease.version), (("NEW", "new"), 2));
}

#[tokio::test(start_paused = true)]
async fn c7_a_file_that_is_written_over_in_place_never_mixes_two_versions() {
    // Everything on the disk is recent.
    let world = World::after(Duration::ZERO);
    world.put(FILE, &ini("OLD", "old"));
    let provider = world.provider(&file());
    world.current(&provider).await.expect("whole");
    let path = world.home.path().join(FILE);
    // The id is new, but the key is not yet; it comes while the file is read again.
    fs::write(&path, ini("NEW", "old")).expect("is written");
    let waits = Rc::new(Cell::new(0));
    let counted = Rc::clone(&waits);
    world.host().on_wait(move || {
        counted.set(counted.get() + 1);
        if counted.get() == 1 {
            fs::write(&path, ini("NEW", "new")).expect("is written");
        }
    });
    let lease = world.current(&provider).await.expect("whole");
    assert_eq!((pair(&lease), lease.version), (("NEW", "new"), 2));
    assert!(waits.get() >= 2, "it is read until two readings agree");
}

#[tokio::test(start_paused = true)]
async fn c7_a_file_that_never_stands_still_leaves_the_old_pair_in_use() {
    let world = World::after(Duration::ZERO);
    world.put(FILE, &ini("OLD", "old"));
    let provider = world.provider(&file());
    world.current(&provider).await.expect("whole");
    let (home, turn) = (world.home.path().to_owned(), Cell::new(0));
    put(&home, FILE, &ini("NEW0", "new"));
    world.host().on_wait(move || {
        turn.set(turn.get() + 1);
        put(&home, FILE, &ini(&format!("NEW{}", turn.get()), "new"));
    });
    let lease = world.current(&provider).await.expect("the old one");
    assert_eq!(pair(&lease), ("OLD", "old"));
}

#[tokio::test(start_paused = true)]
async fn c8_s13_after_a_new_key_of_another_account_nothing_more_is_called() {
    let world = World::new();
    world.put(FILE, &ini("OURS", "a"));
    world.host().answer(|heard| match heard.action() {
        "GetCallerIdentity" => {
            let whose = if heard.secret_id() == "OURS" {
                "1"
            } else {
                "2"
            };
            ok(&json!({"AccountId": whose, "RequestId": "r"}))
        }
        _ => no_blueprints(),
    });
    let client = WriteClient::new(world.client(&world.provider(&file()), Some("1")));
    observe(client.read()).await.expect("our own");
    observe(client.read()).await.expect("our own");
    assert_eq!(world.host().count("GetCallerIdentity"), 1);
    world.put(FILE, &ini("THEIRS", "b"));
    let error = observe(client.read()).await.expect_err("another account");
    let CallError::AccountBroken(refusal) = error else {
        panic!("{error} should be the account's");
    };
    assert_eq!(refusal.code, WRONG_ACCOUNT);
    assert!(client.permit(region()).await.is_err());
    assert!(client.broken().is_some());
    assert_eq!(world.host().count("GetCallerIdentity"), 2);
    assert_eq!(world.host().count("DescribeBlueprints"), 2);
    // The key is ours again, without a restart.
    world.put(FILE, &ini("OURS", "a"));
    observe(client.read()).await.expect("our own");
    assert!(client.permit(region()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn c6_a_token_that_expires_early_costs_one_call() {
    let world = World::new();
    of_environment(&world);
    let dead = Rc::new(Cell::new(""));
    let (marked, count) = (Rc::clone(&dead), Cell::new(0));
    let until = world.host().now().timestamp() + 7_200;
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" => {
            count.set(count.get() + 1);
            assumed(count.get(), until)
        }
        _ if heard.secret_id() == marked.get() => refused("AuthFailure.TokenFailure"),
        "ModifyImageSharePermission" => ok(&json!({"BlueprintId": "lhbp-a", "RequestId": "r"})),
        _ => no_blueprints(),
    });
    let provider = world.provider(&role("a", CredentialSource::Environment));
    let client = WriteClient::new(world.client(&provider, None));
    observe(client.read()).await.expect("an answer");
    dead.set("TMP1");
    observe(client.read())
        .await
        .expect("an answer to the second call");
    assert_eq!(world.host().count("DescribeBlueprints"), 3);
    assert_eq!(world.host().count("AssumeRole"), 2);
    dead.set("TMP2");
    let image = ImageId::new("img-a").expect("an id");
    let write = async || {
        let permit = client.permit(region()).await.expect("the turn");
        client
            .modify(permit, region(), &image, Permission::Share)
            .await
    };
    let Err(CallError::Refused(refusal)) = write().await else {
        panic!("the first write is refused");
    };
    assert_eq!(
        (&*refusal.code, refusal.class),
        ("AuthFailure.TokenFailure", Class::Busy)
    );
    assert_eq!(client.broken(), None);
    write().await.expect("the second write is done");
    assert_eq!(world.host().count("ModifyImageSharePermission"), 2);
    assert_eq!(world.host().count("AssumeRole"), 3);
}

#[tokio::test(start_paused = true)]
async fn c9_a_key_that_does_not_work_however_new_is_the_accounts_trouble() {
    let world = World::new();
    of_environment(&world);
    let (count, until) = (Cell::new(0), world.host().now().timestamp() + 7_200);
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" => {
            count.set(count.get() + 1);
            assumed(count.get(), until)
        }
        _ => refused("AuthFailure.TokenFailure"),
    });
    let client = world.client(
        &world.provider(&role("a", CredentialSource::Environment)),
        None,
    );
    for _ in 0..5 {
        observe(&client).await.expect_err("no");
    }
    assert_eq!(
        world.host().count("DescribeBlueprints"),
        2,
        "the second key is known to fail"
    );
    assert_eq!(world.host().count("AssumeRole"), 2);
    assert!(client.broken().is_some());
    // A permanent key cannot be replaced by a new request.
    let world = World::new();
    of_environment(&world);
    world
        .host()
        .answer(|_| refused("AuthFailure.SecretIdNotFound"));
    let client = world.client(&world.provider(&CredentialSource::Ambient), None);
    for _ in 0..3 {
        observe(&client).await.expect_err("no");
    }
    assert_eq!(world.host().count("DescribeBlueprints"), 1);
}

#[tokio::test(start_paused = true)]
async fn c9_a_deleted_key_whose_file_was_replaced_meanwhile_is_tried_again_once() {
    let world = World::new();
    world.put(FILE, &ini("OLD", "old"));
    let home = world.home.path().to_owned();
    world.host().answer(move |heard| match heard.secret_id() {
        "OLD" => {
            put(&home, FILE, &ini("NEW", "new"));
            refused("AuthFailure.SecretIdNotFound")
        }
        _ => no_blueprints(),
    });
    let client = world.client(&world.provider(&file()), None);
    observe(&client).await.expect("an answer to the new key");
    assert_eq!(world.host().heard.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn c10_a_file_that_others_can_read_is_warned_of_once_with_the_remedy() {
    let world = World::new();
    let path = world.put(FILE, &ini("AKID", "key"));
    let (log, _guard) = Log::listen();
    world
        .current(&world.provider(&file()))
        .await
        .expect("whole");
    assert_eq!(log.text(), "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
    for section in ["default", "default"] {
        let source = CredentialSource::File {
            path: Some(path.clone()),
            section: Some(section.into()),
        };
        world
            .current(&world.provider(&source))
            .await
            .expect("whole");
    }
    let remedy = format!("`chmod 600 {}`", path.display());
    assert_eq!(log.count(&remedy), 1, "{}", log.text());
    // Our own link to our own file causes no warning.
    let file = world.put("own", &ini("AKID", "key"));
    let link = world.home.path().join("link");
    symlink(&file, &link).expect("a link");
    let source = CredentialSource::File {
        path: Some(link),
        section: None,
    };
    world
        .current(&world.provider(&source))
        .await
        .expect("whole");
    assert_eq!(log.count("WARN"), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn c12_the_machines_role_is_the_last_resort_within_a_second() {
    let world = World::new();
    let until = world.host().now().timestamp() + 7_200;
    world.host().answer(move |heard| {
        if heard.url.ends_with("/security-credentials/") {
            return plain(200, "keeper\n");
        }
        let document = json!({
            "Code": "Success", "TmpSecretId": "CVM", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": until,
        });
        plain(200, &document.to_string())
    });
    let provider = world.provider(&CredentialSource::Ambient);
    let lease = world.current(&provider).await.expect("the machine's own");
    assert_eq!(pair(&lease).0, "CVM");
    let heard = world.host().heard.take();
    let urls: Vec<_> = heard.iter().map(|heard| &*heard.url).collect();
    let base = "http://metadata.tencentyun.com/latest/meta-data/cam/security-credentials/";
    assert_eq!(urls, [base, &format!("{base}keeper")]);
    for heard in &heard {
        assert_eq!(
            (heard.method, heard.deadline),
            (Method::Get, Duration::from_secs(1))
        );
    }
    // Not asked if there is any other source.
    of_environment(&world);
    let provider = super::ProviderCache::new(super::Environment::new(|name| match name {
        "TENCENTCLOUD_SECRET_ID" | "TENCENTCLOUD_SECRET_KEY" => Some("x".into()),
        _ => None,
    }))
    .provider(
        &CredentialSource::Ambient,
        &crate::model::Endpoint::default(),
    );
    world.current(&provider).await.expect("the environment's");
    assert_eq!(world.host().heard.borrow().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn c12_only_a_simulator_on_this_machine_can_play_the_metadata() {
    for url in [
        "http://10.0.0.1",
        "http://metadata.example.com",
        "https://127.0.0.1",
        "http://{region}.localhost",
        "http://127.0.0.1/x",
    ] {
        let world = World::new();
        world.set("SHAREKEEPER_METADATA_URL", url);
        let error = world.error(&CredentialSource::CvmRole(None)).await;
        assert!(error.contains("loopback"), "{url}: {error}");
    }
    let world = World::new();
    world.set("SHAREKEEPER_METADATA_URL", "http://127.0.0.1:7980/");
    world.host().answer(|_| plain(404, ""));
    let error = world
        .error(&CredentialSource::CvmRole(Some("r".into())))
        .await;
    assert!(error.contains("this machine has no role `r`"), "{error}");
    assert!(
        world
            .host()
            .last()
            .url
            .starts_with("http://127.0.0.1:7980/latest/")
    );
}

#[tokio::test(start_paused = true)]
async fn the_sources_are_tried_in_order_and_each_is_named_with_why_not() {
    let world = World::new();
    world
        .host()
        .answer(|_| Err(TransportError::NotSent("no such host".into())));
    let error = world.error(&CredentialSource::Ambient).await;
    let mut rest = &*error;
    for words in [
        "environment (TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set)",
        "profile `default` (",
        ".tccli/default.credential does not exist",
        "file (",
        ".tencentcloud/credentials does not exist",
        "tke-oidc (TKE_PROVIDER_ID",
        "cvm-role (no such host)",
        "--sim",
    ] {
        let (_, after) = rest
            .split_once(words)
            .unwrap_or_else(|| panic!("{words}: {error}"));
        rest = after;
    }
    assert_eq!(world.host().heard.borrow().len(), 1, "it is tried once");
    // From the last to the first: each source that exists is used.
    let until = world.host().now().timestamp() + 7_200;
    world.host().answer(move |_| assumed(1, until));
    let token = world.put("token", "jwt\n");
    world.set("TKE_ROLE_ARN", ROLE).set("TKE_PROVIDER_ID", "p");
    world.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy());
    let expect = async |id: &str| {
        let cache = super::ProviderCache::new(world.environment());
        let provider = cache.provider(
            &CredentialSource::Ambient,
            &crate::model::Endpoint::default(),
        );
        let lease = world.current(&provider).await.expect(id);
        assert_eq!(pair(&lease).0, id);
    };
    expect("TMP1").await;
    world.put("etc", &ini("ETC", "k"));
    expect("ETC").await;
    world.put(FILE, &ini("FILE", "k"));
    expect("FILE").await;
    world.put(".tccli/default.credential", "{}");
    expect("FILE").await;
    world.put(
        ".tccli/default.credential",
        r#"{"secretId": "PROFILE", "secretKey": "k"}"#,
    );
    expect("PROFILE").await;
    of_environment(&world);
    expect("ENV").await;
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_does_not_exist_is_named_with_those_that_do() {
    let world = World::new();
    world.put(".tccli/default.credential", "{}");
    world.put(".tccli/prod.credential", "{}");
    let missing = CredentialSource::Profile(Some("prdo".into()));
    let error = world.error(&missing).await;
    for words in [
        "profile `prdo`",
        "prdo.credential does not exist",
        "existing profiles: default, prod",
    ] {
        assert!(error.contains(words), "{error}");
    }
    // A profile that a variable names is meant, whatever else exists.
    world.put(FILE, &ini("FILE", "k"));
    world.set("TCCLI_PROFILE", "nobody");
    let error = world.error(&CredentialSource::Ambient).await;
    assert!(
        error.contains("nobody.credential does not exist"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn l8_credentials_that_turn_up_are_found_without_a_restart() {
    let world = World::new();
    world
        .host()
        .answer(|_| Err(TransportError::NotSent("no such host".into())));
    let client = world.client(&world.provider(&CredentialSource::Ambient), None);
    let error = observe(&client).await.expect_err("there are none");
    assert!(matches!(error, CallError::AccountBroken(refusal) if refusal.code == NO_CREDENTIALS));
    world.put(FILE, &ini("FILE", "k"));
    world.host().answer(|_| no_blueprints());
    world.host().pass(61).await;
    observe(&client).await.expect("an answer");
    assert_eq!(world.host().last().secret_id(), "FILE");
}

#[tokio::test(start_paused = true)]
async fn fifty_calls_that_wait_cause_one_fetch_and_hear_of_one_failure() {
    let world = World::new();
    of_environment(&world);
    let count = sts(&world, 7_200);
    let provider = world.provider(&role("a", CredentialSource::Environment));
    let all = join_all((0..50).map(|_| world.current(&provider))).await;
    assert!(
        all.iter()
            .all(|got| got.as_ref().is_ok_and(|lease| lease.version == 1))
    );
    assert_eq!(count.get(), 1);
    world
        .host()
        .answer(|_| refused("UnauthorizedOperation.NoPermission"));
    let provider = world.provider(&role("b", CredentialSource::Environment));
    let all = join_all((0..50).map(|_| world.current(&provider))).await;
    assert!(
        all.iter()
            .all(|got| matches!(got, Err(CredentialError::Refused { .. })))
    );
    assert_eq!(world.host().count("AssumeRole"), 2);
}

#[tokio::test(start_paused = true)]
async fn p7_one_who_gives_up_leaves_the_fetch_to_the_next() {
    let world = World::new();
    of_environment(&world);
    let count = sts(&world, 7_200);
    let provider = world.provider(&role("a", CredentialSource::Environment));
    let mut first = Box::pin(world.current(&provider));
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    world
        .current(&provider)
        .await
        .expect("fetched by the second");
    assert_eq!(count.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn l8_new_ones_are_fetched_before_the_old_ones_end() {
    let world = World::new();
    of_environment(&world);
    world.host().unit.set(1.0);
    let count = sts(&world, 7_200);
    let provider = world.provider(&role("a", CredentialSource::Environment));
    for (after, fetched) in [(0, 1), (7_000, 1), (51, 2), (7_000, 2), (51, 3)] {
        world.host().pass(after).await;
        world.current(&provider).await.expect("live");
        assert_eq!(count.get(), fetched, "after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_living_lease_is_used_with_one_warning_while_no_new_one_comes() {
    let world = World::new();
    of_environment(&world);
    sts(&world, 7_200);
    let provider = world.provider(&role("a", CredentialSource::Environment));
    world.current(&provider).await.expect("fetched");
    world.host().answer(|_| refused("InternalError"));
    world.host().pass(6_950).await;
    let (log, _guard) = Log::listen();
    for _ in 0..10 {
        let lease = world.current(&provider).await.expect("the old ones");
        assert_eq!(lease.version, 1);
        world.host().pass(5).await;
    }
    assert_eq!(log.count("continuing with the present credentials"), 1);
    world.host().pass(300).await;
    let error = world
        .current(&provider)
        .await
        .err()
        .expect("they have ended");
    assert!(error.to_string().contains("InternalError"), "{error}");
    sts(&world, 7_200);
    world.host().pass(61).await;
    world.current(&provider).await.expect("fetched again");
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_roles_says_who_assumes_what_and_how() {
    let world = World::new();
    of_environment(&world);
    sts(&world, 7_200);
    let outer = CredentialSource::AssumeRole(Box::new(AssumeRole {
        role: Role {
            arn: ROLE.into(),
            session_name: Some("audit".into()),
            duration_seconds: Some(900),
            external_id: Some("tenant:7".into()),
        },
        source: role("inner", CredentialSource::Environment),
    }));
    let client = world.client(&world.provider(&outer), None);
    observe(&client).await.expect("an answer");
    let heard = world.host().heard.take();
    let calls: Vec<_> = heard.iter().map(|h| (h.action(), h.secret_id())).collect();
    assert_eq!(
        calls,
        [
            ("AssumeRole", "ENV"),
            ("AssumeRole", "TMP1"),
            ("DescribeBlueprints", "TMP2")
        ]
    );
    assert_eq!(
        heard[0].body,
        json!({"RoleArn": "qcs::cam::uin/1:roleName/inner", "RoleSessionName": "sharekeeper", "DurationSeconds": 7200})
    );
    assert_eq!(
        heard[1].body,
        json!({"RoleArn": ROLE, "RoleSessionName": "audit", "DurationSeconds": 900, "ExternalId": "tenant:7"})
    );
    for assumes in &heard[..2] {
        assert_eq!(assumes.url, "https://sts.intl.tencentcloudapi.com/");
        assert_eq!(assumes.headers["x-tc-version"], "2018-08-13");
    }
    assert_eq!(heard[1].headers["x-tc-token"], "token1");
    assert_eq!(heard[2].headers["x-tc-token"], "token2");
    // The caller is the role, whatever the names of its keys.
    assert_eq!(
        &*world.provider(&outer).caller_id(),
        format!("assume-role {ROLE}")
    );
}

#[tokio::test(start_paused = true)]
async fn l8_a_role_is_assumed_anew_when_the_key_that_assumes_it_was_rotated() {
    let world = World::new();
    world.put(FILE, &ini("OLD", "old"));
    let count = sts(&world, 7_200);
    let provider = world.provider(&role("a", file()));
    world.current(&provider).await.expect("assumed");
    world.current(&provider).await.expect("at hand");
    assert_eq!(count.get(), 1);
    world.put(FILE, &ini("NEW", "new"));
    let lease = world.current(&provider).await.expect("assumed");
    assert_eq!((count.get(), lease.version), (2, 2));
    assert_eq!(world.host().last().secret_id(), "NEW");
}

#[tokio::test(start_paused = true)]
async fn a_profile_of_tccli_assumes_its_role_and_another_uses_the_machines() {
    let world = World::new();
    sts(&world, 7_200);
    let profile =
        json!({"secretId": "AKID", "secretKey": "k", "role-arn": ROLE, "role-session-name": "me"});
    world.put(".tccli/r.credential", &profile.to_string());
    let provider = world.provider(&CredentialSource::Profile(Some("r".into())));
    let lease = world.current(&provider).await.expect("assumed");
    assert_eq!(pair(&lease).0, "TMP1");
    world.current(&provider).await.expect("at hand");
    assert_eq!(world.host().count("AssumeRole"), 1);
    assert_eq!(world.host().last().body["RoleSessionName"], "me");
    world.put(".tccli/m.credential", r#"{"type": "cvm-role"}"#);
    world.host().answer(|_| plain(404, ""));
    let error = world
        .error(&CredentialSource::Profile(Some("m".into())))
        .await;
    assert!(error.contains("this machine has no role"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_pods_token_is_read_anew_for_each_fetch_and_sent_unsigned() {
    let world = World::new();
    sts(&world, 7_200);
    let token = world.put("token", "jwt-1\n");
    world
        .set("TKE_ROLE_ARN", ROLE)
        .set("TKE_PROVIDER_ID", "provider");
    world.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy());
    world.set("TKE_REGION", "ap-guangzhou");
    let provider = world.provider(&CredentialSource::TkeOidc);
    world.current(&provider).await.expect("assumed");
    let heard = world.host().last();
    assert_eq!(heard.action(), "AssumeRoleWithWebIdentity");
    assert_eq!(heard.headers["authorization"], "SKIP");
    assert_eq!(heard.headers["x-tc-region"], "ap-guangzhou");
    assert!(!heard.headers.contains_key("x-tc-token"));
    assert_eq!(
        heard.body,
        json!({
            "ProviderId": "provider", "WebIdentityToken": "jwt-1", "RoleArn": ROLE,
            "RoleSessionName": "sharekeeper", "DurationSeconds": 7200,
        })
    );
    world.put("token", "jwt-2\n");
    world.host().pass(7_000).await;
    world.current(&provider).await.expect("assumed");
    assert_eq!(world.host().last().body["WebIdentityToken"], "jwt-2");
}

#[tokio::test(start_paused = true)]
async fn two_accounts_of_one_source_share_what_was_fetched() {
    let world = World::new();
    of_environment(&world);
    let count = sts(&world, 7_200);
    let source = role("a", CredentialSource::Environment);
    for _ in 0..2 {
        let client = world.client(&world.provider(&source), None);
        observe(&client).await.expect("an answer");
    }
    assert_eq!(count.get(), 1);
}

/// Makes the path of a world's file impossible to examine, in a way that works for a superuser, too.
fn breaks(world: &World, key_use: &str) {
    let path = world.home.path().join(FILE);
    let directory = path.parent().expect("a parent");
    let _ = fs::remove_file(&path);
    match key_use {
        "a link to nowhere" => symlink("nowhere", &path).expect("a link"),
        "a link in a loop" => symlink("credentials", &path).expect("a link"),
        _ => {
            let _ = fs::remove_dir_all(directory);
            symlink("not-mounted", directory).expect("a link");
        }
    }
}

const BROKEN_WAYS: [&str; 3] = [
    "a link to nowhere",
    "a link in a loop",
    "a directory that is a link to nowhere",
];

#[tokio::test(start_paused = true)]
async fn g1_s13_an_unreadable_file_is_not_passed_over() {
    for key_use in BROKEN_WAYS {
        let world = World::new();
        world.put(FILE, &ini("OLD", "old"));
        breaks(&world, key_use);
        // Skipping it would continue with the machine's role, which belongs to another account.
        world
            .host()
            .answer(move |heard| panic!("{key_use}: {}", heard.url));
        let provider = world.provider(&CredentialSource::Ambient);
        let error = world.current(&provider).await.err().expect(key_use);
        assert!(
            matches!(error, CredentialError::Broken(_)),
            "{key_use}: {error}"
        );
        let message = error.to_string();
        assert!(
            message.contains("leads nowhere") || message.contains("Too many levels"),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn g1_s13_a_file_that_breaks_after_it_was_gone_is_reported_anew() {
    for key_use in BROKEN_WAYS {
        let world = World::new();
        world.put(FILE, &ini("OLD", "old"));
        let provider = world.provider(&file());
        world.current(&provider).await.expect("whole");
        fs::remove_file(world.home.path().join(FILE)).expect("is removed");
        world.current(&provider).await.expect("the old one");
        let (log, _guard) = Log::listen();
        breaks(&world, key_use);
        world.current(&provider).await.expect("the old one");
        assert_eq!(log.count("cannot be read"), 1, "{key_use}: {}", log.text());
    }
}

#[tokio::test(start_paused = true)]
async fn b2_the_clock_of_sts_signs_for_sts_alone_and_dates_leases() {
    for hours in [20, -20] {
        let world = World::new();
        of_environment(&world);
        world.host().unit.set(1.0);
        let (context, offset) = (Rc::clone(&world.context), chrono::TimeDelta::hours(hours));
        world.host().answer(move |heard| {
            let ours = context.host.now();
            let here = if heard.url.contains("sts.") {
                ours + offset
            } else {
                ours
            };
            let signed: i64 = heard.headers["x-tc-timestamp"].parse().expect("seconds");
            let answer = match heard.action() {
                _ if (here.timestamp() - signed).abs() > 300 => {
                    refused("AuthFailure.SignatureExpire")
                }
                "AssumeRole" => assumed(1, here.timestamp() + 7_200),
                _ => no_blueprints(),
            };
            let date = here.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            answer.map(|reply| Reply {
                date: Some(date),
                ..reply
            })
        });
        let provider = world.provider(&role("a", CredentialSource::Environment));
        let client = world.client(&provider, None);
        observe(&client).await.expect("read");
        let asked = || world.host().count("AssumeRole");
        assert_eq!(asked(), 2, "{hours} h: learned once");
        assert_eq!(world.host().count("DescribeBlueprints"), 1, "{hours} h");
        assert_eq!(client.clocks(region()).api(), None, "{hours} h");
        world.host().pass(7_000).await;
        observe(&client).await.expect("read");
        assert_eq!(asked(), 2, "{hours} h: they live as long as by any clock");
        world.host().pass(100).await;
        observe(&client).await.expect("read");
        assert_eq!(asked(), 3, "{hours} h: and no longer");
    }
}

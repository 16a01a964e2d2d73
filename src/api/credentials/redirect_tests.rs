//! Variables by which other tools work in another account: which of them apply, to which sources, and the errors in
//! them.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::json;

use super::ProviderCache;
use super::fixtures_tests::{Log, World, assumed, ini, no_blueprints, plain, put, refused, region};
use crate::desired::{AssumeRole, CredentialSource, Role};
use crate::host::{Clock, TransportError};
use crate::model::{Endpoint, Secret};

const FILE: &str = ".tencentcloud/credentials";
const DEFAULT_PROFILE: &str = ".tccli/default.credential";
const ROLE: &str = "qcs::cam::uin/2:roleName/keeper";
const OTHER_ROLE: &str = "qcs::cam::uin/3:roleName/keeper";
const CANARY: &str = "c4n4ryB1rdS1ngs";
const TERRAFORM: [&str; 17] = [
    "TENCENTCLOUD_PROFILE",
    "TENCENTCLOUD_SHARED_CREDENTIALS_DIR",
    "TENCENTCLOUD_CAM_ROLE_NAME",
    "TENCENTCLOUD_ASSUME_ROLE_ARN",
    "TENCENTCLOUD_ASSUME_ROLE_ARNN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_ARN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_SESSION_NAME",
    "TENCENTCLOUD_ASSUME_ROLE_SESSION_DURATION",
    "TENCENTCLOUD_ASSUME_ROLE_EXTERNAL_ID",
    "TENCENTCLOUD_ASSUME_ROLE_SOURCE_IDENTITY",
    "TENCENTCLOUD_ASSUME_ROLE_SERIAL_NUMBER",
    "TENCENTCLOUD_ASSUME_ROLE_TOKEN_CODE",
    "TENCENTCLOUD_ASSUME_ROLE_PROVIDER_ID",
    "TENCENTCLOUD_ASSUME_ROLE_WEB_IDENTITY_TOKEN",
    "TENCENTCLOUD_ASSUME_ROLE_WEB_IDENTITY_TOKEN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_SAML_ASSERTION",
    "TENCENTCLOUD_ASSUME_ROLE_PRINCIPAL_ARN",
];

fn profile(id: &str, more: serde_json::Value) -> String {
    let mut profile = json!({"secretId": id, "secretKey": "k"});
    let fields = more.as_object().cloned().unwrap_or_default();
    profile.as_object_mut().expect("an object").extend(fields);
    profile.to_string()
}

fn named(name: &str) -> CredentialSource {
    CredentialSource::Profile(Some(name.into()))
}

fn any_file() -> CredentialSource {
    CredentialSource::File {
        path: None,
        section: None,
    }
}

fn assuming(arn: &str, source: CredentialSource) -> CredentialSource {
    let role = Role {
        arn: arn.into(),
        session_name: None,
        duration_seconds: None,
        external_id: None,
    };
    CredentialSource::AssumeRole(Box::new(AssumeRole { role, source }))
}

fn of_environment(world: &World) -> &World {
    world.set("TENCENTCLOUD_SECRET_ID", "ENV");
    world.set("TENCENTCLOUD_SECRET_KEY", "env-key")
}

fn with_role<'w>(world: &'w World, arn: &str) -> &'w World {
    world.set("TENCENTCLOUD_ROLE_ARN", arn);
    world.set("TENCENTCLOUD_ROLE_SESSION_NAME", "me")
}

/// A pod with its own role.
fn of_pod(world: &World) {
    let token = world.put("token", "jwt\n");
    world.set("TKE_ROLE_ARN", OTHER_ROLE);
    world.set("TKE_PROVIDER_ID", "p");
    world.set("TKE_WEB_IDENTITY_TOKEN_FILE", &token.to_string_lossy());
}

/// STS, the machine's metadata and Lighthouse, which all answer. STS numbers the keys that it issues.
fn answers(world: &World) {
    let (until, mut number) = (world.host().now().timestamp() + 7_200, 0);
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            number += 1;
            assumed(number, until)
        }
        "" if heard.url.ends_with("/security-credentials/") => plain(200, "machine"),
        "" => plain(
            200,
            &json!({"Code": "Success", "TmpSecretId": "CVM", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": until})
                .to_string(),
        ),
        _ => no_blueprints(),
    });
}

/// The identities of the calls, in order: `action secret id`, and the requested role.
async fn calls(world: &World, source: &CredentialSource) -> Result<Vec<String>, String> {
    answers(world);
    world.host().heard.take();
    let provider = ProviderCache::new(world.environment()).provider(source, &Endpoint::default());
    let client = world.client(&provider, None);
    let read = client.describe_blueprints(region(), 0, None).await;
    read.map_err(|error| error.to_string())?;
    let heard = world.host().heard.take().into_iter();
    let calls = heard.filter(|heard| !heard.action().is_empty());
    let shown = calls.map(|heard| match heard.action() {
        "AssumeRole" => format!("{} becomes {}", heard.secret_id(), heard.body["RoleArn"]),
        "AssumeRoleWithWebIdentity" => format!("the pod becomes {}", heard.body["RoleArn"]),
        _ => format!("{} calls", heard.secret_id()),
    });
    Ok(shown.collect())
}

fn becomes(who: &str, arn: &str) -> String {
    format!("{who} becomes \"{arn}\"")
}

#[tokio::test(start_paused = true)]
async fn t1_the_environments_role_is_assumed_with_its_key_as_tccli_does() {
    for source in [CredentialSource::Ambient, CredentialSource::Environment] {
        let world = World::new();
        with_role(of_environment(&world), ROLE);
        world.set("TENCENTCLOUD_TOKEN", "env-token");
        answers(&world);
        let provider = world.provider(&source);
        assert!(provider.is_fetched(), "it is STS that gives them out");
        let client = world.client(&provider, None);
        let read = client.describe_blueprints(region(), 0, None).await;
        read.expect("an answer");
        let heard = world.host().heard.take();
        let [assumes, reads] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert_eq!(
            (assumes.action(), assumes.secret_id()),
            ("AssumeRole", "ENV")
        );
        assert_eq!(assumes.headers["x-tc-token"], "env-token");
        assert_eq!(assumes.url, "https://sts.intl.tencentcloudapi.com/");
        assert_eq!(
            assumes.body,
            json!({"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 7200})
        );
        assert_eq!(reads.secret_id(), "TMP1");
        // The caller is the role, whoever names it.
        assert_eq!(&*provider.caller_id(), format!("assume-role {ROLE}"));
        let provenance = provider
            .provenance(world.host().monotonic())
            .expect("they are there");
        assert!(provenance.temporary && provenance.left.is_some());
        for words in [ROLE, "TENCENTCLOUD_ROLE_ARN", "as environment"] {
            assert!(provenance.used.contains(words), "{}", provenance.used);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t1_the_environments_role_replaces_the_role_of_a_profile() {
    let own = json!({"role-arn": OTHER_ROLE, "role-session-name": "own"});
    let prod = [("TCCLI_PROFILE", "prod")];
    for (variables, file, more) in [
        (&[] as &[_], DEFAULT_PROFILE, json!({})),
        (&[], DEFAULT_PROFILE, own.clone()),
        (&prod, ".tccli/prod.credential", own.clone()),
        (&prod, ".tccli/prod.credential", json!({"token": "t"})),
    ] {
        for source in [CredentialSource::Ambient, CredentialSource::Profile(None)] {
            let world = World::new();
            for (name, value) in variables {
                world.set(name, value);
            }
            world.put(file, &profile("PROFILE", more.clone()));
            with_role(&world, ROLE);
            let expected = [becomes("PROFILE", ROLE), "TMP1 calls".into()];
            assert_eq!(calls(&world, &source).await.as_deref(), Ok(&expected[..]));
        }
    }
    // A profile without a key, which uses the machine's role.
    let world = World::new();
    world.put(DEFAULT_PROFILE, r#"{"type": "cvm-role"}"#);
    with_role(&world, ROLE);
    let expected = [becomes("CVM", ROLE), "TMP1 calls".into()];
    let source = CredentialSource::Profile(None);
    assert_eq!(calls(&world, &source).await.as_deref(), Ok(&expected[..]));
}

#[tokio::test(start_paused = true)]
async fn t1_whatever_the_ambient_chain_finds_assumes_the_environments_role() {
    let ambient = CredentialSource::Ambient;
    let world = World::new();
    with_role(&world, ROLE);
    let expected = [becomes("CVM", ROLE), "TMP1 calls".into()];
    assert_eq!(calls(&world, &ambient).await.as_deref(), Ok(&expected[..]));
    of_pod(&world);
    let expected = [
        becomes("the pod", OTHER_ROLE),
        becomes("TMP1", ROLE),
        "TMP2 calls".into(),
    ];
    assert_eq!(calls(&world, &ambient).await.as_deref(), Ok(&expected[..]));
    world.put(FILE, &ini("FILE", "k"));
    let expected = [becomes("FILE", ROLE), "TMP1 calls".into()];
    assert_eq!(calls(&world, &ambient).await.as_deref(), Ok(&expected[..]));
    // If nothing could assume the role, the usual error is shown.
    let world = World::new();
    with_role(&world, ROLE);
    let nobody = || Err(TransportError::NotSent("no such host".into()));
    world.host().answer(move |_| nobody());
    let error = world.error(&ambient).await;
    assert!(error.contains("tried, in order: environment ("), "{error}");
}

#[tokio::test(start_paused = true)]
async fn t1_no_other_named_source_takes_a_role_from_the_environment() {
    let world = World::new();
    with_role(of_environment(&world), ROLE);
    of_pod(&world);
    world.put(FILE, &ini("FILE", "k"));
    world.put(DEFAULT_PROFILE, &profile("DEFAULT", json!({})));
    world.put(".tccli/prod.credential", &profile("PROD", json!({})));
    world.put(
        ".tccli/own.credential",
        &profile("OWN", json!({"role-arn": OTHER_ROLE})),
    );
    let third = "qcs::cam::uin/4:roleName/third";
    for (source, expected) in [
        (any_file(), vec!["FILE calls".to_owned()]),
        (named("prod"), vec!["PROD calls".into()]),
        (named("default"), vec!["DEFAULT calls".into()]),
        (
            named("own"),
            vec![becomes("OWN", OTHER_ROLE), "TMP1 calls".into()],
        ),
        (CredentialSource::CvmRole(None), vec!["CVM calls".into()]),
        (
            CredentialSource::CvmRole(Some("machine".into())),
            vec!["CVM calls".into()],
        ),
        (
            CredentialSource::TkeOidc,
            vec![becomes("the pod", OTHER_ROLE), "TMP1 calls".into()],
        ),
        (
            assuming(third, CredentialSource::Environment),
            vec![becomes("ENV", third), "TMP1 calls".into()],
        ),
        (
            assuming(third, CredentialSource::Profile(None)),
            vec![becomes("DEFAULT", third), "TMP1 calls".into()],
        ),
        (
            assuming(third, named("own")),
            vec![
                becomes("OWN", OTHER_ROLE),
                becomes("TMP1", third),
                "TMP2 calls".into(),
            ],
        ),
        (
            assuming(third, assuming(OTHER_ROLE, CredentialSource::Environment)),
            vec![
                becomes("ENV", OTHER_ROLE),
                becomes("TMP1", third),
                "TMP2 calls".into(),
            ],
        ),
    ] {
        assert_eq!(calls(&world, &source).await, Ok(expected), "{source}");
    }
    // Half a pair, or an invalid one, does not affect them either.
    world.set("TENCENTCLOUD_ROLE_SESSION_NAME", "");
    let calls = calls(&world, &named("prod")).await;
    assert_eq!(calls, Ok(vec!["PROD calls".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn t1_half_a_pair_is_an_error_that_names_the_other_half() {
    let (arn, session) = ("TENCENTCLOUD_ROLE_ARN", "TENCENTCLOUD_ROLE_SESSION_NAME");
    for (variables, words) in [
        (vec![(arn, ROLE)], format!("{session} is not")),
        (
            vec![(arn, ROLE), (session, "")],
            format!("{session} is not"),
        ),
        (vec![(session, "me")], format!("{arn} is not")),
        (vec![(session, "me"), (arn, "")], format!("{arn} is not")),
        (
            vec![(arn, CANARY), (session, "me")],
            format!("{arn} is not a role"),
        ),
        (
            vec![(arn, ROLE), (session, "c4n4ryB1rdS1ngs !")],
            format!("{session} cannot be"),
        ),
    ] {
        for source in [
            CredentialSource::Ambient,
            CredentialSource::Environment,
            CredentialSource::Profile(None),
        ] {
            let world = World::new();
            of_environment(&world);
            world.put(DEFAULT_PROFILE, &profile("DEFAULT", json!({})));
            for (name, value) in &variables {
                world.set(name, value);
            }
            let error = world.error(&source).await;
            assert!(error.contains(&words), "{source}: {error}");
            assert!(!error.contains(CANARY), "{error}");
            assert_eq!(world.host().heard.borrow().len(), 0, "nothing is called");
        }
    }
    // A pair of empty variables counts as none.
    let world = World::new();
    of_environment(&world).set(arn, "").set(session, "");
    let calls = calls(&world, &CredentialSource::Ambient).await;
    assert_eq!(calls, Ok(vec!["ENV calls".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn t1_sts_is_asked_where_the_profiles_configuration_says() {
    let elsewhere = r#"{"sts": {"endpoint": "sts.tencentcloudapi.com"}}"#;
    let (ours, theirs) = (
        "https://sts.intl.tencentcloudapi.com/",
        "https://sts.tencentcloudapi.com/",
    );
    let own = json!({"role-arn": OTHER_ROLE});
    for (configure, named_by_variable, source, at) in [
        ("default", "", CredentialSource::Environment, theirs),
        ("default", "prod", CredentialSource::Environment, ours),
        ("prod", "prod", CredentialSource::Environment, theirs),
        ("prod", "prod", CredentialSource::Profile(None), theirs),
        ("prod", "", named("prod"), theirs),
        ("prod", "", named("other"), ours),
        // The role of a document depends on the document alone.
        (
            "default",
            "",
            assuming(ROLE, CredentialSource::Environment),
            ours,
        ),
    ] {
        let world = World::new();
        with_role(of_environment(&world), ROLE).set("TCCLI_PROFILE", named_by_variable);
        for name in ["prod", "other"] {
            world.put(
                &format!(".tccli/{name}.credential"),
                &profile("P", own.clone()),
            );
        }
        world.put(&format!(".tccli/{configure}.configure"), elsewhere);
        answers(&world);
        world
            .current(&world.provider(&source))
            .await
            .expect("assumed");
        let urls: Vec<_> = world
            .host()
            .heard
            .take()
            .into_iter()
            .map(|heard| heard.url)
            .collect();
        assert_eq!(urls, [at], "{configure}, {named_by_variable}, {source}");
    }
    let world = World::new();
    with_role(of_environment(&world), ROLE);
    world.put(".tccli/default.configure", "{");
    let error = world.error(&CredentialSource::Ambient).await;
    assert!(
        error.contains("default.configure: is not what tccli writes"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn t1_l8_the_environments_role_is_assumed_anew_when_it_ends() {
    let world = World::new();
    with_role(&world, ROLE);
    world.put(DEFAULT_PROFILE, &profile("OLD", json!({})));
    let (context, mut number) = (Rc::clone(&world.context), 0);
    let dead = Rc::new(Cell::new("none"));
    let marked = Rc::clone(&dead);
    world.host().answer(move |heard| match heard.action() {
        "AssumeRole" => {
            number += 1;
            assumed(number, context.host.now().timestamp() + 7_200)
        }
        _ if heard.secret_id() == marked.get() => refused("AuthFailure.TokenFailure"),
        _ => no_blueprints(),
    });
    let client = world.client(&world.provider(&CredentialSource::Ambient), None);
    let who = async || {
        let read = client.describe_blueprints(region(), 0, None).await;
        read.expect("an answer");
        world.host().last().secret_id().to_owned()
    };
    assert_eq!(who().await, "TMP1");
    assert_eq!(who().await, "TMP1", "at hand");
    world.host().pass(7_000).await;
    assert_eq!(who().await, "TMP2");
    dead.set("TMP2");
    assert_eq!(who().await, "TMP3");
    put(
        world.home.path(),
        DEFAULT_PROFILE,
        &profile("NEW", json!({})),
    );
    assert_eq!(who().await, "TMP4");
    let heard = world.host().heard.take();
    let assumes = heard.iter().filter(|heard| heard.action() == "AssumeRole");
    let by: Vec<_> = assumes.map(|heard| heard.secret_id()).collect();
    assert_eq!(by, ["OLD", "OLD", "OLD", "NEW"]);
}

#[tokio::test(start_paused = true)]
async fn t1_s26_with_another_role_in_the_environment_it_is_another_key() {
    let digest = async |world: &World, source: &CredentialSource| {
        answers(world);
        let provider =
            ProviderCache::new(world.environment()).provider(source, &Endpoint::default());
        let client = world.client(&provider, None);
        let owner = client.key(region()).await.expect("there are credentials");
        assert!(
            owner.lasts,
            "the name of a role holds its account: {source}"
        );
        owner.key
    };
    let world = World::new();
    with_role(of_environment(&world), ROLE);
    let ours = digest(&world, &CredentialSource::Ambient).await;
    assert_eq!(ours, digest(&world, &CredentialSource::Environment).await);
    let document = assuming(ROLE, CredentialSource::Environment);
    assert_eq!(ours, digest(&world, &document).await);
    world.put(
        ".tccli/p.credential",
        &profile("P", json!({"role-arn": ROLE})),
    );
    assert_eq!(ours, digest(&world, &named("p")).await);
    with_role(&world, OTHER_ROLE);
    assert_ne!(ours, digest(&world, &CredentialSource::Ambient).await);
    with_role(&world, "").set("TENCENTCLOUD_ROLE_SESSION_NAME", "");
    assert_ne!(ours, digest(&world, &CredentialSource::Ambient).await);
    // The same for a pod's role.
    of_pod(&world);
    let pods = digest(&world, &CredentialSource::TkeOidc).await;
    world.set("TKE_ROLE_ARN", ROLE);
    assert_ne!(pods, digest(&world, &CredentialSource::TkeOidc).await);
    // A machine's role says nothing about the account, and is identified by its source only.
    let provider = world.provider(&CredentialSource::CvmRole(None));
    let owner = world.client(&provider, None).key(region()).await;
    assert!(!owner.expect("there are credentials").lasts);
}

#[tokio::test(start_paused = true)]
async fn t1_terraforms_variables_are_refused_by_name_and_not_by_value() {
    let (log, _guard) = Log::listen();
    for name in TERRAFORM {
        let world = World::new();
        of_environment(&world).set(name, CANARY);
        let error = world.error(&CredentialSource::Ambient).await;
        for words in [
            name,
            "credentials: {from: …}",
            "SHAREKEEPER_IGNORE_TERRAFORM=1",
        ] {
            assert!(error.contains(words), "{name}: {error}");
        }
        assert!(!error.contains(CANARY), "{name}: {error}");
        assert_eq!(
            world.host().heard.borrow().len(),
            0,
            "{name}: nothing is called"
        );
        // An empty variable counts as not set, as in Terraform.
        world.set(name, "");
        let calls = calls(&world, &CredentialSource::Ambient).await;
        assert_eq!(calls, Ok(vec!["ENV calls".to_owned()]), "{name}");
    }
    assert!(!log.text().contains(CANARY));
    let world = World::new();
    of_environment(&world);
    for name in TERRAFORM {
        world.set(name, CANARY);
    }
    let error = world.error(&CredentialSource::Ambient).await;
    for name in TERRAFORM {
        let named = |separator| error.contains(&format!("{name}{separator}"));
        assert!(named(",") || named(" are set"), "{name}: {error}");
    }
    // Also together with tccli's role.
    with_role(&world, ROLE);
    assert_eq!(error, world.error(&CredentialSource::Ambient).await);
    // The region and the host do not affect the owner of the key.
    let world = World::new();
    for name in ["REGION", "DOMAIN", "PROTOCOL", "COS_DOMAIN"] {
        of_environment(&world).set(&format!("TENCENTCLOUD_{name}"), "x");
    }
    let calls = calls(&world, &CredentialSource::Ambient).await;
    assert_eq!(calls, Ok(vec!["ENV calls".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn t1_a_named_source_ignores_terraforms_variables() {
    let world = World::new();
    of_environment(&world).set("TENCENTCLOUD_PROFILE", "prod");
    world.put(FILE, &ini("FILE", "k"));
    world.put(DEFAULT_PROFILE, &profile("DEFAULT", json!({})));
    for (source, who) in [
        (CredentialSource::Environment, "ENV"),
        (any_file(), "FILE"),
        (CredentialSource::Profile(None), "DEFAULT"),
        (CredentialSource::CvmRole(None), "CVM"),
    ] {
        assert_eq!(
            calls(&world, &source).await,
            Ok(vec![format!("{who} calls")])
        );
    }
    let ambient = CredentialSource::Ambient;
    for yes in ["1", "true", "YES", "on"] {
        world.set("SHAREKEEPER_IGNORE_TERRAFORM", yes);
        assert_eq!(
            calls(&world, &ambient).await,
            Ok(vec!["ENV calls".to_owned()]),
            "{yes}"
        );
    }
    for no in ["", "0", "false", "no", "Off", " "] {
        world.set("SHAREKEEPER_IGNORE_TERRAFORM", no);
        let error = world.error(&ambient).await;
        assert!(
            error.contains("TENCENTCLOUD_PROFILE is set"),
            "{no}: {error}"
        );
    }
    world.set("SHAREKEEPER_IGNORE_TERRAFORM", CANARY);
    let error = world.error(&ambient).await;
    assert!(
        error.contains("SHAREKEEPER_IGNORE_TERRAFORM is neither yes"),
        "{error}"
    );
    assert!(!error.contains(CANARY), "{error}");
}

#[tokio::test(start_paused = true)]
async fn t1_a_profiles_role_beside_the_environments_key_is_reported() {
    let own = json!({"role-arn": OTHER_ROLE, "role-session-name": "own"});
    let warnings = async |source: &CredentialSource, more: serde_json::Value, pair: bool| {
        let world = World::new();
        of_environment(&world);
        world.put(DEFAULT_PROFILE, &profile(CANARY, more));
        if pair {
            with_role(&world, ROLE);
        }
        let (log, _guard) = Log::listen();
        let calls = calls(&world, source).await.expect("an answer");
        assert!(calls[0].starts_with("ENV "), "{calls:?}");
        assert!(!log.text().contains(CANARY), "{}", log.text());
        let words =
            format!("tccli would assume {OTHER_ROLE} with it, which profile `default` names");
        log.count(&words)
    };
    let (ambient, environment) = (CredentialSource::Ambient, CredentialSource::Environment);
    assert_eq!(warnings(&ambient, own.clone(), false).await, 1);
    // A person who names the source, or has no role that tccli would assume, gets no message.
    assert_eq!(warnings(&environment, own.clone(), false).await, 0);
    assert_eq!(warnings(&ambient, own, true).await, 0);
    assert_eq!(
        warnings(&ambient, json!({"role-arn": OTHER_ROLE}), false).await,
        0
    );
    assert_eq!(warnings(&ambient, json!({}), false).await, 0);
}

#[tokio::test(start_paused = true)]
async fn t1_an_empty_secret_pair_never_falls_through() {
    let (id, key) = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY");
    for variables in [
        vec![(id, ""), (key, "")],
        vec![(id, "")],
        vec![(key, "")],
        vec![(id, "ENV"), (key, "")],
        vec![(id, ""), (key, "k")],
        vec![(id, "\n"), (key, "\n")],
        vec![(id, " "), (key, " ")],
    ] {
        for source in [CredentialSource::Ambient, CredentialSource::Environment] {
            for role in [false, true] {
                let world = World::new();
                world.put(FILE, &ini("FILE", "k"));
                world.put(DEFAULT_PROFILE, &profile("DEFAULT", json!({})));
                of_pod(&world);
                for (name, value) in &variables {
                    world.set(name, value);
                }
                if role {
                    with_role(&world, ROLE);
                }
                answers(&world);
                let error = world.error(&source).await;
                let is_named = error.contains("set but empty") || error.contains("white space");
                assert!(
                    is_named && error.contains("environment"),
                    "{variables:?}: {error}"
                );
                assert_eq!(world.host().heard.borrow().len(), 0, "{variables:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t1_an_empty_variable_that_may_be_missing_counts_as_unset() {
    let ambient = CredentialSource::Ambient;
    let world = World::new();
    of_environment(&world).set("TENCENTCLOUD_TOKEN", "");
    assert_eq!(
        calls(&world, &ambient).await,
        Ok(vec!["ENV calls".to_owned()])
    );
    // The second name applies if the first is empty.
    world.set("TENCENTCLOUD_SECURITY_TOKEN", "second");
    answers(&world);
    let provider = ProviderCache::new(world.environment()).provider(&ambient, &Endpoint::default());
    let lease = world.current(&provider).await.expect("whole");
    let token = lease.credentials.token.as_ref();
    assert_eq!(token.map(Secret::expose), Some("second"));
    let world = World::new();
    for name in [
        "TCCLI_PROFILE",
        "TENCENTCLOUD_CREDENTIALS_FILE",
        "TKE_ROLE_ARN",
        "TKE_PROVIDER_ID",
        "TKE_WEB_IDENTITY_TOKEN_FILE",
        "TKE_REGION",
        "SHAREKEEPER_METADATA_URL",
        "TENCENTCLOUD_ROLE_ARN",
        "TENCENTCLOUD_ROLE_SESSION_NAME",
    ] {
        world.set(name, "");
    }
    assert_eq!(
        calls(&world, &ambient).await,
        Ok(vec!["CVM calls".to_owned()])
    );
    world.put(FILE, &ini("FILE", "k"));
    assert_eq!(
        calls(&world, &ambient).await,
        Ok(vec!["FILE calls".to_owned()])
    );
    world.put(DEFAULT_PROFILE, &profile("DEFAULT", json!({})));
    assert_eq!(
        calls(&world, &ambient).await,
        Ok(vec!["DEFAULT calls".to_owned()])
    );
    of_pod(&world);
    answers(&world);
    let provider = world.provider(&CredentialSource::TkeOidc);
    world.current(&provider).await.expect("assumed");
    assert_eq!(
        world.host().last().headers["x-tc-region"],
        region().as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn t9_a_metadata_service_that_is_busy_is_asked_again() {
    for status in [429, 500, 503] {
        for source in [
            CredentialSource::CvmRole(None),
            CredentialSource::CvmRole(Some("machine".into())),
            CredentialSource::Ambient,
        ] {
            let world = World::new();
            let (until, mut asked) = (world.host().now().timestamp() + 7_200, 0);
            world.host().answer(move |heard| {
                asked += 1;
                if asked % 3 != 0 {
                    return plain(status, "busy");
                }
                if heard.url.ends_with("/security-credentials/") {
                    return plain(200, "machine");
                }
                let document = json!({"Code": "Success", "TmpSecretId": "CVM", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": until});
                plain(200, &document.to_string())
            });
            let provider = world.provider(&source);
            let lease = world.current(&provider).await;
            let lease = lease.unwrap_or_else(|error| panic!("{status}, {source}: {error}"));
            assert_eq!(lease.credentials.secret_id, "CVM");
        }
    }
    // Repeating ends at some point, and a final answer is not repeated.
    for (status, asked) in [(503, 5), (403, 1), (404, 1)] {
        let world = World::new();
        world.host().answer(move |_| plain(status, ""));
        let error = world.error(&CredentialSource::CvmRole(None)).await;
        assert!(
            status == 404 || error.contains(&format!("HTTP {status}")),
            "{error}"
        );
        assert_eq!(world.host().heard.borrow().len(), asked, "{status}");
    }
    // If nothing answers, the last resort is tried once.
    let world = World::new();
    world
        .host()
        .answer(|_| Err(TransportError::NotSent("no such host".into())));
    world.error(&CredentialSource::Ambient).await;
    assert_eq!(world.host().heard.borrow().len(), 1);
}

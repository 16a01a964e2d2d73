//! Tests calls of STS and of the metadata service against a cloud: identities, roles, trust and the lifetime of temporary
//! keys.

use std::time::Duration;

use super::*;
use crate::api::protocol::sign::{CONTENT_TYPE, Credentials, ToSign};
use crate::api::protocol::wire::Service;
use crate::model::{Monotonic, Secret};
use crate::sim::admin;
use crate::sim::bakery::SimTime;
use crate::sim::call::IncomingCall;
use crate::sim::metadata;
use crate::sim::world::World;

const HOST: &str = "sts.localhost:7980";
const WORLD: &str = "
accounts:
  - uin: '100000000001'
    secretId: AKIDone
    secretKey: one
    roles:
      - {name: server}
      - {name: workload, trust: {oidcProvider: cluster, webIdentityToken: jwt}}
      - {name: open, trust: {oidcProvider: any}}
    images: [{id: img-one, regions: [ap-tokyo]}]
  - uin: '100000000002'
    name: two
    secretId: AKIDtwo
    secretKey: two
    roles:
      - {name: keeper, trust: {accounts: ['100000000001']}, deny: [DescribeImagesToShare]}
      - {name: careful, trust: {accounts: ['100000000001'], externalId: x-1}}
      - {name: chained, trust: {accounts: ['100000000002']}}
    images: [{id: img-two, regions: [ap-tokyo]}]
metadata: {account: default, role: server}
";
const KEEPER: &str = "qcs::cam::uin/100000000002:roleName/keeper";
const WORKLOAD: &str = "qcs::cam::uin/100000000001:roleName/workload";

/// Seconds of real time.
const NOW: i64 = 1_790_000_000;

fn beginning() -> SimTime {
    SimTime {
        now: Monotonic::default(),
        wall_time: Timestamp::from_timestamp(NOW, 0).expect("a date"),
    }
}

/// A key that signs calls.
struct Key {
    id: String,
    key: String,
    token: Option<String>,
}

fn one() -> Key {
    Key {
        id: "AKIDone".into(),
        key: "one".into(),
        token: None,
    }
}

fn temporary(credentials: &Value) -> Key {
    let text = |name: &str| credentials[name].as_str().expect(name).to_owned();
    Key {
        id: text("TmpSecretId"),
        key: text("TmpSecretKey"),
        token: Some(text("Token")),
    }
}

fn cloud() -> Cloud {
    Cloud::new(World::parse(WORLD).expect("a world"))
}

fn short_lived(seconds: u64) -> Cloud {
    let yaml = format!("{WORLD}tokenLifetime: {seconds}s");
    Cloud::new(World::parse(&yaml).expect("a world"))
}

fn real(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).expect("a date")
}

fn signed(key: &Key, service: Service, action: &str, body: &Value, seconds: i64) -> IncomingCall {
    let body = body.to_string().into_bytes();
    let to_sign = ToSign {
        service: service.as_str(),
        host: HOST,
        content_type: CONTENT_TYPE,
        timestamp: seconds,
        body: &body,
        extra_headers: &[],
    };
    let credentials = Credentials::new(key.id.clone(), Secret::new(key.key.clone()), None);
    let authorization = to_sign.authorization(&credentials).expect("a date");
    let timestamp = seconds.to_string();
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", CONTENT_TYPE),
        ("x-tc-action", action),
        ("x-tc-version", service.version()),
        ("x-tc-region", "ap-tokyo"),
        ("x-tc-timestamp", &timestamp),
    ];
    headers.extend(key.token.as_deref().map(|token| ("x-tc-token", token)));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    IncomingCall {
        host: HOST.into(),
        headers: headers.into_iter().map(owned).collect(),
        body,
    }
}

fn send(cloud: &mut Cloud, incoming: &IncomingCall, seconds: i64) -> Value {
    // Each second has its own rate window, because other tests cover the limits.
    let elapsed = u64::try_from(seconds - NOW + 10).expect("after the start");
    let monotonic = Monotonic::new(Duration::from_secs(elapsed));
    cloud.answer(incoming, monotonic, real(seconds)).body["Response"].take()
}

fn sts(cloud: &mut Cloud, key: &Key, action: &str, body: Value, seconds: i64) -> Value {
    let incoming = signed(key, Service::Sts, action, &body, seconds);
    send(cloud, &incoming, seconds)
}

fn blueprints(cloud: &mut Cloud, key: &Key, seconds: i64) -> Value {
    let body = json!({});
    let incoming = signed(
        key,
        Service::Lighthouse,
        "DescribeBlueprints",
        &body,
        seconds,
    );
    send(cloud, &incoming, seconds)
}

/// Assumes a role with a key.
fn assume(cloud: &mut Cloud, key: &Key, mut body: Value) -> Value {
    if body.get("RoleSessionName").is_none() {
        body["RoleSessionName"] = "test".into();
    }
    sts(cloud, key, "AssumeRole", body, NOW)
}

fn keeper(cloud: &mut Cloud) -> Key {
    let reply = assume(cloud, &one(), json!({"RoleArn": KEEPER}));
    assert_eq!(code(&reply), "ok", "{reply}");
    temporary(&reply["Credentials"])
}

/// A call of AssumeRoleWithWebIdentity as the SDK sends it.
fn unsigned(body: &Value) -> IncomingCall {
    let mut incoming = signed(&one(), Service::Sts, "AssumeRoleWithWebIdentity", body, NOW);
    incoming.headers[0].1 = "SKIP".into();
    incoming
}

fn web_identity(cloud: &mut Cloud, role: &str, provider: &str, token: &str) -> Value {
    let body = json!({
        "ProviderId": provider,
        "WebIdentityToken": token,
        "RoleArn": role,
        "RoleSessionName": "test",
        "DurationSeconds": 7200,
    });
    send(cloud, &unsigned(&body), NOW)
}

fn change(cloud: &mut Cloud, path: &str, body: &str) -> (u16, Value) {
    admin::handle(cloud, "POST", path, body.as_bytes(), beginning())
}

fn state(cloud: &mut Cloud) -> Value {
    admin::handle(cloud, "GET", "/_sim/state", b"", beginning()).1
}

fn code(reply: &Value) -> &str {
    reply["Error"]["Code"].as_str().unwrap_or("ok")
}

#[test]
fn a_role_of_another_account_is_assumed_and_acts_there() {
    let mut cloud = cloud();
    let reply = assume(&mut cloud, &one(), json!({"RoleArn": KEEPER}));
    assert_eq!(reply["ExpiredTime"], NOW + 7_200);
    assert_eq!(reply["Expiration"], "2026-09-21T16:13:20Z");
    let key = temporary(&reply["Credentials"]);
    let body = json!({"ImageId": "img-two", "Permission": "SHARE"});
    let action = "ModifyImageSharePermission";
    let share = signed(&key, Service::Lighthouse, action, &body, NOW);
    assert_eq!(code(&send(&mut cloud, &share, NOW)), "ok");
    let own = signed(&one(), Service::Lighthouse, action, &body, NOW);
    assert_eq!(
        code(&send(&mut cloud, &own, NOW)),
        "ResourceNotFound.ImageIdNotFound",
        "the image belongs to the other account"
    );
}

#[test]
fn s13_a_temporary_key_names_its_account_and_its_principal() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let identity = sts(&mut cloud, &key, "GetCallerIdentity", json!({}), NOW);
    let id = "4611686018427388905";
    assert_eq!(identity["Type"], "CAMRole");
    assert_eq!(identity["AccountId"], "100000000002");
    assert_eq!(identity["PrincipalId"], "100000000001");
    assert_eq!(identity["UserId"], format!("{id}:test"));
    assert_eq!(
        identity["Arn"],
        format!("qcs::sts:100000000002:assumed-role/{id}")
    );
    let by_id = format!("qcs::cam::uin/100000000002:role/{id}");
    let reply = assume(&mut cloud, &one(), json!({"RoleArn": by_id}));
    assert_eq!(code(&reply), "ok", "a role can also be named by its id");
}

#[test]
fn a_roles_permissions_are_independent_of_its_account() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let deny = "{account: two, deny: [DescribeBlueprints, AssumeRole]}";
    assert_eq!(change(&mut cloud, "/_sim/accounts", deny).0, 200);
    assert_eq!(code(&blueprints(&mut cloud, &key, NOW)), "ok");
    let body = json!({});
    let images = signed(
        &key,
        Service::Lighthouse,
        "DescribeImagesToShare",
        &body,
        NOW,
    );
    assert_eq!(
        code(&send(&mut cloud, &images, NOW)),
        "UnauthorizedOperation.NoPermission"
    );
    let two = Key {
        id: "AKIDtwo".into(),
        key: "two".into(),
        token: None,
    };
    assert_eq!(
        code(&blueprints(&mut cloud, &two, NOW)),
        "UnauthorizedOperation.NoPermission"
    );
    let reply = assume(&mut cloud, &two, json!({"RoleArn": KEEPER}));
    assert_eq!(code(&reply), "UnauthorizedOperation");
}

#[test]
fn refused_role_assumptions_get_their_own_error_codes() {
    let mut cloud = cloud();
    let arn = |rest: &str| format!("qcs::cam::uin/{rest}");
    let careful = arn("100000000002:roleName/careful");
    for (body, expected) in [
        (json!({"RoleArn": careful, "ExternalId": "x-1"}), "ok"),
        (
            json!({"RoleArn": careful, "ExternalId": "x-2"}),
            "UnauthorizedOperation",
        ),
        (json!({"RoleArn": careful}), "UnauthorizedOperation"),
        (
            json!({"RoleArn": KEEPER, "ExternalId": "unasked-for"}),
            "ok",
        ),
        (json!({"RoleArn": KEEPER, "Policy": "%7B%7D"}), "ok"),
        (
            json!({"RoleArn": arn("100000000002:roleName/chained")}),
            "UnauthorizedOperation",
        ),
        (json!({"RoleArn": WORKLOAD}), "UnauthorizedOperation"),
        (
            json!({"RoleArn": arn("100000000002:roleName/none")}),
            "ResourceNotFound.RoleNotFound",
        ),
        (
            json!({"RoleArn": arn("100000000009:roleName/keeper")}),
            "InvalidParameter.AccountNotAvaliable",
        ),
        (json!({"RoleArn": "keeper"}), "InvalidParameter.ParamError"),
        (
            json!({"RoleArn": arn("me:roleName/keeper")}),
            "InvalidParameter.ParamError",
        ),
        (json!({"RoleArn": KEEPER, "DurationSeconds": 43_200}), "ok"),
        (
            json!({"RoleArn": KEEPER, "DurationSeconds": 43_201}),
            "InvalidParameter.OverTimeError",
        ),
        (
            json!({"RoleArn": KEEPER, "DurationSeconds": 0}),
            "InvalidParameter.ParamError",
        ),
        (
            json!({"RoleArn": KEEPER, "DurationSeconds": "long"}),
            "InvalidParameter",
        ),
        (
            json!({"RoleArn": KEEPER, "RoleSessionName": "x"}),
            "InvalidParameter.ParamError",
        ),
        (
            json!({"RoleArn": KEEPER, "RoleSessionName": "a b"}),
            "InvalidParameter.ParamError",
        ),
        (
            json!({"RoleArn": KEEPER, "ExternalId": "a b"}),
            "InvalidParameter.ParamError",
        ),
        (json!({}), "MissingParameter"),
        (json!({"RoleArn": KEEPER, "Extra": 1}), "UnknownParameter"),
    ] {
        let reply = assume(&mut cloud, &one(), body.clone());
        assert_eq!(code(&reply), expected, "{body}");
        assert_eq!(
            reply.get("Credentials").is_some(),
            expected == "ok",
            "{body}"
        );
    }
}

#[test]
fn a_roles_key_may_assume_a_role_that_trusts_its_account() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let chained = json!({"RoleArn": "qcs::cam::uin/100000000002:roleName/chained"});
    let reply = assume(&mut cloud, &key, chained);
    let next = temporary(&reply["Credentials"]);
    let identity = sts(&mut cloud, &next, "GetCallerIdentity", json!({}), NOW);
    assert_eq!(identity["PrincipalId"], "100000000002");
}

#[test]
fn a_token_expires_on_time_and_is_then_refused_like_a_wrong_one() {
    let mut cloud = short_lived(20);
    let reply = assume(&mut cloud, &one(), json!({"RoleArn": KEEPER}));
    assert_eq!(reply["ExpiredTime"], NOW + 20, "the world limits it");
    let key = temporary(&reply["Credentials"]);
    assert_eq!(code(&blueprints(&mut cloud, &key, NOW + 19)), "ok");
    let expired = blueprints(&mut cloud, &key, NOW + 20);
    assert_eq!(code(&expired), "AuthFailure.TokenFailure");
    let fresh = keeper(&mut cloud);
    for token in [None, Some("another".to_owned()), key.token] {
        let key = Key {
            id: fresh.id.clone(),
            key: fresh.key.clone(),
            token,
        };
        let refused = blueprints(&mut cloud, &key, NOW);
        assert_eq!(code(&refused), "AuthFailure.TokenFailure");
    }
    let short = json!({"RoleArn": KEEPER, "DurationSeconds": 5});
    let reply = assume(&mut cloud, &one(), short);
    assert_eq!(
        reply["ExpiredTime"],
        NOW + 5,
        "a shorter lifetime may be requested"
    );
    assert_eq!(
        change(&mut cloud, "/_sim/settings", "{tokenLifetime: 3s}").0,
        200
    );
    let reply = assume(&mut cloud, &one(), json!({"RoleArn": KEEPER}));
    assert_eq!(reply["ExpiredTime"], NOW + 3);
}

#[test]
fn c1_the_worlds_clock_decides_when_a_token_expires() {
    let mut cloud = short_lived(60);
    let key = keeper(&mut cloud);
    let late = "{clockOffset: 2m}";
    assert_eq!(change(&mut cloud, "/_sim/settings", late).0, 200);
    let reply = blueprints(&mut cloud, &key, NOW);
    assert_eq!(code(&reply), "AuthFailure.TokenFailure");
    let reply = assume(&mut cloud, &one(), json!({"RoleArn": KEEPER}));
    assert_eq!(reply["ExpiredTime"], NOW + 180);
}

#[test]
fn a_revoked_key_is_not_found_and_a_rotated_key_works() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let revoke = |revoked: bool| format!("{{account: default, revoked: {revoked}}}");
    assert_eq!(change(&mut cloud, "/_sim/accounts", &revoke(true)).0, 200);
    for reply in [
        blueprints(&mut cloud, &one(), NOW),
        assume(&mut cloud, &one(), json!({"RoleArn": KEEPER})),
    ] {
        assert_eq!(code(&reply), "AuthFailure.SecretIdNotFound");
    }
    let reply = blueprints(&mut cloud, &key, NOW);
    assert_eq!(code(&reply), "ok", "its temporary key still works");
    assert_eq!(state(&mut cloud)["accounts"][0]["revoked"], true);
    assert_eq!(change(&mut cloud, "/_sim/accounts", &revoke(false)).0, 200);
    assert_eq!(code(&blueprints(&mut cloud, &one(), NOW)), "ok");
    let rotate = "{account: default, secretId: AKIDnew, secretKey: new}";
    assert_eq!(change(&mut cloud, "/_sim/accounts", rotate).0, 200);
    let reply = blueprints(&mut cloud, &one(), NOW);
    assert_eq!(code(&reply), "AuthFailure.SecretIdNotFound");
    let new = Key {
        id: "AKIDnew".into(),
        key: "new".into(),
        token: None,
    };
    assert_eq!(code(&blueprints(&mut cloud, &new, NOW)), "ok");
}

#[test]
fn a_change_to_an_invalid_world_is_refused_completely() {
    let mut cloud = cloud();
    for (path, body, words) in [
        (
            "/_sim/accounts",
            "{account: nobody, revoked: true}",
            "nobody",
        ),
        (
            "/_sim/accounts",
            "{secretId: AKIDtwo, revoked: true}",
            "AKIDtwo",
        ),
        (
            "/_sim/accounts",
            "{deny: [RunInstances], revoked: true}",
            "RunInstances",
        ),
        ("/_sim/accounts", "{roles: []}", "roles"),
        ("/_sim/settings", "{tokenLifetime: 0s}", "tokenLifetime"),
        (
            "/_sim/settings",
            "{limits: {RunInstances: 1}}",
            "RunInstances",
        ),
    ] {
        let (status, answer) = change(&mut cloud, path, body);
        assert_eq!(status, 400, "{body}");
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|said| said.contains(words)),
            "{answer}"
        );
    }
    assert_eq!(code(&blueprints(&mut cloud, &one(), NOW)), "ok");
}

#[test]
fn s6_a_roles_keys_share_one_window_with_their_accounts_key() {
    let mut cloud = cloud();
    let two = Key {
        id: "AKIDtwo".into(),
        key: "two".into(),
        token: None,
    };
    for _ in 0..3 {
        let key = keeper(&mut cloud);
        for _ in 0..3 {
            assert_eq!(code(&blueprints(&mut cloud, &key, NOW)), "ok");
        }
    }
    assert_eq!(code(&blueprints(&mut cloud, &two, NOW)), "ok", "the tenth");
    let key = keeper(&mut cloud);
    for key in [&key, &two] {
        assert_eq!(
            code(&blueprints(&mut cloud, key, NOW)),
            "RequestLimitExceeded"
        );
    }
    let own = blueprints(&mut cloud, &one(), NOW);
    assert_eq!(
        code(&own),
        "ok",
        "the account that assumed it has its own window"
    );
}

#[test]
fn sts_calls_have_limits_and_are_counted() {
    let mut cloud = cloud();
    let limit = "{limits: {AssumeRole: 1}}";
    assert_eq!(change(&mut cloud, "/_sim/settings", limit).0, 200);
    let body = || json!({"RoleArn": KEEPER});
    assert_eq!(code(&assume(&mut cloud, &one(), body())), "ok");
    let refused = assume(&mut cloud, &one(), body());
    assert_eq!(code(&refused), "RequestLimitExceeded");
    for _ in 0..20 {
        let reply = web_identity(&mut cloud, WORKLOAD, "cluster", "jwt");
        assert_eq!(code(&reply), "ok");
    }
    let other = "qcs::cam::uin/100000000001:roleName/open";
    let refused = web_identity(&mut cloud, other, "any", "jwt");
    assert_eq!(code(&refused), "RequestLimitExceeded");
    let counts = state(&mut cloud)["calls"].take();
    let count = |action: &str| {
        let mut rows = counts.as_array().expect("a list").iter();
        let row = rows.find(|row| row["action"] == action).expect(action);
        [&row["calls"], &row["throttled"]].map(|count| count.as_u64().expect("a number"))
    };
    assert_eq!(count("AssumeRole"), [2, 1]);
    assert_eq!(count("AssumeRoleWithWebIdentity"), [21, 1]);
}

#[test]
fn a_web_identity_is_accepted_unsigned_with_provider_and_token() {
    let mut cloud = cloud();
    let open = "qcs::cam::uin/100000000001:roleName/open";
    let none = "qcs::cam::uin/100000000001:roleName/none";
    let wrong = "InvalidParameter.WebIdentityTokenError";
    for (role, provider, token, expected) in [
        (WORKLOAD, "cluster", "jwt", "ok"),
        (WORKLOAD, "cluster", "jwt\n", wrong),
        (WORKLOAD, "cluster", "old", wrong),
        (WORKLOAD, "another", "jwt", "UnauthorizedOperation"),
        (open, "any", "whatever", "ok"),
        (open, "any", "", wrong),
        (KEEPER, "", "jwt", "UnauthorizedOperation"),
        (none, "any", "jwt", "InternalError.GetRoleError"),
        ("none", "any", "jwt", "InvalidParameter.ParamError"),
    ] {
        let reply = web_identity(&mut cloud, role, provider, token);
        assert_eq!(code(&reply), expected, "{role} {provider} {token:?}");
    }
    let reply = web_identity(&mut cloud, WORKLOAD, "cluster", "jwt");
    let key = temporary(&reply["Credentials"]);
    let identity = sts(&mut cloud, &key, "GetCallerIdentity", json!({}), NOW);
    assert_eq!(identity["AccountId"], "100000000001");
    assert_eq!(identity["Type"], "CAMRole");
}

#[test]
fn only_web_identity_calls_are_unsigned_and_always() {
    let mut cloud = cloud();
    let body = json!({
        "ProviderId": "cluster", "WebIdentityToken": "jwt", "RoleArn": WORKLOAD, "RoleSessionName": "test",
    });
    let reply = sts(&mut cloud, &one(), "AssumeRoleWithWebIdentity", body, NOW);
    assert_eq!(code(&reply), "AuthFailure.InvalidAuthorization");
    for (service, action) in [
        (Service::Sts, "AssumeRole"),
        (Service::Sts, "GetCallerIdentity"),
        (Service::Lighthouse, "DescribeBlueprints"),
    ] {
        let mut incoming = signed(&one(), service, action, &json!({}), NOW);
        incoming.headers[0].1 = "SKIP".into();
        let reply = send(&mut cloud, &incoming, NOW);
        assert_eq!(code(&reply), "AuthFailure.InvalidAuthorization", "{action}");
    }
}

#[test]
fn the_metadata_service_shows_one_key_for_half_of_its_lifetime() {
    let mut cloud = short_lived(20);
    let ask = |cloud: &mut Cloud, path: &str, seconds: i64| {
        metadata::handle(cloud, "GET", path, real(seconds))
    };
    let root = metadata::CREDENTIALS;
    assert_eq!(ask(&mut cloud, root, NOW), (200, "server".into()));
    let path = format!("{root}server");
    let get = |cloud: &mut Cloud, seconds: i64| -> Value {
        let (status, text) = ask(cloud, &path, seconds);
        assert_eq!(status, 200);
        serde_json::from_str(&text).expect("JSON")
    };
    let first = get(&mut cloud, NOW);
    assert_eq!(first["Code"], "Success");
    assert_eq!(first["ExpiredTime"], NOW + 20);
    assert_eq!(first["Expiration"], "2026-09-21T14:13:40Z");
    assert_eq!(get(&mut cloud, NOW + 9), first);
    let second = get(&mut cloud, NOW + 10);
    assert_ne!(second["Token"], first["Token"]);
    assert_eq!(second["ExpiredTime"], NOW + 30);
    for key in [temporary(&first), temporary(&second)] {
        let identity = sts(&mut cloud, &key, "GetCallerIdentity", json!({}), NOW + 10);
        assert_eq!(identity["AccountId"], "100000000001");
    }
    for nothing in ["cam/security-credentials/other", "instance-id", "cam/"] {
        let path = format!("{}{nothing}", metadata::ROOT);
        assert_eq!(ask(&mut cloud, &path, NOW).0, 404, "{nothing}");
    }
    assert_eq!(metadata::handle(&mut cloud, "PUT", root, real(NOW)).0, 405);
    let mut without = Cloud::new(World::default());
    assert_eq!(ask(&mut without, root, NOW).0, 404);
}

#[test]
fn o2_the_state_shows_temporary_keys_without_their_secrets() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let state = state(&mut cloud);
    assert_eq!(
        state["temporaryKeys"],
        json!([{
            "secretId": key.id,
            "role": KEEPER,
            "session": "test",
            "principal": "100000000001",
            "expiredTime": NOW + 7_200,
            "expiration": "2026-09-21T16:13:20Z",
        }])
    );
    assert_eq!(state["accounts"][1]["roles"][0], KEEPER);
    let text = state.to_string();
    for secret in [key.key, key.token.expect("a token"), "jwt".into()] {
        assert!(!text.contains(&secret), "{text}");
    }
}

#[test]
fn mistakes_in_roles_are_named() {
    for (text, words) in [
        ("{accounts: [{roles: [{}]}]}", "name"),
        ("{accounts: [{roles: [{name: a/b}]}]}", "a/b"),
        ("{accounts: [{roles: [{name: a}, {name: a}]}]}", "two roles"),
        (
            "{accounts: [{roles: [{name: a, deny: [RunInstances]}]}]}",
            "RunInstances",
        ),
        (
            "{accounts: [{roles: [{name: a, trust: {accounts: [me]}}]}]}",
            "me",
        ),
        (
            "{accounts: [{roles: [{name: a, trust: {account: []}}]}]}",
            "account",
        ),
        ("{metadata: {account: default, role: a}}", "metadata"),
        ("{tokenLifetime: 10ms}", "tokenLifetime"),
    ] {
        let error = World::parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_saved_world_keeps_its_roles_and_drops_temporary_keys() {
    let mut cloud = cloud();
    let key = keeper(&mut cloud);
    let text = serde_json::to_string(&cloud.world()).expect("JSON");
    let mut again = Cloud::new(World::parse(&text).expect("JSON is YAML"));
    let reply = blueprints(&mut again, &key, NOW);
    assert_eq!(code(&reply), "AuthFailure.SecretIdNotFound");
    keeper(&mut again);
}

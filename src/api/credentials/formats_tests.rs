//! The formats of variables and files, and the errors in them.

use super::fixtures_tests::World;
use super::parsed::{FileFault, KeyUse, ParsedFile};
use super::tccli::OwnRole::{Assumed, Ignored};
use super::value::validate;
use super::{ini, tccli};
use crate::desired::CredentialSource;

fn shown(
    parsed: Result<ParsedFile, FileFault>,
) -> Result<(String, String, Option<String>), FileFault> {
    parsed.map(|parsed| {
        let credentials = parsed.credentials.expect("a pair");
        (
            credentials.secret_id,
            credentials.secret_key.expose().to_owned(),
            credentials.token.map(|token| token.expose().to_owned()),
        )
    })
}

fn pair(id: &str, key: &str) -> (String, String, Option<String>) {
    (id.into(), key.into(), None)
}

#[test]
fn c11_one_newline_is_forgiven_and_other_white_space_refused_by_position() {
    assert_eq!(validate("key\n"), Ok("key"));
    assert_eq!(validate("key\r\n"), Ok("key"));
    for (value, words) in [
        ("", "empty"),
        ("\n", "empty"),
        ("hunter2 x", "white space at byte 7"),
        ("hunter2\n\n", "white space at byte 7"),
        (" hunter2", "white space at byte 0"),
        ("hunter2\t", "white space at byte 7"),
        ("\u{feff}hunter2", "byte order mark at byte 0"),
        ("hunter2\u{e9}", "not printable ASCII at byte 7"),
        ("\"hunter2\"", "quotation mark at byte 0"),
    ] {
        let problem = validate(value).expect_err(value);
        assert!(problem.contains(words), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn c11_the_sdks_file_is_read_with_its_oddities() {
    for text in [
        "[default]\nsecret_id = AKID\nsecret_key = key\n",
        "\u{feff}[default]\r\nsecret_id=AKID\r\nsecret_key=key\r\n",
        "# a\n; b\n\n[ default ]\nSecret_Id : AKID\nSECRET_KEY: key\nregion = x\n[other]\nsecret_id = no\n",
        "[other]\nwhatever\n  this is\n[default]\nsecret_id = AKID\nsecret_key = key",
    ] {
        assert_eq!(
            shown(ini::parse(text, "default")),
            Ok(pair("AKID", "key")),
            "{text}"
        );
    }
    let text =
        "[a]\nsecret_id = 1\nsecret_key = 2\n[b]\nsecret_id = 3\nsecret_key = 4=4\ntoken = 5\n";
    let (id, key, token) = shown(ini::parse(text, "b")).expect("whole");
    assert_eq!((&*id, &*key, token.as_deref()), ("3", "4=4", Some("5")));
}

#[test]
fn c7_c11_what_is_wrong_in_the_sdks_file_is_named_and_not_quoted() {
    for (text, words) in [
        (
            "[default]\nsecret_id = hunter2\n",
            "secret_id is set, but secret_key is not",
        ),
        (
            "[default]\nsecret_key = hunter2\n",
            "secret_key is set, but secret_id is not",
        ),
        (
            "[default]\nsecret_id =\nsecret_key = hunter2\n",
            "secret_id is set but empty",
        ),
        (
            "[default]\nsecret_id = a\nsecret_key = hunter2 # x\n",
            "secret_key holds white space at byte 7",
        ),
        (
            "[default]\nsecret_id = a\n  hunter2\n",
            "line 3 is indented",
        ),
        ("[default]\nhunter2\n", "line 2 is not `name = value`"),
        ("[default\nhunter2\n", "line 1 begins with `[`"),
        (
            "[default]\nsecret_id = a\nsecret_id = hunter2\n",
            "line 3 gives a value that was given",
        ),
        (
            "[default]\nsecret_id = a\n[default]\nsecret_key = hunter2\n",
            "line 3 gives the section",
        ),
    ] {
        let Err(FileFault::Broken(why)) = shown(ini::parse(text, "default")) else {
            panic!("{text} should be broken");
        };
        assert!(why.contains(words), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    for text in [
        "",
        "[other]\nsecret_id = a\n",
        "[default]\n",
        "secret_id = a\nsecret_key = b\n",
    ] {
        assert!(
            matches!(ini::parse(text, "default"), Err(FileFault::Absent(_))),
            "{text}"
        );
    }
}

#[test]
fn tcclis_profiles_are_read_with_their_oddities() {
    let now = 1_790_000_000;
    for text in [
        r#"{"secretId": "AKID", "secretKey": "key"}"#,
        "\u{feff}{\"secretId\": \"AKID\", \"secretKey\": \"key\", \"token\": \"\", \"type\": \"default\", \"role-arn\": null}",
        r#"{"secretId": "AKID", "secretKey": "key", "token": null, "type": "", "what": {"ever": [1]}}"#,
        r#"{"type": "oauth", "secretId": "AKID", "secretKey": "key", "expiresAt": 1790000001, "oauth": {"openId": "x"}}"#,
    ] {
        assert_eq!(
            shown(tccli::parse(text, Assumed, now)),
            Ok(pair("AKID", "key")),
            "{text}"
        );
    }
    let role = r#"{"secretId": "a", "secretKey": "b", "role-arn": "qcs::cam::uin/1:roleName/r", "role-session-name": "me"}"#;
    match tccli::parse(role, Assumed, now).map(|parsed| parsed.key_use) {
        Ok(KeyUse::Assume(role)) => assert_eq!(role.session_name.as_deref(), Some("me")),
        _ => panic!("a role is assumed"),
    }
    match tccli::parse(role, Ignored, now).map(|parsed| parsed.key_use) {
        Ok(KeyUse::AsIs) => {}
        _ => panic!("another role takes its place"),
    }
    let machine = tccli::parse(r#"{"type": "cvm-role", "secretId": null}"#, Assumed, now);
    assert!(matches!(
        machine,
        Ok(ParsedFile {
            key_use: KeyUse::Metadata,
            credentials: None
        })
    ));
    for nothing in [
        "{}",
        r#"{"secretId": null, "secretKey": null}"#,
        r#"{"secretId": "", "secretKey": ""}"#,
    ] {
        assert!(
            matches!(
                tccli::parse(nothing, Assumed, now),
                Err(FileFault::Absent(_))
            ),
            "{nothing}"
        );
    }
    for (text, words) in [
        (
            r#"{"secretId": "hunter2"}"#,
            "secretId is set, but secretKey is not",
        ),
        (
            r#"{"secretId": "hunter2", "secretKey":"#,
            "is not what tccli writes, at line 1",
        ),
        (
            r#"{"secretId": ["hunter2"], "secretKey": "b"}"#,
            "is not what tccli writes, at line 1",
        ),
        (
            r#"{"secretId": "a", "secretId": "hunter2", "secretKey": "b"}"#,
            "is not what tccli writes",
        ),
        (r#"["hunter2"]"#, "is not what tccli writes"),
        ("hunter2", "is not what tccli writes"),
        (r#"{"type": "hunter2"}"#, "has a `type` that is none of"),
        (
            r#"{"type": "sso", "secretId": "a", "secretKey": "b", "token": "hunter2", "expiresAt": 1790000000}"#,
            "expired; log in again with `tccli sso login`",
        ),
        (
            r#"{"type": "sso", "secretId": "a", "secretKey": "b", "token": "c", "sso": {"token": "hunter2", "expiresAt": 1790000000}}"#,
            "expired; log in again with `tccli sso login`",
        ),
        (
            r#"{"type": "oauth", "secretId": "a", "secretKey": "b", "token": "hunter2", "expiresAt": 1790000000}"#,
            "expired; log in again with `tccli auth login`",
        ),
        (
            r#"{"type": "oauth", "secretId": "a", "secretKey": "hunter2", "expiresAt": 1790000000}"#,
            "remove `type` and `expiresAt` if its key is a permanent one",
        ),
        (
            r#"{"secretId": "a", "secretKey": "b", "role-arn": "hunter2"}"#,
            "`role-arn`",
        ),
        (
            r#"{"secretId": "a", "secretKey": "b", "role-arn": "qcs::cam::uin/1:roleName/r", "role-session-name": "hunter2 x"}"#,
            "`role-session-name`",
        ),
    ] {
        let Err(FileFault::Broken(why)) = tccli::parse(text, Assumed, now) else {
            panic!("{text} should be broken");
        };
        assert!(why.contains(words), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn variables_that_are_half_set_or_broken_are_errors_and_not_passed_over() {
    for (variables, words) in [
        (
            vec![("TENCENTCLOUD_SECRET_ID", "hunter2")],
            "TENCENTCLOUD_SECRET_ID is set, but TENCENTCLOUD_SECRET_KEY is not",
        ),
        (
            vec![("TENCENTCLOUD_SECRET_KEY", "hunter2")],
            "TENCENTCLOUD_SECRET_KEY is set, but TENCENTCLOUD_SECRET_ID is not",
        ),
        (
            vec![
                ("TENCENTCLOUD_SECRET_ID", ""),
                ("TENCENTCLOUD_SECRET_KEY", "hunter2"),
            ],
            "TENCENTCLOUD_SECRET_ID is set but empty",
        ),
        (
            vec![
                ("TENCENTCLOUD_SECRET_ID", "a"),
                ("TENCENTCLOUD_SECRET_KEY", "b"),
                ("TENCENTCLOUD_TOKEN", "hunter2 "),
            ],
            "TENCENTCLOUD_TOKEN holds white space at byte 7",
        ),
        (
            vec![("TCCLI_PROFILE", "../x")],
            "TCCLI_PROFILE is not the name of a profile",
        ),
        (
            vec![("TKE_ROLE_ARN", "x"), ("TKE_PROVIDER_ID", "y")],
            "TKE_PROVIDER_ID and TKE_ROLE_ARN set, but TKE_WEB_IDENTITY_TOKEN_FILE not",
        ),
    ] {
        let world = World::new();
        for (name, value) in &variables {
            world.set(name, value);
        }
        // A valid file does not replace a broken source before it.
        if !variables[0].0.starts_with("TKE") {
            world.put(
                ".tencentcloud/credentials",
                "[default]\nsecret_id = a\nsecret_key = b\n",
            );
        }
        let error = world.error(&CredentialSource::Ambient).await;
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

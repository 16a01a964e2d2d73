//! The agreement of the published JSON schema with the parser, on documents that both must accept or reject.

use super::*;

/// Documents that the schema and the parser must both accept or both reject.
fn documents() -> Vec<String> {
    let share = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let image = |fields: &str| share(&format!("{{region: ap-tokyo, images: [{{{fields}}}]}}"));
    let account = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let metadata = |metadata: &str| GOOD.replace("{name: a}", metadata);
    let mut all = vec![
        GOOD.to_owned(),
        GOOD.replace("ImageShare", "ImageShar"),
        GOOD.replace("/v1", "/v2"),
        GOOD.replace("kind", "kin"),
        GOOD.replace("spec", "specs"),
        "[1, 2]".into(),
        "text".into(),
        "{}".into(),
    ];
    all.extend(
        [
            "{name: a, labels: {team: x}}",
            "{name: a, labels: {team: 1}}",
            "{name: a, annotations: {b: c}}",
            "{}",
            "{name: A}",
            "{name: -a}",
            "{name: a.b-c}",
            "{name: 12}",
            "{name: ''}",
            "{name: a, label: {}}",
            "a",
        ]
        .map(metadata),
    );
    all.extend(
        [
            "id: img-a, state: shared",
            "id: img-a, state: unshared",
            "id: img-a, state: shard",
            "id: img-a",
            "state: shared",
            "id: img-A, state: shared",
            "id: lhbp-a, state: shared",
            "id: 5, state: shared",
            "id: img-a, state: shared, until: '2027-01-31T00:00:00Z'",
            "id: img-a, state: shared, until: '2027-01-31'",
            "id: img-a, state: unshared, until: '2027-01-31T00:00:00Z'",
            "id: img-a, state: shared, from: '2027-01-31T00:00:00+08:00'",
            "id: img-a, state: shared, protect: true",
            "id: img-a, state: shared, protect: 'true'",
            "id: img-a, state: shared, note: x",
            "id: img-a, state: shared, note: 1.5",
            "id: img-a, state: shared, note: [x]",
            "id: img-a, state: shared, notes: x",
            "id: img-a, state: true",
            "name: golden-ubuntu-1.5.1, state: shared",
            "name: 'golden ubuntu', state: unshared, protect: true",
            "name: 黄金镜像, state: shared, until: '2027-01-31T00:00:00Z', note: x",
            "name: golden, id: img-a, state: shared",
            "name: golden",
            "name: ' golden', state: shared",
            "name: 'golden ', state: shared",
            "name: '', state: shared",
            "name: 5, state: shared",
            "name: null, state: shared",
            "name: [golden], state: shared",
            "name: \"a\\tb\", state: shared",
            "names: golden, state: shared",
        ]
        .map(image),
    );
    all.extend(
        [
            "{regions: [ap-tokyo, ap-seoul], images: [{id: img-a, state: shared}]}",
            "{regions: [ap-tokyo, ap-seoul], images: [{name: golden, state: shared}]}",
            "{regions: [ap-tokyo, ap-seoul], images: [{name: golden, state: shared}, {id: img-a, state: shared}]}",
            "{regions: [ap-tokyo], images: [{name: golden, state: shared}, {id: img-a, state: shared}]}",
            "{regions: [], images: [{id: img-a, state: shared}]}",
            "{regions: [ap-tokyo, ap-tokyo], images: [{id: img-a, state: shared}]}",
            "{regions: ap-tokyo, images: [{id: img-a, state: shared}]}",
            "{region: ap-tokyo, regions: [ap-seoul], images: [{id: img-a, state: shared}]}",
            "{images: [{id: img-a, state: shared}]}",
            "{region: ap-mumbai, images: [{id: img-a, state: shared}]}",
            "{region: ap-tokyo, images: []}",
            "{region: ap-tokyo}",
            "{region: ap-tokyo, images: {}}",
            "{region: ap-tokyo, images: [{id: img-a, state: shared}], account: default}",
            "{region: ap-tokyo, images: [{id: img-a, state: shared}], account: 7}",
            "[]",
        ]
        .map(share),
    );
    all.extend(
        [
            "{}",
            "{uin: '100000000001'}",
            "{uin: 100000000001}",
            "{uin: one}",
            "{rate: 1}",
            "{rate: 20}",
            "{rate: 0}",
            "{rate: 21}",
            "{rate: 1.5}",
            "{rate: '19'}",
            "{endpoint: 'https://lighthouse.{region}.tencentcloudapi.com'}",
            "{endpoint: lighthouse}",
            "{credentials: {from: environment}}",
            "{credentials: {from: moon}}",
            "{credentials: {}}",
            "{credentials: environment}",
            "{credentials: {from: environment, profile: a}}",
            "{credentials: {from: profile}}",
            "{credentials: {from: profile, profile: prod}}",
            "{credentials: {from: profile, profile: ../prod}}",
            "{credentials: {from: profile, profile: ''}}",
            "{credentials: {from: profile, profile: 7}}",
            "{credentials: {from: profile, section: prod}}",
            "{credentials: {from: file}}",
            "{credentials: {from: file, path: ~/keys, section: prod east}}",
            "{credentials: {from: file, path: ''}}",
            "{credentials: {from: file, path: [a]}}",
            "{credentials: {from: file, section: '[prod]'}}",
            "{credentials: {from: file, section: ' prod'}}",
            "{credentials: {from: cvm-role}}",
            "{credentials: {from: cvm-role, role: keeper}}",
            "{credentials: {from: cvm-role, role: a/b}}",
            "{credentials: {from: tke-oidc}}",
            "{credentials: {from: tke-oidc, role: keeper}}",
            "{credentials: {from: assume-role}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a'}}",
            "{credentials: {from: assume-role, source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: keeper, source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: moon}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: profile, profile: a}, sessionName: ci, durationSeconds: 900, externalId: 'a:b'}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: 60}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: 43201}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: '900'}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, sessionName: a b}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, externalId: x}}",
            "{secretKey: x}",
            "{uin: []}",
            "{windows: []}",
            "{windows: {}}",
            "{windows: [deny]}",
        ]
        .map(account),
    );
    // A role may be assumed from another role: chains up to the limit, and one that is longer.
    for roles in 1..=4 {
        let role = "{from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: ";
        let chain = format!("{}{{from: file}}{}", role.repeat(roles), "}".repeat(roles));
        all.push(account(&format!("{{credentials: {chain}}}")));
    }
    all.extend(
        [
            "kind: deny, timeZone: Asia/Shanghai",
            "kind: deny, days: [fri, sat, sun], from: '18:00', to: '06:00', timeZone: Asia/Shanghai, causes: [pruned, expired], reason: weekend freeze",
            "kind: allow, schedule: '0 9 * * 1-5', duration: 8h, timeZone: Europe/Berlin",
            "kind: allow, schedule: '*/30 8-17 L JAN mon', duration: 1h 30m, timeZone: UTC",
            "kind: allow, days: [mon-fri], from: 09:00, to: '24:00', timeZone: UTC, reason: 7",
            "kind: deny",
            "timeZone: UTC",
            "kind: block, timeZone: UTC",
            "kind: deny, timeZone: Berlin",
            "kind: deny, timeZone: '+08:00'",
            "kind: deny, timeZone: UTC, from: '18:00'",
            "kind: deny, timeZone: UTC, to: '18:00'",
            "kind: deny, timeZone: UTC, from: '24:00', to: '01:00'",
            "kind: deny, timeZone: UTC, from: '9:00', to: '10:00'",
            "kind: deny, timeZone: UTC, from: 1080, to: '19:00'",
            "kind: deny, timeZone: UTC, from: '18:00', to: '25:00'",
            "kind: deny, timeZone: UTC, days: []",
            "kind: deny, timeZone: UTC, days: fri",
            "kind: deny, timeZone: UTC, days: [Fri]",
            "kind: deny, timeZone: UTC, days: [fri, fri]",
            "kind: deny, timeZone: UTC, days: [fri-mon]",
            "kind: deny, timeZone: UTC, days: [fri-]",
            "kind: deny, timeZone: UTC, causes: []",
            "kind: deny, timeZone: UTC, causes: [retention, declared]",
            "kind: deny, timeZone: UTC, causes: [prune]",
            "kind: deny, timeZone: UTC, causes: [pruned, pruned]",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *'",
            "kind: deny, timeZone: UTC, duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '0 9 * *', duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '@daily', duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: soon",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8h, days: [fri]",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8h, from: '09:00', to: '10:00'",
            "kind: deny, timeZone: UTC, reason: [x]",
            "kind: deny, timeZone: UTC, manualSync: true",
        ]
        .map(|window| account(&format!("{{windows: [{{{window}}}]}}"))),
    );
    let many = |pattern: &str| {
        let items: Vec<_> = (0..101).map(|n| format!("'img-{n}{pattern}'")).collect();
        format!("{{restrict: {{images: [{}]}}}}", items.join(", "))
    };
    let restriction = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Restriction\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let restricted = |restrict: &str| restriction(&format!("{{restrict: {restrict}}}"));
    let placed = |directory: &str| {
        restriction(&format!(
            "{{directory: {directory}, restrict: {{images: [img-a]}}}}"
        ))
    };
    all.extend(["{}", "{directory: a}", "[]", &many(""), &many("*")].map(restriction));
    all.extend(
        [
            "{accounts: [default]}",
            "{accounts: ['*', 'a-?', 'a.*']}",
            "{accounts: []}",
            "{accounts: [A]}",
            "{accounts: [a-]}",
            "{accounts: [a, a]}",
            "{accounts: a}",
            "{accounts: [5]}",
            "{regions: [ap-tokyo]}",
            "{regions: ['ap-*']}",
            "{regions: [ap-tokyo, ap-tokyo]}",
            "{regions: []}",
            "{images: [img-a, img-*, 'img-?b']}",
            "{images: ['*']}",
            "{images: ['golden-*', img-a, 'golden ubuntu', '?', im-a]}",
            "{images: [' golden']}",
            "{images: ['golden ']}",
            "{images: ['']}",
            "{images: [Img-a]}",
            "{images: ['img-*-x']}",
            "{images: [img-]}",
            "{images: [img-A]}",
            "{images: {}}",
            "{image: [img-a]}",
            "{}",
            "[]",
        ]
        .map(restricted),
    );
    all.extend(policies());
    all.extend(locks());
    all.extend(
        [
            ".", "./a", "a/b/", "a..b/c", "..", "../a", "a/../b", "a/..", "/a", "''", "a-*", "7",
            "[]",
        ]
        .map(placed),
    );
    all
}

fn policies() -> Vec<String> {
    let policy = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let with = |fields: &str| {
        policy(&format!(
            "{{regions: [ap-tokyo, ap-seoul], match: {{name: 'a*'}}, keep: {{newest: 2}}, {fields}}}"
        ))
    };
    let matching = |fields: &str| {
        policy(&format!(
            "{{region: ap-tokyo, match: {{{fields}}}, keep: {{newest: 2}}}}"
        ))
    };
    let keeping = |fields: &str| {
        policy(&format!(
            "{{region: ap-tokyo, match: {{name: a}}, keep: {{{fields}}}}}"
        ))
    };
    let mut all: Vec<_> = [
        "{region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{account: default, region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{account: A, region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{match: {name: a}, keep: {newest: 1}}",
        "{region: ap-tokyo, regions: [ap-seoul], match: {name: a}, keep: {newest: 1}}",
        "{regions: [], match: {name: a}, keep: {newest: 1}}",
        "{region: ap-tokyo, keep: {newest: 1}}",
        "{region: ap-tokyo, match: {name: a}}",
        "{region: ap-tokyo, match: a, keep: {newest: 1}}",
        "{region: ap-tokyo, match: {name: a}, keep: 1}",
        "{}",
        "[]",
    ]
    .map(policy)
    .into();
    all.extend(
        [
            "",
            "name: ''",
            "name: 5",
            "name: [a]",
            "nameRegex: 'a(?<version>.*)'",
            "nameRegex: '('",
            "name: 'a*', nameRegex: 'a.*', family: a, tags: {a: 'b*'}, osName: 'U*', platform: '?', architecture: x86_64",
            "tags: {}",
            "tags: {a: 1}",
            "tags: [a]",
            "tags: {a: ''}",
            "createdAfter: '2026-01-01T00:00:00Z', createdBefore: '2026-02-01T00:00:00Z'",
            "createdAfter: '2026-01-01'",
            "id: img-a",
            "names: a",
        ]
        .map(matching),
    );
    all.extend(
        [
            "",
            "newest: 0",
            "newest: '1'",
            "newest: 1.5",
            "newest: 4294967295",
            "newest: 4294967296",
            "newest: 1, minimum: 0",
            "newest: 1, minimum: -1",
            "newest: 1, maxCancels: 0",
            "newest: 1, unshareAfter: 72h, inUse: cancel, maxCancels: 7, owned: true, minimum: 1",
            "newest: 1, unshareAfter: 0",
            "newest: 1, unshareAfter: '0'",
            "newest: 1, unshareAfter: 72",
            "newest: 1, unshareAfter: soon",
            "newest: 1, inUse: keep",
            "newest: 1, inUse: never",
            "newest: 1, owned: 'true'",
            "newest: 1, oldest: 1",
        ]
        .map(keeping),
    );
    all.extend(
        [
            "deprecated: retire",
            "deprecated: keep",
            "order: created",
            "order: name",
            "order: semver",
            "order: age",
            "order: semver, semver: {range: '>=1.4, <2'}",
            "order: semver, semver: {}",
            "order: semver, semver: {range: 1}",
            "order: name, semver: {range: '>=1.4'}",
            "semver: {range: '>=1.4'}",
            "minAge: 24h",
            "minAge: 1h 30m",
            "minAge: a while",
            "availability: each",
            "availability: all",
            "availability: some",
            "lock: optional",
            "lock: required",
            "lock: true",
            "rollout: {waves: [[ap-tokyo]]}",
            "channels: {latest: {index: 0}}",
            "pins: []",
            "exclude: [{name: 'a*', nameRegex: 'a', family: a, tags: {a: b}, osName: a, platform: a, architecture: a, id: img-a, reason: 5}]",
            "exclude: [{id: img-a}]",
            "exclude: [{id: a}]",
            "exclude: [{createdBefore: '2026-01-01T00:00:00Z'}]",
            "exclude: [{reason: x}]",
            "exclude: [{}]",
            "exclude: []",
            "exclude: {name: a}",
            "pin: [{names: [a1]}]",
            "pin: [{regions: [ap-tokyo], names: [a1, a2], reason: x, until: '2026-12-15T00:00:00Z'}]",
            "pin: [{regions: [], names: [a1]}]",
            "pin: [{names: [a1, a1]}]",
            "pin: [{names: []}]",
            "pin: [{names: a1}]",
            "pin: [{reason: x}]",
            "pin: [{names: [a1], ids: [img-a]}]",
            "pin: []",
            "revoke: [{name: a1}, {id: img-a}]",
            "revoke: [{name: a1, reason: x, at: '2026-12-15T00:00:00Z', replacement: b, force: true}]",
            "revoke: [{name: a1, id: img-a}]",
            "revoke: [{reason: x}]",
            "revoke: [{id: a1}]",
            "revoke: [{name: a1, at: soon}]",
            "revoke: [{name: a1, replacement: ' b'}]",
            "revoke: [{name: a1, force: 1}]",
            "revoke: [a1]",
            "revoke: []",
        ]
        .map(with),
    );
    let many = |count: usize| {
        let ids: Vec<_> = (0..count).map(|n| format!("{{id: img-{n}}}")).collect();
        with(&format!("exclude: [{}]", ids.join(", ")))
    };
    all.extend([many(500), many(501)]);
    all
}

fn locks() -> Vec<String> {
    let digest = "0a1b".repeat(16);
    let lock = |policies: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec: {{policies: {policies}}}\n"
        )
    };
    let one = |fields: &str| lock(&format!("[{{{fields}}}]"));
    let with = |regions: &str| one(&format!("name: a, digest: {digest}, regions: {regions}"));
    let mut all = vec![
        lock("[]"),
        lock("[]").replace("spec:", "metadata: {name: a}\nspec:"),
        lock("[]").replace("spec:", "metadata: {name: A}\nspec:"),
        lock("[]").replace("policies", "policy"),
        lock("{}"),
        lock("[a]"),
        one("name: a, regions: {}"),
        one(&format!("digest: {digest}, regions: {{}}")),
        one(&format!("name: a, digest: {digest}")),
        one(&format!("name: A, digest: {digest}, regions: {{}}")),
        one("name: a, digest: 0a1b, regions: {}"),
        one(&format!(
            "name: a, digest: {}, regions: {{}}",
            digest.to_uppercase()
        )),
    ];
    all.extend(
        [
            "{}",
            "{ap-tokyo: []}",
            "{ap-tokyo: [{id: img-a, name: a}, {id: img-b, name: img-b, created: '2026-11-02T08:00:00Z'}]}",
            "{ap-tokio: []}",
            "{ap-tokyo: {}}",
            "{ap-tokyo: [img-a]}",
            "{ap-tokyo: [{id: img-a}]}",
            "{ap-tokyo: [{name: a}]}",
            "{ap-tokyo: [{id: a, name: a}]}",
            "{ap-tokyo: [{id: img-a, name: a, created: soon}]}",
            "{ap-tokyo: [{id: img-a, name: a, state: shared}]}",
            "[]",
        ]
        .map(with),
    );
    all
}

#[test]
fn the_schema_agrees_with_the_parser() {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema())
        .expect("a schema");
    let (mut right, mut wrong) = (0, 0);
    for text in documents() {
        let value: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        // A Restriction alone is not a valid set, so that another file joins it. The Restriction lies in a
        // directory of its own, so that it does not restrict that file.
        let beside = SourceText::new("beside.yaml", good("beside", "img-b"));
        let text_itself = SourceText::new("below/test.yaml", text.clone());
        let sources = vec![text_itself, beside];
        let (by_schema, by_parser) = (validator.is_valid(&value), parse(sources));
        assert_eq!(
            by_schema,
            by_parser.is_ok(),
            "{text}\n{}",
            shown(&by_parser)
        );
        *if by_schema { &mut right } else { &mut wrong } += 1;
    }
    assert!(right >= 85 && wrong >= 200, "{right} good, {wrong} bad");
}

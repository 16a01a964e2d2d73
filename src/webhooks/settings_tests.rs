//! Tests good settings, and every kind of mistake in them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Webhooks;
use super::fixtures_tests::{Folder, Log, image, scope, transition};
use crate::model::{Region, Selector};
use crate::status::{Extent, Subject, Transition, TransitionKind};

const CANARY: &str = "hunter2Canary";

#[test]
fn the_example_loads_once_its_secrets_are_there() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/notify/webhooks.yaml");
    let folder = Folder::new(&fs::read_to_string(example).expect("the example"));
    assert_eq!(
        folder.problems().len(),
        4,
        "each missing file is named: {:?}",
        folder.problems()
    );
    for (name, text) in [
        (
            "slack-url",
            "https://hooks.slack.example/services/T0/B0/x\n",
        ),
        (
            "feishu-url",
            "https://open.feishu.example/open-apis/bot/v2/hook/x",
        ),
        ("feishu-secret", "s"),
        ("audit-hmac", "s\r\n"),
    ] {
        folder.write(name, text);
    }
    let webhooks = folder.load().unwrap_or_else(|error| panic!("{error}")).0;
    let names: Vec<_> = webhooks
        .iter()
        .map(|webhook| webhook.name.as_str())
        .collect();
    assert_eq!(names, ["on-call", "operations", "audit"]);
}

#[test]
fn all_problems_are_reported_at_once_each_with_its_line() {
    let folder = Folder::new(
        "webhooks:
  - name: Bad_Name
    format: teams
    url: http://example.com/x
  - name: a
    format: json
  - name: a
    format: json
    url: https://example.com/
    urlFile: there
  - format: slack
    url: https://hooks.slack.example/services/x
    secretFile: gone
    on: [blokced]
    accounts: []
    regions: [ap-mumbai, ap-tokyo]
",
    );
    let problems = folder.problems();
    let expected = [
        "webhooks.yaml:2: a `name` has only lower-case letters",
        "webhooks.yaml:3: the `format` is not known: give one of json, slack, wecom, feishu, dingtalk",
        "webhooks.yaml:4: plain http is allowed only to loopback hosts",
        "webhooks.yaml:5: the webhook has no `urlFile` and no `url`",
        "webhooks.yaml:7: another webhook already has the name `a`",
        "webhooks.yaml:9: both `url` and `urlFile` are given",
        "webhooks.yaml:11: the webhook has no `name`",
        "webhooks.yaml:12: the URL of a chat's webhook is a secret",
        "webhooks.yaml:13: webhooks of slack have no signatures",
        "webhooks.yaml:13: cannot read gone: No such file",
        "webhooks.yaml:14: the kind `blokced` is not known; use one of drift_appeared,",
        "webhooks.yaml:15: the list has no account",
        "webhooks.yaml:16: the region `ap-mumbai` is not a region that supports image sharing",
    ];
    for (problem, start) in problems.iter().zip(expected) {
        assert!(problem.starts_with(start), "{problem}\nis not\n{start}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_file_of_another_shape_is_refused_with_the_line() {
    let one = "webhooks:\n  - name: a\n    format: json\n    url: https://example.com/\n";
    for (text, line, word) in [
        ("", 1, ""),
        (
            "webhooks: []\n",
            1,
            "the list `webhooks` is missing or empty",
        ),
        ("webhooks:\n", 1, "the list `webhooks` is missing or empty"),
        ("hooks: []\n", 1, "no field `hooks`"),
        ("- a\n", 1, "expected fields"),
        ("webhooks: 3\n", 1, "expected a list"),
        (&format!("{one}    colour: red\n"), 5, "no field `colour`"),
        (&format!("{one}    name: b\n"), 5, "given twice"),
        (&format!("{one}    on: blocked\n"), 5, "expected a list"),
        (&format!("{one}  - \"\n"), 0, "not valid YAML"),
    ] {
        let problems = Folder::new(text).problems();
        let [problem] = problems.as_slice() else {
            panic!("{text:?}: {problems:?}");
        };
        assert!(problem.contains(word), "{text:?}: {problem}");
        if line > 0 {
            assert!(
                problem.starts_with(&format!("webhooks.yaml:{line}: ")),
                "{text:?}: {problem}"
            );
        }
    }
}

#[test]
fn s21_a_file_that_is_too_large_endless_or_explodes_is_refused() {
    let folder = Folder::new(&"#".repeat(300_000));
    assert_eq!(
        folder.problems(),
        ["webhooks.yaml is larger than 262144 bytes"]
    );
    let entry = |n| format!("  - {{name: a{n}, format: json, url: 'https://example.com/'}}\n");
    let many: String = (0..51).map(entry).collect();
    let folder = Folder::new(&format!("webhooks:\n{many}"));
    assert_eq!(
        folder.problems(),
        ["webhooks.yaml:52: there are more than 50 webhooks: remove some"]
    );
    let list = "x,".repeat(10_000);
    let bomb = format!(
        "webhooks:\n  - {{on: &a [{list}]}}\n{}",
        "  - {on: *a}\n".repeat(15_000)
    );
    let problems = Folder::new(&bomb).problems();
    assert!(
        problems.len() == 1 && problems[0].contains("not valid YAML"),
        "{problems:?}"
    );
    let error = Webhooks::load(Path::new("/dev/zero"))
        .err()
        .expect("refused");
    assert_eq!(
        error.to_string(),
        "cannot read /dev/zero: it is not a regular file"
    );

    let folder = Folder::new("webhooks: [{name: a, format: slack, urlFile: url}]");
    folder.write("url", &"x".repeat(5000));
    assert_eq!(
        folder.problems(),
        ["webhooks.yaml:1: url is larger than 4096 bytes"]
    );
    folder.write("url", "\n");
    assert_eq!(
        folder.problems(),
        ["webhooks.yaml:1: url is empty: put the secret into it"]
    );
}

#[test]
fn o8_a_secret_in_the_wrong_place_is_not_quoted() {
    let url = format!("https://hooks.slack.example/services/{CANARY}");
    let with = |rest: &str| format!("webhooks:\n  - name: a\n    format: slack\n    {rest}\n");
    for text in [
        with(&format!("url: {url}")),
        with(&format!("urlFile: {url}")),
        with(&format!("url: http://example.com/{CANARY}")),
        with(&format!("url: {CANARY}")),
        with(&format!("urlFile: https://{CANARY}@x")),
        with(&format!("{url}: x")),
        with(&format!("on: {url}")),
        with(&format!("on: [{url}]")),
        with(&format!("accounts: ['{url}']")),
        with(&format!("regions: ['{url}']")),
        with(&format!("name: {url}")),
        with(&format!("urlFile: [{url}]")),
        with(&format!("urlFile: {{a: {url}}}")),
        with(&format!("url: {url}\n  bad: [")),
        with(&format!("url: \"{url}")),
        with(&format!("url: *{CANARY}2")),
        format!("webhooks: {url}\n"),
        format!("{url}\n"),
    ] {
        let problems = Folder::new(&text).problems();
        assert!(!problems.is_empty());
        assert!(!problems.concat().contains(CANARY), "{text}\n{problems:#?}");
    }
    let folder = Folder::new("webhooks: [{name: a, format: slack, urlFile: url}]");
    for wrong in [CANARY.to_owned(), format!("http://example.com/{CANARY}")] {
        folder.write("url", &wrong);
        let problems = folder.problems();
        assert!(!problems.concat().contains(CANARY), "{problems:?}");
    }
}

#[test]
fn r14_a_secret_file_has_one_line_without_invisible_characters() {
    let settings = "webhooks: [{name: a, format: json, url: 'https://a.example/', secretFile: key}, \
                    {name: b, format: slack, urlFile: url}]";
    let folder = Folder::new(settings);
    let good = "https://hooks.example.com/hunter2Canary";
    for end in ["", "\n", "\r\n"] {
        folder.write("key", &format!("s3cret{end}"));
        folder.write("url", &format!("{good}{end}"));
        assert!(folder.load().is_ok(), "{end:?}");
    }
    for (text, word) in [
        ("S\nS", "more than one line"),
        ("S\r\nS\r\n", "more than one line"),
        ("S\n\n", "more than one line"),
        ("\nS\n", "more than one line"),
        ("\r\n", "is empty"),
        (" \u{a0}\n", "is empty"),
        ("\u{feff}S\n", "byte order mark"),
        ("S\u{a0}\n", "an invisible character"),
        ("S \n", "an invisible character"),
        (" S", "an invisible character"),
        ("S S", "an invisible character"),
        ("S\tS", "an invisible character"),
        ("S\u{200b}", "an invisible character"),
        ("S\0", "an invisible character"),
    ] {
        let text = text.replace('S', good);
        folder.write("key", &text);
        folder.write("url", &text);
        let problems = folder.problems();
        for (problem, file) in problems.iter().zip(["key", "url"]) {
            let names = problem.starts_with(&format!("webhooks.yaml:1: {file} "));
            assert!(names && problem.contains(word), "{text:?}: {problem}");
            assert!(!problem.contains(CANARY), "{problem}");
        }
        assert_eq!(problems.len(), 2, "{text:?}");
    }
}

#[test]
fn o8_a_secret_that_everybody_can_read_is_a_warning_once() {
    let folder = Folder::new("webhooks: [{name: a, format: slack, urlFile: url}]");
    let path = folder.write("url", "https://hooks.slack.example/services/x");
    let (log, _guard) = Log::start();
    assert!(folder.load().is_ok());
    assert_eq!(log.text(), "");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("is ours");
    assert!(folder.load().is_ok());
    assert_eq!(
        log.lines_with("every user of this machine").len(),
        1,
        "{}",
        log.text()
    );
    assert!(!log.text().contains("services"));
}

#[test]
fn a_webhook_gets_the_transitions_that_it_subscribed_to() {
    let folder = Folder::new(
        "webhooks:
  - {name: all, format: json, url: 'https://example.com/'}
  - {name: kinds, format: json, url: 'https://example.com/', on: [blocked, stalled]}
  - {name: here, format: json, url: 'https://example.com/', accounts: [prod], regions: [ap-tokyo]}
  - {name: account, format: json, url: 'https://example.com/', accounts: [test]}
  - {name: region, format: json, url: 'https://example.com/', regions: [ap-seoul]}
",
    );
    let webhooks = folder.load().unwrap_or_else(|error| panic!("{error}")).0;
    let subscribers = |subject: Subject, kind| {
        let transition = transition(subject, kind, "");
        let found = webhooks
            .iter()
            .filter(|webhook| webhook.subscribes_to(&transition));
        found
            .map(|webhook| webhook.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        subscribers(image(1), TransitionKind::Blocked),
        ["all", "kinds", "here"]
    );
    assert_eq!(
        subscribers(image(1), TransitionKind::Unblocked),
        ["all", "here"]
    );
    assert_eq!(
        subscribers(Subject::Scope(scope()), TransitionKind::Recovered),
        ["all", "here"]
    );
    assert_eq!(
        subscribers(Subject::Account(scope().account), TransitionKind::Stalled),
        ["all", "kinds", "here", "region"]
    );
    assert_eq!(
        subscribers(Subject::Manifests, TransitionKind::Stalled),
        ["all", "kinds", "here", "account", "region"]
    );
}

#[test]
fn n10_n2_a_transition_of_several_goes_to_each_webhook_of_any() {
    let folder = Folder::new(
        "webhooks:
  - {name: all, format: json, url: 'https://example.com/'}
  - {name: tokyo, format: json, url: 'https://example.com/', regions: [ap-tokyo]}
  - {name: seoul, format: json, url: 'https://example.com/', regions: [ap-seoul]}
  - {name: test, format: json, url: 'https://example.com/', accounts: [test]}
  - {name: kinds, format: json, url: 'https://example.com/', on: [stalled]}
",
    );
    let webhooks = folder.load().unwrap_or_else(|error| panic!("{error}")).0;
    let subscribers = |transition: &Transition| {
        let found = webhooks.iter();
        let found = found.filter(|webhook| webhook.subscribes_to(transition));
        let names = found.map(|webhook| webhook.name.clone());
        names.collect::<Vec<_>>()
    };
    let regions = ["ap-bangkok", "ap-tokyo"].map(|name| Region::new(name).expect("a region"));
    let of_account = Transition {
        extent: Some(Box::new(Extent {
            regions: regions.into(),
            images: 96,
            names: Vec::new(),
        })),
        ..transition(
            Subject::Account(scope().account),
            TransitionKind::Stalled,
            "",
        )
    };
    assert_eq!(subscribers(&of_account), ["all", "tokyo", "kinds"]);
    let suspended = |selector| {
        let subject = Subject::Selection(Box::new(selector));
        subscribers(&transition(subject, TransitionKind::Suspended, ""))
    };
    let everything = Selector::default();
    assert_eq!(suspended(everything), ["all", "tokyo", "seoul", "test"]);
    let one = Selector {
        accounts: [scope().account].into(),
        regions: [regions[1]].into(),
        ..Selector::default()
    };
    assert_eq!(suspended(one), ["all", "tokyo"]);
}

//! Tests that a secret that a user typed in the wrong place is never printed, for each flag, variable and
//! file and for each output format. Each test runs the real binary and searches its whole output for the
//! secret.

use std::fs;
use std::process::{Command, Output};

use crate::support::binary::{Bench, command, stderr, stdout};

/// A string with the length and the mix of characters of a real secret key.
const CANARY: &str = "Zk9c4n4ryB1rdS1ngsQw7TyUi2Op5As3";

/// The forms in which a user types a secret.
fn typed() -> [String; 6] {
    [
        format!("https://x-access-token:{CANARY}@github.com/a/b"),
        format!("https://{CANARY}@github.com/a/b"),
        format!("https://hooks.example.com/a?token={CANARY}"),
        format!("https://hooks.example.com/services/{CANARY}"),
        format!("user:{CANARY}@host"),
        CANARY.to_owned(),
    ]
}

/// The output of the command. Fails if it contains a part of the secret.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    silent(&output, &format!("{command:?}"))
}

fn silent(output: &Output, what: &str) -> String {
    let said = stdout(output) + &stderr(output);
    for part in CANARY.as_bytes().windows(8) {
        let part = std::str::from_utf8(part).expect("ASCII");
        assert!(!said.contains(part), "{what}\n{said}");
    }
    said
}

/// Arguments in which `@` stands for the secret. Each command fails or has no effect.
const FLAGS: &[&str] = &[
    "@",
    "validate @",
    "validate --region @",
    "validate --tokn=@",
    "validate --@",
    "-@",
    "plan @",
    "plan --sim @",
    "plan --endpoint @",
    "plan --endpoint=@",
    "plan --sim=@",
    "plan --region @",
    "plan --account @",
    "plan --image @",
    "plan -l @",
    "plan --prune @",
    "plan --max-cancels @",
    "plan --max-cancels-percent @",
    "plan --trust-acknowledged @",
    "plan --sim --out @/plan",
    "plan --sim --out p --plan-key-file @",
    "plan --output @",
    "plan --log-level @",
    "plan --log-format @",
    "plan --color @",
    "plan --sim --state-dir /dev/null/@",
    "reconcile --sim --plan @",
    "reconcile --timeout @",
    "reconcile --history-max @",
    "run --notify none.yaml --git @",
    "run --git https://h.invalid/x manifests @",
    "run --interval @",
    "run --debounce @",
    "run --poll @",
    "run --listen @",
    "run --sim --notify @",
    "run --sim --listen-token-file @",
    "run --warn-before @",
    "explain @ --sim",
    "explain --sim img-a @",
    "images --sim @",
    "import --sim --out @ --by @",
    "import --sim --region @",
    "lock --sim --policy @ --check",
    "adopt --sim @",
    "history --since @",
    "history --limit @",
    "history @",
    "status --state-dir /dev/null/@",
    "suspend --sim --reason x --until @",
    "resume @",
    "resume --sim --account @",
    "doctor --sim --notify @",
    "doctor --sim @",
    "doctor --endpoint @",
    "sim --listen @",
    "sim --world @",
    "sim --seed @",
    "completions @",
    "man @",
    "schema @",
];

#[test]
fn b6_no_flag_and_no_argument_quotes_a_secret() {
    let bench = Bench::new();
    bench.declare("images", "ap-tokyo", &["img-tools001"]);
    for secret in typed() {
        for line in FLAGS {
            let words: Vec<_> = line
                .split(' ')
                .map(|word| word.replace('@', &secret))
                .collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // With JSON, the message for people is printed as well, so that one run covers both forms.
            let all = [&words[..], &["-o", "json"]].concat();
            let mut command = command(&all);
            let command = command.current_dir(bench.path(""));
            said(command.env("SHAREKEEPER_STATE_DIR", bench.path("state")));
        }
    }
}

#[test]
fn b6_no_variable_is_quoted() {
    let bench = Bench::new();
    bench.declare("images", "ap-tokyo", &["img-tools001"]);
    for secret in typed() {
        for (variable, words) in [
            ("SHAREKEEPER_GIT", "run --notify none.yaml"),
            ("SHAREKEEPER_ENDPOINT", "plan"),
            ("SHAREKEEPER_PATH", "plan --sim"),
            ("SHAREKEEPER_REGION", "plan --sim"),
            ("SHAREKEEPER_ACCOUNT", "plan --sim"),
            ("SHAREKEEPER_SELECTOR", "plan --sim"),
            ("SHAREKEEPER_OUTPUT", "plan --sim"),
            ("SHAREKEEPER_NOTIFY", "run --sim"),
            ("SHAREKEEPER_LISTEN", "run --sim"),
            ("SHAREKEEPER_LISTEN_TOKEN_FILE", "run --sim"),
            ("SHAREKEEPER_PLAN_KEY_FILE", "plan --sim --out p"),
            ("SHAREKEEPER_WORLD", "sim"),
            ("SHAREKEEPER_METADATA_URL", "plan"),
            ("TENCENTCLOUD_CREDENTIALS_FILE", "plan"),
            ("TENCENTCLOUD_SECRET_ID", "plan"),
            ("TKE_ROLE_ARN", "plan"),
            ("TKE_WEB_IDENTITY_TOKEN_FILE", "plan"),
            ("TCCLI_PROFILE", "plan"),
        ] {
            for form in [&[][..], &["-o", "json"]] {
                let words: Vec<_> = words.split(' ').collect();
                // With `-o`, the variable `SHAREKEEPER_OUTPUT` would have no effect, so that the flag is left
                // out.
                let form = if variable == "SHAREKEEPER_OUTPUT" {
                    &[]
                } else {
                    form
                };
                let mut command = command(&[&words[..], form].concat());
                let state = bench.path("state");
                let command = command
                    .current_dir(bench.path(""))
                    .env("SHAREKEEPER_STATE_DIR", state)
                    .env(variable, &secret);
                let said = said(command);
                assert!(!said.is_empty(), "{variable}");
            }
        }
    }
}

#[test]
fn b6_an_error_says_which_flag_and_why_and_quotes_ordinary_values() {
    let git = format!("https://x-access-token:{CANARY}@github.com/a/b");
    let printed = said(&mut command(&["run", "--git", &git]));
    for word in [
        "--git <URL>",
        "must not contain a password or token",
        "not shown",
    ] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    for (words, quoted) in [
        (&["plan", "--region", "ap-tokio"][..], "'ap-tokio'"),
        (&["plan", "--prune", "owed"], "'owed'"),
        (&["plam"], "'plam'"),
        (&["plan", "--intervall", "5m"], "'--intervall'"),
        (&["run", "--interval", "5 fortnights"], "'5 fortnights'"),
    ] {
        let printed = said(&mut command(words));
        assert!(printed.contains(quoted), "{quoted}: {printed}");
    }
}

const HEAD: &str = "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\nspec:\n";

#[test]
fn b6_no_manifest_is_quoted_with_a_secret_in_it() {
    let bench = Bench::new();
    for secret in typed() {
        for text in [
            format!("{HEAD}  endpoint: {secret}\n"),
            format!("{HEAD}  endpoint: \"{secret}\"\n  uin: 7\n"),
            format!(
                "{HEAD}  endpoint: https://a.example.com # {secret}\n  endpoint: https://b.example.com\n"
            ),
            format!("{HEAD}  rate: \"{secret}\"\n"),
            format!("{HEAD}  uin: \"{secret}\"\n"),
            format!("{HEAD}  \"{secret}\": 1\n"),
            format!("{HEAD}  credentials: {{from: \"{secret}\"}}\n"),
            format!(
                "{HEAD}  credentials: {{from: assume-role, roleArn: \"{secret}\", on: {{from: environment}}}}\n"
            ),
            format!("{HEAD}  secretKey: {secret}\n"),
            HEAD.replace("prod", &format!("\"{secret}\"")) + "  {}\n",
            HEAD.replace("Account", &format!("\"{secret}\"")) + "  {}\n",
            format!("{HEAD}  rate: [\n\"{secret}\n"),
            format!("{HEAD}  rate: *{secret}\n"),
            format!("{HEAD}  rate: !{secret} 3\n"),
        ] {
            bench.write("manifests/account.yaml", &text);
            for words in [
                &["validate"][..],
                &["validate", "-o", "json"],
                &["plan", "--sim"],
                &["doctor", "--sim"],
            ] {
                let output = bench.real(words);
                silent(&output, &format!("{words:?}\n{text}"));
            }
        }
    }
}

#[test]
fn b6_the_caret_stays_under_what_is_masked() {
    let bench = Bench::new();
    bench.write(
        "manifests/account.yaml",
        &format!("{HEAD}  endpoint: \"https://user:{CANARY}@h.example\"\n"),
    );
    let printed = silent(&bench.real(&["validate"]), "validate");
    let line = printed
        .lines()
        .position(|line| line.contains("endpoint: \"https://*"));
    let lines: Vec<_> = printed.lines().collect();
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(lines[line].ends_with("*@h.example\""), "{printed}");
    let quote = lines[line].find('"').expect("a quote");
    assert_eq!(lines[line + 1].find('^'), Some(quote), "{printed}");
}

#[test]
fn b6_no_file_of_settings_is_quoted() {
    let bench = Bench::new();
    bench.declare("images", "ap-tokyo", &["img-tools001"]);
    for secret in typed() {
        for text in [
            format!("webhooks: [{{name: a, format: slack, url: \"{secret}\"}}]\n"),
            format!("webhooks: [{{name: a, format: \"{secret}\", url: \"ftp://x\"}}]\n"),
            format!("webhooks: [{{name: \"{secret}\"}}]\n"),
            format!("webhooks: [{{name: a, urlFile: \"{secret}\"}}]\n"),
            format!("webhooks: [{{name: a, secretFile: \"{secret}\"}}]\n"),
            format!("\"{secret}\": 1\n"),
            format!("webhooks: \"{secret}\"\n"),
            format!("webhooks: [\n  \"{secret}\n"),
        ] {
            bench.write("hooks.yaml", &text);
            for words in [
                &["run", "--sim", "--notify", "hooks.yaml", "--listen", "off"][..],
                &["doctor", "--sim", "--notify", "hooks.yaml"],
            ] {
                silent(&bench.real(words), &text);
            }
        }
        // No machine has this address: if a world is accepted, the command fails instead of serving it forever.
        for text in [
            format!("seed: \"{secret}\"\n"),
            format!("\"{secret}\": 1\n"),
            format!("accounts: [{{name: \"{secret}\"}}]\n"),
            format!("accounts: [{{secretKey: \"{secret}\", uin: {{}}}}]\n"),
            format!("latency: \"{secret}\"\n"),
            format!("seed: [\n  \"{secret}\n"),
        ] {
            bench.write("world.yaml", &text);
            silent(
                &bench.real(&["sim", "--world", "world.yaml", "--listen", "192.0.2.1:1"]),
                &text,
            );
        }
    }
}

#[test]
fn b9_only_files_on_a_disk_are_opened_for_manifests() {
    let bench = Bench::new();
    let fifo = bench.path("fifo.yaml");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let socket = bench.path("socket.yaml");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let link = bench.path("link.yaml");
    std::os::unix::fs::symlink("/proc/self/environ", &link).expect("a link");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let regular = [
        text(&fifo),
        text(&socket),
        "/dev/zero".into(),
        "/dev/null".into(),
    ];
    let made_up = [
        "/proc/self/environ",
        "/proc/kmsg",
        "/proc/self/mem",
        "/proc/version",
        "/sys/kernel/uevent_seqnum",
    ];
    let made_up = made_up.map(str::to_owned).into_iter().chain([text(&link)]);
    let cases = regular.into_iter().map(|path| (path, "not a regular file"));
    let cases = cases.chain(made_up.map(|path| (path, "the kernel generates it")));
    for (path, why) in cases {
        for words in [
            &["validate", &path][..],
            &["validate", &path, "-o", "json"],
            &["plan", &path, "--sim"],
        ] {
            let mut command = command(words);
            let command = command
                .current_dir(bench.path(""))
                .env("SHAREKEEPER_STATE_DIR", bench.path("state"))
                .env("SOME_SECRET", CANARY);
            let output = command.output().expect("the binary starts");
            let printed = silent(&output, &path);
            assert_eq!(output.status.code(), Some(1), "{path}: {printed}");
            assert!(printed.contains(why), "{path}: {printed}");
        }
    }
}

#[test]
fn b9_what_is_no_manifest_is_not_quoted() {
    let bench = Bench::new();
    let secret = "plain word of a secret";
    for text in [
        format!("A=1\0KEY={secret}\0"),
        format!("{HEAD}  rate: \0{secret}\n"),
        format!("{secret}\n"),
        format!("- {secret}\n"),
        format!("export KEY=\"{secret}\n"),
        format!("root:x:0:0:{secret}:/root:/bin/sh\n"),
        format!("-----BEGIN KEY-----\n{secret}\n-----END KEY-----\n"),
        format!("{{\"auths\": {{\"h\": {{\"auth\": {secret}]\n"),
    ] {
        bench.write("manifests/a.yaml", &text);
        for words in [
            &["validate"][..],
            &["validate", "-o", "json"],
            &["plan", "--sim"],
        ] {
            let output = bench.real(words);
            let printed = stdout(&output) + &stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{printed}");
            assert!(printed.contains("a.yaml"), "{printed}");
            assert!(!printed.contains(secret), "{printed}");
        }
    }
    fs::write(
        bench.path("manifests/a.yaml"),
        b"KEY: \xff\xfe plain word of a secret",
    )
    .expect("a file");
    let output = bench.real(&["validate"]);
    let printed = stdout(&output) + &stderr(&output);
    assert!(
        printed.contains("not UTF-8") && !printed.contains(secret),
        "{printed}"
    );
}

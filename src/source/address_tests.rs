//! Tests which URLs and refs of git repositories are accepted and which are refused.

use super::*;

#[test]
fn each_form_of_url_is_accepted_and_shown_without_its_user() {
    for (text, shown) in [
        (
            "https://host.example/a/b.git",
            "https://host.example/a/b.git",
        ),
        ("https://host.example:8443/b", "https://host.example:8443/b"),
        ("http://127.0.0.1:3000/b", "http://127.0.0.1:3000/b"),
        ("http://[::1]:3000/b", "http://[::1]:3000/b"),
        ("ssh://git@host.example/b.git", "ssh://host.example/b.git"),
        ("ssh://host.example:2222/~/b", "ssh://host.example:2222/~/b"),
        ("git@host.example:a/b.git", "host.example:a/b.git"),
        ("host:a/b@c", "host:a/b@c"),
        ("git@[::1]:b", "[::1]:b"),
        ("file:///srv/b.git", "file:///srv/b.git"),
    ] {
        let url = GitUrl::new(text).unwrap();
        assert_eq!((url.as_str(), url.to_string().as_str()), (text, shown));
        assert_eq!(format!("{url:?}"), shown);
    }
}

#[test]
fn o2_a_url_with_a_secret_is_refused_and_the_error_says_what_to_use() {
    for text in [
        "https://user:hunter2@host.example/b",
        "https://ghp_hunter2@host.example/b",
        "http://user:hunter2@127.0.0.1/b",
        "https://host.example/b?token=hunter2",
        "ssh://user:hunter2@host.example/b",
        "user:hunter2@host.example:b",
        "user:hunt/er2@host.example:b",
        "git@host.example:b?token=hunter2",
        // URLs in which a slash is missing.
        "https:/user:hunter2@host.example/b",
        "https:user:hunter2@host.example/b",
        "ssh:/user:hunter2@host.example/b",
    ] {
        let error = GitUrl::new(text).unwrap_err();
        assert_eq!(error, GitUrlError::Secret, "{text}");
        let error = error.to_string();
        assert!(error.contains("credential helper") && !error.contains("hunter2"));
    }
}

#[test]
fn urls_that_git_could_take_for_options_or_programs_are_refused() {
    for text in [
        "",
        "-uhost:path",
        "--upload-pack=touch x",
        "ssh://-oProxyCommand=x/path",
        "ssh://user@-oProxyCommand=x/path",
        "-oProxyCommand=x:path",
        "git@host:-x",
        "ext::sh -c x",
        "ext::sh",
        "fd::17",
        "file://host/path",
        "file:///",
        "git://host/path",
        "https:/hunter2@host.example/b",
        "HTTPS:/host.example/b",
        "file:/srv/b.git",
        "ftp://host/path",
        "/srv/b.git",
        "./b.git",
        "a/b:c",
        "https://host",
        "https://-host/b",
        "https://host:0/b",
        "https://ho st/b",
        "https://host/b\n",
        "https://host/\u{1b}[1m",
        "https://[nonsense]/b",
    ] {
        assert!(GitUrl::new(text).is_err(), "{text}");
    }
    for text in ["http://host.example/b", "http://10.0.0.1/b"] {
        assert_eq!(GitUrl::new(text), Err(GitUrlError::PlainHttp), "{text}");
    }
}

#[test]
fn a_ref_that_git_could_take_for_more_than_one_name_is_refused() {
    for good in [
        "main",
        "v1.0",
        "feature/a-b",
        "refs/heads/main",
        "HEAD",
        &"a1".repeat(20),
        "日本",
    ] {
        assert_eq!(GitRef::new(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "-x",
        "--upload-pack=x",
        "+main",
        "main:refs/heads/x",
        "^main",
        "main~1",
        "a b",
        "a\n",
        "refs/heads/*",
        "a..b",
        "a@{1}",
        "@",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.",
        "a\\b",
        "a\u{7f}",
    ] {
        assert_eq!(GitRef::new(bad), Err(GitRefError), "{bad}");
    }
}

#[test]
fn g5_full_names_head_and_full_hashes_are_exact() {
    for (text, is_exact) in [
        ("HEAD", true),
        ("refs/heads/main", true),
        ("refs/tags/v1", true),
        (&*"a1".repeat(20), true),
        (&*"a1".repeat(32), true),
        ("main", false),
        ("v1.0", false),
        ("feature/x", false),
        ("heads/main", false),
        // A short hash, and a name that only resembles a hash.
        ("a1b2c3d", false),
        (&*"g1".repeat(20), false),
    ] {
        assert_eq!(GitRef::new(text).unwrap().is_exact(), is_exact, "{text}");
    }
}

//! A manifest that is mounted by itself, so that nobody inside sees when it is replaced outside.

use super::*;

/// A shell command with its own mount namespace. `None` where the machine does not allow one; then the
/// function prints that the test is skipped.
fn with_own_mounts(script: &str) -> Option<Command> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare")
            .args(**way)
            .args(["sh", "-c", "mount --bind /tmp /tmp"])
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(way) = ways.iter().find(works) else {
        // A closed stderr is no reason to fail.
        let _ = writeln!(io::stderr(), "skipped: no mounts can be made");
        return None;
    };
    let mut command = Command::new("unshare");
    let plain = binary::command(&[]);
    command.args(*way).args(["sh", "-c", script]);
    command.arg(plain.get_program());
    command.env_clear().env("PATH", std::env::var_os("PATH")?);
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("a value"));
    }
    Some(command)
}

#[test]
fn g9_e_a_mounted_file_that_is_replaced_outside_causes_one_warning() {
    let bench = bench(&["img-a"]);
    fs::create_dir(bench.path("mounted")).expect("a directory");
    bench.write("mounted/all.yaml", "");
    let script = "mount --bind manifests/all.yaml mounted/all.yaml && exec \"$0\" run mounted \
                  --sim --state-dir state --listen off --interval 1s --poll 1s";
    let Some(mut command) = with_own_mounts(script) else {
        return;
    };
    let (reader, stderr) = io::pipe().expect("a pipe");
    let child = command
        .current_dir(bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("unshare starts");
    drop(command);
    let mut process = Process(child);
    let log = Log::of(reader);
    let logged = |words: &str| {
        let said = log.said.lock().expect("no panic");
        String::from_utf8_lossy(&said).matches(words).count()
    };
    const WARNING: &str = "edits of the file cannot be seen";
    until("the manifests are loaded", || {
        logged("manifests loaded") == 1
    });
    assert_eq!(logged(WARNING), 0);
    let file = bench.path("manifests/all.yaml");
    let text = fs::read_to_string(&file).expect("a manifest");
    bench.write("next", &text.replace("img-a", "img-b"));
    fs::rename(bench.path("next"), &file).expect("it takes the place of the other");
    until("the warning is there", || logged(WARNING) > 0);
    for _ in 0..2 {
        process.signal(Signal::HUP);
    }
    until("it has observed again", || {
        logged("observing everything again") > 0
    });
    assert_eq!(process.stop(Signal::TERM), Some(143));
    let log = log.end(0);
    assert_eq!(log.matches(WARNING).count(), 1, "{log}");
    assert!(log.contains("mount the directory"), "{log}");
    assert!(!log.contains("img-b"), "{log}");
}

//! How long a stop may take while the state, the API, git, a webhook or a reader blocks the process.

use super::*;

#[test]
fn c15_l7_a_stop_takes_no_longer_while_the_state_is_locked() {
    for is_asked_twice in [false, true] {
        let bench = bench(&["img-a"]);
        let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
        daemon.until_in_sync(1);
        let database = bench.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        bench.declare("all", TOKYO, &["img-a", "img-b", "img-c"]);
        // The daemon shows no decisions about images before their pass may write. Each earlier pass has ended by
        // then.
        until("a pass over them waits for the lock", || {
            daemon.status().is_some_and(|status| {
                let scope = &status["scopes"][0];
                let began = scope["passing_since"].as_str();
                let loaded = status["manifests"]["loaded_at"].as_str();
                status["manifests"]["images"] == 3 && began.is_some() && began >= loaded
            })
        });
        match is_asked_twice {
            false => assert_eq!(daemon.process.stop(Signal::TERM), Some(143)),
            true => {
                daemon.process.signal(Signal::TERM);
                until("it leaves", || {
                    if daemon.process.ended().is_none() {
                        daemon.process.signal(Signal::TERM);
                    }
                    daemon.process.ended().is_some()
                });
                assert_eq!(daemon.process.wait(), Some(143));
            }
        }
        database.execute_batch("ROLLBACK").expect("the lock");
        // The next run finds a valid state.
        bench.run(&["reconcile", "manifests"], 0);
    }
}

#[test]
fn c15_l7_a_stop_takes_no_longer_while_the_api_does_not_answer() {
    let bench = bench(&["img-a"]);
    for arguments in [&["reconcile"][..], &["run", "--listen", "off"]] {
        let (mut process, api) = waiting(&bench, &[], arguments);
        let (_held, _) = api.accept().expect("it calls");
        assert_eq!(process.stop(Signal::TERM), Some(143), "{arguments:?}");
    }
}

/// Installs a stand-in for git. It and its child processes ignore SIGTERM and never end. Returns the file
/// that holds their process ids.
fn write_hung_git(bench: &Bench) -> PathBuf {
    let ids = bench.path("ids");
    fs::create_dir(bench.path("bin")).expect("a directory");
    let script = format!(
        "#!/bin/sh\ntrap '' TERM\nsleep 3600 &\necho $$ $! > '{ids}.new'\nmv '{ids}.new' '{ids}'\nwait\n",
        ids = ids.display()
    );
    bench.write("bin/git", &script);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bench.path("bin/git"), mode).expect("it can be run");
    ids
}

/// Whether a process runs. A zombie, which has ended but was not waited for, does not run.
fn runs(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| {
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| !state.starts_with('Z'))
    })
}

#[test]
fn l7_b7_a_stop_ends_a_git_that_hangs_and_all_that_it_started() {
    let bench = bench(&["img-a"]);
    let ids = write_hung_git(&bench);
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", bench.path("bin").display());
    for is_asked_twice in [false, true] {
        let arguments = ["--git", "ssh://127.0.0.1/x.git", "--ref=refs/heads/main"];
        let variables = [("PATH", OsStr::new(&path))];
        let mut daemon = Daemon::with(&bench, &arguments, &variables, Stdio::null(), Stdio::null());
        until("git hangs", || ids.exists());
        let hung = fs::read_to_string(&ids).expect("ids");
        let hung: Vec<&str> = hung.split_whitespace().collect();
        assert!(
            hung.len() == 2 && hung.iter().all(|id| runs(id)),
            "{hung:?}"
        );
        fs::remove_file(&ids).expect("removed");
        daemon.process.signal(Signal::TERM);
        until("it leaves", || {
            let has_ended = daemon.process.ended().is_some();
            // Two signals that arrive together count as one, so that the signal is repeated.
            if is_asked_twice && !has_ended {
                daemon.process.signal(Signal::TERM);
            }
            has_ended
        });
        assert_eq!(daemon.process.wait(), Some(143));
        until("nothing of it is left", || !hung.iter().any(|id| runs(id)));
    }
}

#[test]
fn l7_a_stop_waits_for_no_webhook_that_never_answers() {
    let bench = bench(&["img-a"]);
    let webhook = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = webhook.local_addr().expect("an address");
    bench.write(
        "webhooks.yaml",
        &format!("webhooks:\n  - name: silent\n    url: http://{address}/\n    format: json\n    on: [stalled, recovered]\n"),
    );
    bench.write("manifests/all.yaml", "no manifest\n");
    let more = ["--notify", "webhooks.yaml"];
    let mut daemon = Daemon::start(&bench, &more, Stdio::null(), Stdio::null());
    let (mut connection, _) = webhook.accept().expect("a webhook call");
    let mut request = [0; 5];
    connection.read_exact(&mut request).expect("a request");
    assert_eq!(&request, b"POST ");
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
}

/// Sends requests for a document without reading the replies, until the socket accepts no more bytes.
fn ask_and_never_read(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nX-Padding: {}\r\n\r\n",
        "x".repeat(2_000)
    );
    stream.set_nonblocking(true).expect("a socket");
    while stream.write_all(request.as_bytes()).is_ok() {}
    stream
}

#[test]
fn l7_a_stop_waits_for_no_reader_of_the_status_port_that_never_reads() {
    let bench = bench(&["img-a"]);
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
    daemon.until_in_sync(1);
    let address = daemon.address;
    let mut readers: Vec<_> = (0..8).map(|_| ask_and_never_read(address)).collect();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("asked");
        readers.push(stream);
    }
    assert_eq!(daemon.get("/healthz").map(|(status, _)| status), Some(200));
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    drop(readers);
}

#[test]
fn c15_l7_a_late_end_is_reported_in_the_log_and_in_the_document() {
    let bench = bench(&["img-a"]);
    bench.run(&["reconcile", "manifests"], 0);
    let database = bench.database();
    database
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .expect("the lock");
    let (stdout, its_stdout) = io::pipe().expect("a pipe");
    let (stderr, its_stderr) = io::pipe().expect("a pipe");
    let more = ["-o", "json"];
    let mut daemon = Daemon::start(&bench, &more, its_stdout.into(), its_stderr.into());
    let log = Log::of(stderr);
    log.until("the status page is on");
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(), Some(143));
    let words = "exiting without waiting any longer for the state to be opened; another process may have locked it";
    let log = log.end(0);
    assert!(log.contains(words), "{log}");
    let document: Value = serde_json::from_str(&Log::of(stdout).end(0)).expect("one document");
    assert_eq!(document["exit_code"], 143);
    let error = document["error"].as_str().expect("words");
    assert!(
        error.contains(words) && error.contains("the next run resolves them"),
        "{error}"
    );
    database
        .execute_batch("ROLLBACK; PRAGMA locking_mode = NORMAL")
        .expect("the lock");
    drop(database);
    bench.run(&["reconcile", "manifests"], 0);
}

//! Signals that arrive in the first moment of a process, and hangups that it was told to ignore.

use super::*;

#[test]
fn g9_a_daemon_hears_signals_from_the_first_moment_on() {
    let bench = bench(&["img-a"]);
    for _ in 0..10 {
        for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
            daemon.process.signal_at_once(signal);
            assert_eq!(daemon.process.wait(), Some(status));
        }
        let (reader, stderr) = io::pipe().expect("a pipe");
        let mut daemon = Daemon::start(&bench, &[], Stdio::null(), stderr.into());
        daemon.process.signal_at_once(Signal::HUP);
        let log = Log::of(reader);
        log.until("observing everything again, as requested");
        assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    }
}

/// Shell prefixes that start the command with SIGHUP at its default, and with SIGHUP ignored as `nohup` does.
const HEARS_HANGUPS: [&str; 3] = ["sh", "-c", "trap - HUP; exec \"$0\" \"$@\""];
const IGNORES_HANGUPS: [&str; 3] = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];

#[test]
fn g9_a_command_that_runs_once_hears_signals_from_the_first_moment_on() {
    let bench = bench(&["img-a"]);
    for command in ["plan", "reconcile"] {
        for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let (mut process, _api) = waiting(&bench, &[], &[command]);
            process.signal_at_once(signal);
            assert_eq!(process.wait(), Some(status), "{command}");
        }
        let (mut process, _api) = waiting(&bench, &HEARS_HANGUPS, &[command]);
        if is_hangup_ignored(Path::new("/proc/self/status")) {
            continue;
        }
        process.signal_at_once(Signal::HUP);
        assert_eq!(process.wait(), Some(129), "{command}");
    }
}

/// Whether the process ignores SIGHUP. It may inherit this from the user that runs the tests, and no shell
/// can undo it.
fn is_hangup_ignored(status: &Path) -> bool {
    let status = fs::read_to_string(status).expect("of Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask"));
    ignored.expect("a mask") & 1 != 0
}

#[test]
fn g9_a_hangup_that_was_to_be_ignored_is() {
    let bench = bench(&["img-a"]);
    for command in ["plan", "reconcile"] {
        let (mut process, api) = waiting(&bench, &IGNORES_HANGUPS, &[command]);
        api.accept().expect("it calls");
        process.signal(Signal::HUP);
        process.signal(Signal::TERM);
        assert_eq!(process.wait(), Some(143), "{command}");
    }
}

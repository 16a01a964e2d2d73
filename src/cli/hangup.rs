use std::fs;
use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, for what should not outlive its terminal. Not heard where whoever started the process had it ignored, as
/// `nohup` does: to listen would undo that.
pub(super) struct Hangup(Option<Signal>);

impl Hangup {
    /// Begins to listen.
    pub(super) fn listen() -> io::Result<Self> {
        if is_ignored() {
            return Ok(Self(None));
        }
        signal(SignalKind::hangup()).map(Some).map(Self)
    }

    /// Returns when it comes.
    pub(super) async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => pending().await,
        }
    }
}

/// As Linux tells it. Where that cannot be read it is heard.
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, SignalKind::hangup())
}

/// The line is a mask in hexadecimal: bit 0 is signal 1.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).ok();
    let bit = bit.and_then(|bit| 1u64.checked_shl(bit));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::{SignalKind, ignores};

    #[test]
    fn p2_a_signal_is_ignored_if_its_bit_is_set() {
        let status = |mask| format!("Name:\tx\nSigBlk:\tffff\nSigIgn:\t{mask}\nSigCgt:\tffff\n");
        for (mask, ignored) in [
            ("0000000000000001", true),
            ("0000000000001003", true),
            ("0000000000001000", false),
            ("", false),
        ] {
            assert_eq!(
                ignores(&status(mask), SignalKind::hangup()),
                ignored,
                "{mask}"
            );
        }
        assert!(!ignores("", SignalKind::hangup()));
    }
}

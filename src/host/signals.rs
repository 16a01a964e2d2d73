//! The reception of signals, and the signals that this process was started to ignore: listening for such a signal would
//! override the wish of whoever started the process.

use std::fs;
use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::iterator::Signals;

/// Starts to receive signals. They wait in the kernel until every handler is ready: signal-hook installs a handler before
/// the handler knows what to do, and a signal between the two would be lost.
pub fn receive_signals(signals: &[i32]) -> io::Result<Signals> {
    let mut blocked = SigSet::empty();
    for signal in signals {
        blocked.add(Signal::try_from(*signal)?);
    }
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let incoming = Signals::new(signals);
    before.thread_set_mask()?;
    incoming
}

/// Whether this process was started to ignore the signal, as `nohup` does with SIGHUP. False if Linux does not show it.
pub fn is_signal_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

/// The line `SigIgn:` is a mask in hexadecimal: bit 0 is signal 1 (proc_pid_status(5)).
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal - 1).ok();
    let bit = bit.and_then(|bit| 1u64.checked_shl(bit));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGHUP;

    use super::ignores;

    #[test]
    fn p2_a_signal_is_ignored_if_its_bit_is_set() {
        let status = |mask| format!("Name:\tx\nSigBlk:\tffff\nSigIgn:\t{mask}\nSigCgt:\tffff\n");
        for (mask, ignored) in [
            ("0000000000000001", true),
            ("0000000000001003", true),
            ("0000000000001000", false),
            ("", false),
        ] {
            assert_eq!(ignores(&status(mask), SIGHUP), ignored, "{mask}");
        }
        assert!(!ignores("", SIGHUP));
    }
}

//! Data about a process from Linux's /proc: what this process uses, for `/metrics`, and when a process began.

use std::fs;
use std::time::Duration;

/// The resources that the process uses, as the operating system reports them.
#[derive(Clone, Copy, Debug)]
pub struct ProcessCounts {
    /// The memory that is in use.
    pub resident_bytes: u64,
    /// User and system processor time.
    pub cpu: Duration,
}

/// The unit in which Linux reports processor time to programs, independent of the kernel's own clock.
const TICKS_A_SECOND: u64 = 100;
/// The page size of Linux on the supported machines. If it is larger, the figure is too small.
const PAGE_BYTES: u64 = 4096;

/// Linux's figures for this process; `None` if it reports none.
pub fn process_counts() -> Option<ProcessCounts> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    parse(&stat)
}

/// When a process began, in clock ticks since the boot, from its `stat` line in /proc; `None` if it has ended and only
/// waits to be reaped.
pub(super) fn start_ticks(stat: &str) -> Option<u64> {
    let is_over = matches!(field(stat, 3)?, "Z" | "X" | "x");
    (!is_over).then(|| field(stat, 22)?.parse().ok()).flatten()
}

/// A field of the line, from the third on, counted from 1. The name in parentheses may contain any text; the state and
/// numbers follow it (proc_pid_stat(5)).
fn field(stat: &str, number: usize) -> Option<&str> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(number - 3)
}

fn parse(stat: &str) -> Option<ProcessCounts> {
    let number = |at: usize| field(stat, at)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)?;
    Some(ProcessCounts {
        resident_bytes: number(24)? * PAGE_BYTES,
        cpu: Duration::from_millis(ticks * 1000 / TICKS_A_SECOND),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_moves_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 3 0 150 25 0 0 20 0 3 0 99 4096000 250 18446744073709551615 1";
        let counts = parse(stat).expect("numbers");
        assert_eq!(counts.resident_bytes, 250 * 4096);
        assert_eq!(counts.cpu, Duration::from_millis(1750));
        assert!(parse("7 (x) S").is_none());
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(process_counts().is_none_or(|counts| counts.resident_bytes > 1 << 20));
    }
}

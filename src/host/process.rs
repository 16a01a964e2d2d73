//! What Linux says of a process in /proc: what this one uses, for `/metrics`, and when one began.

use std::fs;
use std::time::Duration;

/// What the operating system says of the process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessCounts {
    /// Memory that is in use.
    pub resident_bytes: u64,
    /// User and system time.
    pub cpu: Duration,
}

/// In which Linux counts processor time for programs, whatever the kernel's own clock is.
const TICKS_A_SECOND: u64 = 100;
/// Of Linux on the machines that this runs on. Where it is larger, the figure is too small.
const PAGE_BYTES: u64 = 4096;

/// What Linux says of this process; `None` where it says nothing.
pub fn process_counts() -> Option<ProcessCounts> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    parse(&stat)
}

/// When a process began, in clock ticks since the boot, by its line in /proc; `None` if it has ended and only waits to be
/// reaped.
pub(super) fn start_ticks(stat: &str) -> Option<u64> {
    let is_over = matches!(field(stat, 3)?, "Z" | "X" | "x");
    (!is_over).then(|| field(stat, 22)?.parse().ok()).flatten()
}

/// A field of the line, counted from 1, of those from the third on. The name in parentheses may hold anything; after it
/// come the state and then numbers (proc_pid_stat(5)).
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

//! Lines for a stream whose reader may be stuck. A separate thread writes them, so that the caller never waits. Lines
//! that fit neither into the stream nor into the queue are dropped, counted, and reported once the stream accepts more.
//! It must not know the meaning of the lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes to write at once, but at least one line.
const WRITE_BYTES: usize = 64 << 10;

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// A handle of the queue and of the thread that empties it.
#[derive(Clone)]
pub(super) struct LineQueue {
    shared: Arc<Shared>,
    bounds: Bounds,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Lines that were dropped after the last waiting one. While there are any, all new lines are dropped, so that a
    /// slow stream has a few long gaps, not many short ones.
    gap: u64,
    is_busy: bool,
    /// Counts the thread's steps, to detect progress.
    steps: u64,
}

/// The next step of the thread.
enum Step {
    Write(Vec<u8>),
    ReportGap(u64),
}

impl LineQueue {
    /// Starts the thread that writes to `stream`. It calls `report_gap` with the number of dropped lines, once all
    /// lines before them are written. The thread lasts as long as the process.
    pub(super) fn start(
        stream: impl Write + Send + 'static,
        bounds: Bounds,
        report_gap: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let queue = Self {
            shared: Arc::clone(&shared),
            bounds,
        };
        thread::Builder::new()
            .name("lines".into())
            .spawn(move || shared.write_to(stream, report_gap))?;
        Ok(queue)
    }

    /// Queues one or more lines, or drops them. Never waits for the stream.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.shared.lock();
        let is_room = state.waiting.len() < self.bounds.lines
            && state.bytes + lines.len() <= self.bounds.bytes;
        if state.gap == 0 && is_room {
            state.bytes += lines.len();
            state.waiting.push_back(lines.into());
        } else {
            let lines = lines.iter().filter(|byte| **byte == b'\n').count().max(1) as u64;
            state.gap += lines;
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The number of lines that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, unless the stream accepts nothing for as long as `patience`. Returns whether
    /// everything is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.shared.lock();
        while state.is_busy || !state.waiting.is_empty() || state.gap > 0 {
            let steps = state.steps;
            let (next, timeout) = self
                .shared
                .changed
                .wait_timeout(state, patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && state.steps == steps {
                return false;
            }
        }
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut stream: impl Write, report_gap: impl Fn(u64)) {
        loop {
            match self.next_step() {
                // There is no place to report that the stream is closed or its disk is full.
                Step::Write(lines) => drop(stream.write_all(&lines).and_then(|()| stream.flush())),
                Step::ReportGap(lines) => report_gap(lines),
            }
        }
    }

    /// Waits until there is something to do.
    fn next_step(&self) -> Step {
        let mut state = self.lock();
        state.is_busy = false;
        state.steps += 1;
        self.changed.notify_all();
        while state.waiting.is_empty() && state.gap == 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.is_busy = true;
        if state.waiting.is_empty() {
            return Step::ReportGap(std::mem::take(&mut state.gap));
        }
        let mut lines = Vec::new();
        while let Some(next) = state.waiting.front()
            && (lines.is_empty() || lines.len() + next.len() <= WRITE_BYTES)
        {
            lines.extend_from_slice(next);
            state.bytes -= next.len();
            state.waiting.pop_front();
        }
        Step::Write(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    const NO_PATIENCE: Duration = Duration::from_millis(1);

    /// A stream that blocks in each write until it is released.
    struct Valve {
        opened: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
        reached: Sender<()>,
    }

    impl Write for Valve {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.reached.send(());
            // Once the sender is dropped, the valve stays open.
            let _ = self.opened.recv();
            self.taken
                .lock()
                .expect("no panic")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        queue: LineQueue,
        taken: Arc<Mutex<Vec<u8>>>,
        /// Receives a message when a write has begun.
        reached: Receiver<()>,
        open: Sender<()>,
        gaps: Receiver<u64>,
    }

    impl Bench {
        fn new(lines: usize, bytes: usize) -> Self {
            let (open, opened) = channel();
            let (reach, reached) = channel();
            let (gap, gaps) = channel();
            let taken = Arc::default();
            let valve = Valve {
                opened,
                taken: Arc::clone(&taken),
                reached: reach,
            };
            let bounds = Bounds { lines, bytes };
            let queue = LineQueue::start(valve, bounds, move |lines| {
                gap.send(lines).expect("the test listens");
            });
            Self {
                queue: queue.expect("a thread"),
                taken,
                reached,
                open,
                gaps,
            }
        }

        /// Makes the thread block in the middle of a line.
        fn stuck(lines: usize, bytes: usize) -> Self {
            let bench = Self::new(lines, bytes);
            bench.queue.push(b"0\n");
            bench.reached.recv().expect("it writes");
            bench
        }

        fn taken(&self) -> String {
            String::from_utf8(self.taken.lock().expect("no panic").clone()).expect("text")
        }
    }

    #[test]
    fn g6_lines_are_written_in_order_and_none_is_dropped_while_there_is_room() {
        let bench = Bench::stuck(3, 1000);
        for line in ["a\n", "b\n", "c\n"] {
            bench.queue.push(line.as_bytes());
        }
        drop(bench.open.clone());
        assert!(!bench.queue.flush(NO_PATIENCE), "it stands still");
        let Bench {
            queue,
            taken,
            open,
            gaps,
            ..
        } = bench;
        drop(open);
        assert!(queue.flush(PATIENCE));
        assert_eq!(*taken.lock().expect("no panic"), b"0\na\nb\nc\n");
        assert_eq!((queue.dropped(), gaps.try_recv().is_err()), (0, true));
    }

    #[test]
    fn g6_what_does_not_fit_is_dropped_counted_and_told_of_once() {
        // Once limited by lines, once by bytes.
        for bench in [Bench::stuck(2, 1000), Bench::stuck(1000, 4)] {
            for line in ["a\n", "b\n", "c\n", "d\ne\n", "f\n"] {
                bench.queue.push(line.as_bytes());
            }
            assert_eq!(bench.queue.dropped(), 4);
            // There is room by now, but the gap has not been reported yet.
            bench.open.send(()).expect("it writes");
            bench.reached.recv().expect("it writes");
            bench.queue.push(b"g\n");
            assert_eq!(bench.queue.dropped(), 5);
            bench.open.send(()).expect("it writes");
            assert_eq!(bench.gaps.recv(), Ok(5));
            assert!(bench.queue.flush(PATIENCE));
            assert_eq!(bench.taken(), "0\na\nb\n");
            bench.queue.push(b"h\n");
            bench.open.send(()).expect("it writes");
            assert!(bench.queue.flush(PATIENCE));
            assert_eq!(bench.taken(), "0\na\nb\nh\n");
            assert!(bench.gaps.try_recv().is_err(), "once");
            assert_eq!(bench.queue.dropped(), 5);
        }
    }
}

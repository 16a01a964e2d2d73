//! PLAN → OUTCOMES: carries one scope's plan out. A state machine without I/O: it is told the time and
//! the replies, and says what should happen next. It takes no decision that the plan left open.
//!
//! Knows attempts, backoff and when to give up; knows nothing of sockets, rates or why.

mod machine;
mod order;

pub use crate::pace::Backoff;
pub use machine::{Doubt, Executor, JobId, PROBES_MAX, Step, Told};
pub use order::probing_order;

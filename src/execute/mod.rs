//! PLAN → OUTCOMES: carries one scope's plan out. A state machine without I/O: it is told the time and
//! the replies, and says what should happen next. It takes no decision that the plan left open.
//!
//! Knows attempts, backoff and when to give up; knows nothing of sockets, rates or why.

mod machine;

pub use crate::pace::Backoff;
pub use machine::{Executor, JobId, Step};

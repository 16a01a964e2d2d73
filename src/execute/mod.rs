//! PLAN → OUTCOMES: executes one scope's plan. A state machine without I/O: it takes the time and the replies, and
//! decides what should happen next. It makes no decision that the plan left open, and must not know sockets, rates, or why
//! a write was planned.
//!
//! # The life of one write
//!
//! A *write* is one image's SHARE or CANCEL in a plan, a [`WriteId`] here. An *attempt* is one time that it is sent. The
//! [`Executor`] keeps the states, and `engine::write`, which does the I/O, moves a write on:
//!
//! ```text
//!               peek            take                replied
//!   Executor ──────────► ready ──────► in flight ─────────────► settled: a LastResult
//!    ::new                 ▲ │             │
//!                          │ └─ withdraw   │ no effect (busy, never sent): backoff
//!                          │    not tried  ▼
//!                          ├─────────── waiting
//!                          └──────────── throttled: at once, at the head of the queue
//! ```
//!
//! 1. [`Executor::new`] queues the plan's writes in [`probing_order()`].
//! 2. [`Executor::next`] answers [`Step::Send`] while writes are ready and there is room; [`Executor::peek`] shows the next
//!    one, and the engine records its intent and waits for a permit to call.
//! 3. [`Executor::take`] puts it in flight, unless a stop or a pause came in between. A write that a last check forbids is
//!    withdrawn instead ([`Executor::withdraw`]), and counts as not tried unless an earlier attempt had no effect.
//! 4. [`Executor::replied`] decides what the reply means: settled, repeated after a [`Backoff`], or settled as unclear,
//!    which only the next observation resolves. There is one copy of each write, so one call in flight per image.
//! 5. [`Executor::outcomes`] gives the [`LastResult`](crate::attempts::LastResult) of each write that was tried.

mod access;
mod executor;
mod probing_order;

pub use crate::pace::Backoff;
pub use access::{AccessEvidence, PROBES_MAX, WriteAccess};
pub use executor::{Executor, Step, WriteId};
pub use probing_order::probing_order;

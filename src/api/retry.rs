//! Decides when a call that changes nothing is repeated, and after which pause. It must not know what is read. Writes
//! are not repeated here: `execute` decides about each, and an image is written again only if it could be read again.

use std::time::Duration;

use super::context::ClientContext;
use super::error::{CallError, Class, Refusal};
use crate::host::Host;
use crate::pace::{Backoff, RetryBudget};

/// The number of attempts for one call. With every tenth reply lost, five in a row fail once in 100,000 calls.
const ATTEMPTS_MAX: u32 = 5;
/// The limit for throttled replies, which are not the call's fault.
const THROTTLED_MAX: u32 = 30;
/// The pause between two attempts of one call.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(2),
};

/// Repeats a read as long as that may help and the budget allows it, with backoff and full jitter.
pub(super) async fn while_it_helps<H: Host, T, F>(
    context: &ClientContext<H>,
    budget: &RetryBudget,
    mut call: impl FnMut() -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let (mut attempts, mut throttled) = (1, 0);
    loop {
        let error = match call().await {
            Ok(reply) => {
                budget.succeeded();
                return Ok(reply);
            }
            Err(error) => error,
        };
        match &error {
            CallError::Refused(Refusal {
                class: Class::Throttled(_),
                ..
            }) if throttled < THROTTLED_MAX => {
                // The bucket has slowed down, so the call waits there.
                throttled += 1;
                context.calls.repeated();
                continue;
            }
            error if attempts < ATTEMPTS_MAX && error.may_pass() && budget.take() => {}
            _ => return Err(error),
        }
        tracing::debug!(attempts, %error, "reading again");
        pause(context, attempts).await;
        attempts += 1;
    }
}

/// Waits before a failed read is repeated; `attempt` counts from 1.
pub async fn pause<H: Host>(context: &ClientContext<H>, attempt: u32) {
    context.calls.repeated();
    let host = &context.host;
    let delay = BACKOFF.delay(attempt, host.next_f64());
    host.sleep_until(host.monotonic() + delay).await;
}

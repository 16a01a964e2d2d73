//! Checks for reasons that may forbid a write after it was planned: the time, a person's request, or other credentials.
//! Each check uses the present state. Only the check of the ledger waits, so it comes first: the findings of the others
//! must still hold when the call is sent.

use std::time::Duration;

use super::context::ScopeContext;
use super::plan_scope::PlannedScope;
use crate::api::WritePermit;
use crate::api::error::Refusal;
use crate::host::Host;
use crate::ledger::{Attempt, Ledger, WriteRefused};
use crate::model::{Cause, ImageId, Monotonic};
use crate::plan::Decision;

/// The ledger is asked again for requests of people if the intent was recorded longer ago than this. A shorter time
/// would mean a request before every call while the permit queue is busy.
const RECHECK_AFTER: Duration = Duration::from_millis(250);

/// Why a write is not sent although its intent is recorded. The outcome in the history quotes it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error("a change window closed")]
    WindowClosed,
    /// The time at which a share begins or ends has come meanwhile.
    #[error("the manifests ask for another state from this time on")]
    DesireChanged,
    /// A person has forbidden it meanwhile, or the ledger failed.
    #[error(transparent)]
    WriteRefused(#[from] WriteRefused),
    #[error("the credentials changed since the plan was made")]
    CredentialsChanged,
    /// The account is broken, so there is no permit.
    #[error("{0}")]
    NotPermitted(Refusal),
    /// Nothing forbids it, but the pass stops or pauses, or the image was seen too long ago.
    #[error("it gave up its turn")]
    GivenUp,
}

/// Whether a write would be sent with the same credentials that its scope was observed with.
pub(super) fn is_planned_with(planned: &PlannedScope, permit: &WritePermit) -> bool {
    let version = planned.owner.as_ref().map(|owner| owner.version);
    version.is_none_or(|version| version == permit.version())
}

/// Checks whether a person has forbidden a write since its intent was recorded at `recorded_at`. This may take as long
/// as the ledger does, so everything that depends on the time must be checked after it, by [`still_asked`].
pub(super) async fn still_allowed<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    attempt: &Attempt,
    recorded_at: Monotonic,
) -> Result<(), NotSent> {
    let ledger = context.engine.ledger;
    let is_recent = context.host().monotonic().since(recorded_at) < RECHECK_AFTER;
    if is_recent && !ledger.is_verifying() {
        return Ok(());
    }
    Ok(ledger.recheck_forbidden(attempt).await?)
}

/// Checks that a write is still desired and its window still open, by this machine's clock and by the access point's.
pub(super) fn still_asked<H: Host, L: Ledger>(
    context: &ScopeContext<'_, H, L>,
    planned: &PlannedScope,
    image: &ImageId,
    decision: &Decision,
) -> Result<(), NotSent> {
    let (windows, cause) = (&context.task.windows, decision.cause);
    let clocks = context.clocks();
    let named = planned.desired_image(context.task, image);
    let is_asked = |now| named.is_none_or(|image| image.share.at(now).0 == decision.desired);
    if cause == Cause::Retention && clocks.api().is_some() {
        // While the clocks disagree, nothing is retired. A revocation was already in force by both of them.
        Err(NotSent::DesireChanged)
    } else if !clocks.all(|now| windows.is_open(cause, now)) {
        Err(NotSent::WindowClosed)
    } else if !clocks.all(is_asked) {
        Err(NotSent::DesireChanged)
    } else {
        Ok(())
    }
}

//! Runs blocking file work beside the single thread that everything else runs on.

use std::future::pending;
use std::panic::resume_unwind;

/// Runs what blocks, such as reading files and parsing them, on a thread of its own, so that the one that all else
/// runs on goes on meanwhile. Whoever drops the future leaves the work to end by itself.
pub async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => pending().await,
        },
    }
}

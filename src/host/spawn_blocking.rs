//! Runs blocking file work beside the single thread that runs everything else.

use std::future::pending;
use std::panic::resume_unwind;

/// Runs blocking work, such as reading and parsing files, on a separate thread, so that the main thread continues
/// meanwhile. If the future is dropped, the work still runs to its end.
pub async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down, and the waiting task ends with it.
            Err(_) => pending().await,
        },
    }
}

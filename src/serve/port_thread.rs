//! The port's own thread, which lives as long as the engine's end of the border.

use std::io;
use std::panic::AssertUnwindSafe;
use std::thread;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::StatusServer;
use super::border::PortEnd;
use crate::host::Clock;

/// The thread that serves the port.
pub struct PortThread(oneshot::Receiver<bool>);

impl StatusServer {
    /// Serves on a separate thread until the engine's end of the border is dropped. An error or panic there ends only the
    /// port.
    pub fn spawn<C>(self, engine: PortEnd<C>) -> io::Result<PortThread>
    where
        C: Clock + Send + Sync + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let (sender, ended) = oneshot::channel();
        thread::Builder::new()
            .name("status-port".into())
            .spawn(move || {
                let served = AssertUnwindSafe(self.serve(engine)).catch_unwind();
                let is_well = match runtime.block_on(served) {
                    Ok(Ok(())) => true,
                    Ok(Err(error)) => {
                        tracing::error!(%error, "the status port cannot be served");
                        false
                    }
                    Err(_) => {
                        tracing::error!(
                            "a bug in sharekeeper ended the status port; the daemon continues without it; please report it"
                        );
                        false
                    }
                };
                // Nobody waits for a document that is still being rendered.
                runtime.shutdown_background();
                let _ = sender.send(is_well);
            })?;
        Ok(PortThread(ended))
    }
}

impl PortThread {
    /// Returns once nothing is served any longer, with true if the engine's end was the reason.
    pub async fn ended(self) -> bool {
        self.0.await.unwrap_or_default()
    }
}

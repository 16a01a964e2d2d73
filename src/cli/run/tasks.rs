//! The tasks beside the daemon: each waits for one external thing, and ends only by a fault.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::{Notify, mpsc};

use crate::api::ClientContext;
use crate::cli::output::Failure;
use crate::cli::signals::SignalListener;
use crate::cli::status_server::DaemonView;
use crate::daemon::{self, PassRunner, StatusPublisher};
use crate::engine::Stop;
use crate::host::{
    Clock, Supervisor, System, SystemClock, SystemCommandRunner, SystemRng, SystemWatch,
};
use crate::serve::{EngineEnd, PortThread};
use crate::source::{self, Update};
use crate::store::{Recovery, Store};
use crate::webhooks::DeliveryWorker;

pub(super) async fn stop_on_signals(signals: &SignalListener, stop: &Stop) -> Failure {
    match signals.stop_work(stop).await {}
}

/// Reads everything again at each SIGHUP, including one from before the daemon began. After that, all scopes are
/// observed and tried again.
pub(super) async fn reload_on_hangup(
    signals: &SignalListener,
    reload: &Notify,
    supervisor: &Supervisor,
) -> Failure {
    let mut seen = 0;
    loop {
        seen = signals.hung_up(seen).await;
        supervisor.reloading();
        reload.notify_one();
    }
}

/// Passes the updates of the manifests' source to the daemon, and notifies the supervisor when a reload is done.
pub(super) async fn feed(
    settings: source::Settings,
    updates: &mpsc::Sender<Update>,
    reload: Rc<Notify>,
    supervisor: &Supervisor,
) -> Failure {
    let (sender, mut arriving) = mpsc::channel::<Update>(1);
    let hand_on = std::pin::pin!(async {
        while let Some(update) = arriving.recv().await {
            let was_asked_for = matches!(update, Update::Asked);
            // This fails only once the daemon has ended, and this task ends with it.
            let _ = updates.send(update).await;
            if was_asked_for {
                supervisor.ready();
            }
        }
    });
    let ports = source::Ports {
        clock: SystemClock::start(),
        rng: SystemRng,
        programs: SystemCommandRunner,
        watch: SystemWatch::new(),
    };
    let feed = std::pin::pin!(source::feed(settings, ports, sender, reload));
    select(feed, hand_on).await;
    Failure::new("the task that watches the manifests has ended")
}

pub(super) async fn deliver_webhooks(
    worker: DeliveryWorker,
    context: &ClientContext<System>,
) -> Failure {
    worker.run(&context.host).await;
    Failure::new("the task that delivers to webhooks has ended")
}

/// Answers the requests of the status port. If the port ends by a fault, which its thread reports, work continues.
pub(super) async fn feed_status(engine: EngineEnd<SystemClock>, view: Rc<DaemonView>) -> Failure {
    match engine.feed(&*view).await {}
}

/// Waits until the port's thread has noticed the end, so that nothing is served any longer.
pub(super) async fn port_ended(thread: PortThread, context: &ClientContext<System>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let host = &context.host;
    let late = pin!(host.sleep_until(host.monotonic() + PATIENCE));
    select(pin!(thread.ended()), late).await;
}

/// Checks the state even while nothing is written, so that the status port and the supervisor soon report that it
/// cannot be used, and reopens it once it can be written again. Ends if another state has replaced it by then.
pub(super) async fn check_state(
    store: &Store,
    context: &ClientContext<System>,
    publisher: &StatusPublisher<System>,
) -> Failure {
    const CHECK_INTERVAL: Duration = Duration::from_secs(10);
    loop {
        match store.recover().await {
            Recovery::Writable => {}
            // The daemon learns from the store itself that no work is possible.
            Recovery::Failing(error) => tracing::debug!(%error, "the state cannot be written"),
            Recovery::Gone(error) => {
                return Failure::new(format_args!("the state cannot be opened again: {error}"));
            }
        }
        publisher.state_hindered(store.oversized_log());
        let host = &context.host;
        host.sleep_until(host.monotonic() + CHECK_INTERVAL).await;
    }
}

/// Keeps the store from waiting long for other processes once a stop was requested.
pub(super) async fn hurry_state(store: &Store, stop: &Stop) -> Failure {
    stop.tripped().await;
    store.stop();
    std::future::pending().await
}

/// Shows suspensions and closed windows even while nothing is due.
pub(super) async fn watch_holds<W: PassRunner<System>>(
    work: &W,
    context: &ClientContext<System>,
    publisher: &StatusPublisher<System>,
) -> Failure {
    match daemon::watch_holds(work, &context.host, publisher).await {}
}

pub(super) async fn report_to_supervisor(
    supervisor: &Supervisor,
    context: &ClientContext<System>,
    publisher: &StatusPublisher<System>,
) -> Failure {
    match daemon::report_to_supervisor(supervisor, context, publisher).await {}
}

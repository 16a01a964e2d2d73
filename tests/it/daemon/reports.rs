//! What the daemon logs and reports of causes that affect many images.

use super::*;

/// Collects the warnings that this thread logs until the guard is dropped.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Warnings {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let warnings = Self::default();
        let writer = warnings.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        (warnings, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("logs are UTF-8");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl std::io::Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().expect("not poisoned");
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a daemon on eight images in each of twelve regions, for an hour with `behaviour` and for an hour without faults.
/// Asserts that the first hour has one warning, which covers all of these images, and that the second hour has one
/// transition, which ends it. Returns the warning.
async fn only_warning(behaviour: Behaviour) -> String {
    let world = World::new(71, REGIONAL);
    let wanted = world.add_to_share(&regions(12), 8);
    world.behave(behaviour);
    let (warnings, _guard) = Warnings::start();
    let result = RefCell::default();
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        let warned = warnings.lines();
        assert_eq!(live.transitions().len(), 1, "{warned:#?}");
        world.behave(Behaviour::default());
        live.update(Update::Asked).await;
        live.pass(3600).await;
        result.replace((warned, live.transitions()));
    })
    .await;
    let (mut warned, ended) = result.into_inner();
    assert_eq!(warned.len(), 1, "{warned:#?}");
    let line = warned.remove(0);
    assert!(line.contains("and 4 more"), "all regions: {line}");
    assert!(line.contains("images=96"), "{line}");
    let end = (TransitionKind::Recovered, "account default".to_owned());
    assert_eq!(ended, [end]);
    line
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_reports_a_broken_account_in_one_line() {
    let line = only_warning(Behaviour {
        refuse: Box::new(|_, _, _| Some("AuthFailure.SecretIdNotFound")),
        ..Behaviour::default()
    })
    .await;
    assert!(line.contains("account default"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_reports_dead_access_points_in_one_line() {
    only_warning(Behaviour {
        fault: Box::new(|_, _, _| Some(Fault::NotSent)),
        ..Behaviour::default()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_reports_a_missing_permission_in_one_line() {
    only_warning(Behaviour {
        refuse: Box::new(|action, _, _| {
            let is_write = action == "ModifyImageSharePermission";
            is_write.then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    })
    .await;
}

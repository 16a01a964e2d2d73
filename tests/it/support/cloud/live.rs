//! Runs the daemon on the small cloud while the script of a test runs at the same time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sharekeeper::api::Connection;
use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::daemon::{
    Connect, Daemon, Observer, PassRunner, Reconciler, Settings, StatusPublisher,
};
use sharekeeper::desired::{Account, Desired};
use sharekeeper::engine::{Stop, StopReason};
use sharekeeper::model::{AccountName, Endpoint, ImageId, Scope, Secret, Selector};
use sharekeeper::plan::Policy;
use sharekeeper::source::{Generation, ManifestProblem, Update};
use sharekeeper::status::{ImageStatus, Transition, TransitionKind};
use tokio::sync::mpsc;

use super::world::{TEN_MINUTES, World};
use super::{Cloud, scope_of};

pub(crate) const INTERVAL: Duration = Duration::from_secs(300);

/// Everything that a script can do to a daemon and observe of it.
pub(crate) struct Live<'w> {
    pub(crate) world: &'w World,
    pub(crate) publisher: Rc<StatusPublisher<Cloud>>,
    updates: mpsc::Sender<Update>,
    transitions: Rc<RefCell<Vec<Transition>>>,
}

/// Connects with the key of the world and at the rate of the `Account` document, unless a test sets other values.
pub(crate) struct Keys<'w> {
    pub(crate) world: &'w World,
    /// The reason why there are no credentials, if they are missing.
    pub(crate) missing: RefCell<Option<String>>,
}

impl Connect for Keys<'_> {
    fn connect(
        &self,
        name: &AccountName,
        document: Option<&Account>,
    ) -> Result<Connection, String> {
        if let Some(why) = &*self.missing.borrow() {
            return Err(why.clone());
        }
        let connection = self.world.connection();
        let rate = document.and_then(|document| document.rate);
        Ok(Connection {
            account: name.clone(),
            rate: rate.unwrap_or(connection.rate),
            ..connection
        })
    }
}

/// Gives each account its own key and access point. Both contain the name of the account.
pub(crate) struct Apart<'w>(pub &'w World);

/// The uin of each of these keys, for a cloud that distinguishes the accounts ([`super::Behaviour::uins`]).
pub(crate) fn apart(names: &[String]) -> BTreeMap<&'static str, &'static str> {
    let uins = (100_000_000_100_u64..).zip(names);
    let leaked = |text: String| &*text.leak();
    uins.map(|(uin, name)| (leaked(format!("AKID{name}")), leaked(uin.to_string())))
        .collect()
}

impl Connect for Apart<'_> {
    fn connect(&self, name: &AccountName, _: Option<&Account>) -> Result<Connection, String> {
        let endpoint = format!("https://{name}.{{region}}.tencentcloudapi.com");
        let key = Credentials::new(format!("AKID{name}"), Secret::new("key".into()), None);
        Ok(Connection {
            account: name.clone(),
            endpoint: Endpoint::new(&endpoint).expect("an endpoint"),
            provider: sharekeeper::api::CredentialProvider::fixed(key),
            ..self.0.connection()
        })
    }
}

pub(crate) fn settings(policy: Policy) -> Settings {
    Settings {
        interval: INTERVAL,
        timeout: TEN_MINUTES,
        warn_before: Duration::from_secs(3600),
        policy,
        selector: Selector::default(),
    }
}

/// Runs a daemon that reconciles until the script of the test ends.
pub(crate) async fn reconciling<'w>(
    world: &'w World,
    script: impl AsyncFnOnce(&Live<'w>),
) -> StopReason {
    let work = Reconciler {
        ledger: &world.ledger,
    };
    run(world, &work, settings(Policy::default()), script).await
}

/// Runs a daemon that only observes until the script of the test ends.
pub(crate) async fn observing<'w>(
    world: &'w World,
    script: impl AsyncFnOnce(&Live<'w>),
) -> StopReason {
    let work = Observer {
        ledger: &world.ledger,
    };
    run(world, &work, settings(Policy::default()), script).await
}

pub(crate) async fn run<'w, W: PassRunner<Cloud>>(
    world: &'w World,
    work: &W,
    settings: Settings,
    script: impl AsyncFnOnce(&Live<'w>),
) -> StopReason {
    let keys = Keys {
        world,
        missing: RefCell::default(),
    };
    run_with(world, work, &keys, settings, script).await
}

pub(crate) async fn run_with<'w, W: PassRunner<Cloud>>(
    world: &'w World,
    work: &W,
    keys: &Keys<'w>,
    settings: Settings,
    script: impl AsyncFnOnce(&Live<'w>),
) -> StopReason {
    run_connected(world, work, keys, settings, script).await
}

/// Runs a daemon with another source of credentials.
pub(crate) async fn run_connected<'w, W: PassRunner<Cloud>>(
    world: &'w World,
    work: &W,
    keys: &dyn Connect,
    settings: Settings,
    script: impl AsyncFnOnce(&Live<'w>),
) -> StopReason {
    let transitions = Rc::new(RefCell::new(Vec::new()));
    let recorded = Rc::clone(&transitions);
    let record = move |new: &[Transition]| recorded.borrow_mut().extend_from_slice(new);
    let publisher = StatusPublisher::new(Rc::clone(&world.context), "test".into(), false, record);
    let (updates, queue) = mpsc::channel(8);
    let stop = Stop::default();
    let daemon = Daemon::new(
        Rc::clone(&world.context),
        work,
        keys,
        settings,
        Rc::clone(&publisher),
        &|_| {},
    );
    let live = Live {
        world,
        publisher,
        updates,
        transitions,
    };
    let script = async {
        script(&live).await;
        stop.trip(StopReason::Terminated);
    };
    let (reason, ()) = tokio::join!(daemon.run(queue, &stop), script);
    reason
}

impl Live<'_> {
    pub(crate) async fn load(&self, desired: Desired) {
        self.load_partial(desired, &[]).await;
    }

    /// Loads new manifests, of which some were left out because of these problems.
    pub(crate) async fn load_partial(&self, desired: Desired, problems: &[&str]) {
        self.update(Update::Loaded(Box::new(Generation {
            desired: Rc::new(desired),
            commit: None,
            warnings: Vec::new(),
            problems: problems
                .iter()
                .map(|line| ManifestProblem::Repository((*line).to_owned()))
                .collect(),
        })))
        .await;
    }

    pub(crate) async fn update(&self, update: Update) {
        assert!(self.updates.send(update).await.is_ok(), "the daemon runs");
    }
    pub(crate) async fn pass(&self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds)).await;
    }

    /// Advances the time in steps of one second until `what` holds. Returns the number of seconds.
    pub(crate) async fn until(&self, what: impl Fn(&Self) -> bool) -> u64 {
        const PATIENCE: u64 = 3 * 3600;
        for seconds in 0..PATIENCE {
            if what(self) {
                return seconds;
            }
            self.pass(1).await;
        }
        panic!("it does not come about");
    }

    /// Whether everything in the region is as desired and was observed.
    pub(crate) fn in_sync(&self, region: &str) -> bool {
        self.publisher.board(|board| {
            let scope = board.scopes().get(&scope(region));
            scope.is_some_and(|scope| {
                !scope.images.is_empty() && scope.images.values().all(|image| image.ready.holds())
            })
        })
    }

    pub(crate) fn image(&self, region: &str, image: &str) -> ImageStatus {
        let image = ImageId::new(image).expect("an id");
        self.publisher
            .board(|board| board.scopes()[&scope(region)].images[&image].clone())
    }

    /// The transitions that were reported since the last call.
    pub(crate) fn transitions(&self) -> Vec<(TransitionKind, String)> {
        let transitions = std::mem::take(&mut *self.transitions.borrow_mut());
        transitions
            .into_iter()
            .map(|transition| (transition.kind, transition.subject.to_string()))
            .collect()
    }
}

/// What happened in each of these transitions, whatever it happened to.
pub(crate) fn kinds(transitions: &[(TransitionKind, String)]) -> Vec<TransitionKind> {
    transitions.iter().map(|(kind, _)| *kind).collect()
}

/// A region of the account `default`.
pub(crate) fn scope(region: &str) -> Scope {
    scope_of(AccountName::DEFAULT, region)
}

//! A world for the tests of the engine: a cloud, clients for it and a ledger.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::api::{ClientContext, Connection, CredentialProvider, ReadClient, WriteClient};
use sharekeeper::desired::Desired;
use sharekeeper::engine::{Engine, RegionViews, ScopeOutcome, Stop, Task, preview};
use sharekeeper::host::Clock;
use sharekeeper::ledger::Ledger;
use sharekeeper::model::{AccountName, Endpoint, Region, Secret, Selector, Uin};
use sharekeeper::plan::Policy;
use sharekeeper::report::{CallCounts, Ending, ReconcileDocument};

use super::{Behaviour, Cloud, Recorded, Silent, desired};

pub(crate) const TEN_MINUTES: Duration = Duration::from_secs(600);
pub(crate) const GLOBAL: &str = "https://lighthouse.intl.tencentcloudapi.com";
pub(crate) const REGIONAL: &str = "https://lighthouse.{region}.tencentcloudapi.com";

/// A cloud and one installation of sharekeeper that works on it. Each `reconcile` is a separate run.
pub(crate) struct World {
    pub(crate) context: Rc<ClientContext<Cloud>>,
    pub(crate) endpoint: &'static str,
    /// The uin that the `Account` document names, if it names one.
    pub(crate) uin: Option<&'static str>,
    /// The largest number of writes in a second.
    pub(crate) rate: u32,
    /// The credentials of the calls. Without them, one permanent key is used.
    pub(crate) keys: Option<Rc<CredentialProvider>>,
    pub(crate) ledger: Recorded,
}

/// The result of one run.
pub(crate) struct Ended {
    pub(crate) scopes: Vec<ScopeOutcome>,
    pub(crate) json: serde_json::Value,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl World {
    /// Adds `count` images to each region that are not shared, and returns the desired state that shares them.
    pub(crate) fn add_to_share(&self, regions: &[&'static str], count: usize) -> Desired {
        for region in regions {
            for n in 0..count {
                self.cloud().add(region, &id(n), false);
            }
        }
        to_share(regions, count)
    }

    pub(crate) fn new(seed: u64, endpoint: &'static str) -> Self {
        let context = ClientContext::new(Cloud::new(seed));
        Self {
            ledger: Recorded::new(&context),
            context,
            endpoint,
            uin: None,
            rate: 19,
            keys: None,
        }
    }

    /// A world whose manifests name the account that must own the key.
    pub(crate) fn of_account(uin: &'static str, seed: u64, endpoint: &'static str) -> Self {
        Self {
            uin: Some(uin),
            ..Self::new(seed, endpoint)
        }
    }

    /// A second installation on the same cloud, with its own state directory.
    pub(crate) fn beside(&self) -> Self {
        Self {
            context: Rc::clone(&self.context),
            endpoint: self.endpoint,
            uin: self.uin,
            rate: self.rate,
            keys: self.keys.clone(),
            ledger: Recorded::new(&self.context),
        }
    }

    pub(crate) fn cloud(&self) -> &Cloud {
        &self.context.host
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.cloud().behaviour.borrow_mut() = behaviour;
    }

    pub(crate) fn client(&self) -> ReadClient<Cloud> {
        ReadClient::new(Rc::clone(&self.context), self.connection())
    }

    pub(crate) fn connection(&self) -> Connection {
        let credentials = Credentials::new("AKIDtest".into(), Secret::new("key".into()), None);
        let endpoint = Endpoint::new(self.endpoint).expect("an endpoint");
        Connection {
            account: AccountName::default(),
            uin: self.uin.map(|uin| Uin::new(uin).expect("a uin")),
            endpoint,
            rate: self.rate,
            provider: self
                .keys
                .clone()
                .unwrap_or_else(|| CredentialProvider::fixed(credentials)),
        }
    }
    pub(crate) async fn pass(&self, time: Duration) {
        let cloud = self.cloud();
        cloud.sleep_until(cloud.monotonic() + time).await;
    }

    pub(crate) async fn reconcile(&self, desired: &Desired) -> Ended {
        self.reconcile_until(desired, &Stop::default()).await
    }

    pub(crate) async fn reconcile_until(&self, desired: &Desired, stop: &Stop) -> Ended {
        self.reconcile_as(desired, &Policy::default(), stop).await
    }

    pub(crate) async fn reconcile_under(&self, desired: &Desired, policy: &Policy) -> Ended {
        self.reconcile_as(desired, policy, &Stop::default()).await
    }

    async fn reconcile_as(&self, desired: &Desired, policy: &Policy, stop: &Stop) -> Ended {
        let selector = Selector::default();
        self.run(&task(desired, &selector, policy), stop).await
    }

    /// What a preview finds in each scope. It writes nothing.
    pub(crate) async fn preview(&self, task: &Task<'_>) -> Vec<ScopeOutcome> {
        let accounts = BTreeMap::from([(AccountName::default(), self.client())]);
        preview(&accounts, &self.ledger, task).await
    }

    pub(crate) async fn run(&self, task: &Task<'_>, stop: &Stop) -> Ended {
        let accounts = BTreeMap::from([(AccountName::default(), WriteClient::new(self.client()))]);
        let engine = Engine {
            ledger: &self.ledger,
            listener: &Silent,
            stop,
            views: &RegionViews::default(),
        };
        let started = self.cloud().monotonic();
        let scopes = engine.reconcile(&accounts, task, TEN_MINUTES).await;
        let took = self.cloud().monotonic().since(started);
        let calls = CallCounts {
            reads: self.context.calls.reads.get(),
            writes: self.context.calls.writes.get(),
            throttled: self.context.calls.throttled.get(),
        };
        let ending = Ending {
            lost: self.ledger.failure().map(|lost| lost.to_string()),
            stopped: stop.reason(),
            calls,
            elapsed: took,
        };
        let document = ReconcileDocument::new(&scopes, ending, &[]);
        Ended {
            json: serde_json::to_value(&document).expect("JSON"),
            text: document.text().to_owned(),
            scopes,
            took,
        }
    }
}

impl Ended {
    pub(crate) fn exit(&self) -> u64 {
        self.json["exit_code"].as_u64().expect("a number")
    }

    /// The message about an image in the document.
    pub(crate) fn message(&self, image: &str) -> &str {
        let mut images = self.json["images"].as_array().expect("a list").iter();
        let report = images.find(|report| report["image_id"] == image);
        let message = report.expect("is reported")["message"].as_str();
        message.expect("a message")
    }

    /// Each image with its outcome.
    pub(crate) fn outcomes(&self) -> Vec<(&str, &str)> {
        let images = self.json["images"].as_array().expect("a list").iter();
        images
            .map(|i| {
                (
                    i["image_id"].as_str().expect("id"),
                    i["outcome"].as_str().expect("outcome"),
                )
            })
            .collect()
    }
}

/// A task that no saved plan limits.
pub(crate) fn task<'a>(
    desired: &'a Desired,
    selector: &'a Selector,
    policy: &'a Policy,
) -> Task<'a> {
    Task {
        desired,
        selector,
        policy,
        approved_by_scope: None,
    }
}

pub(crate) fn regions(count: usize) -> Vec<&'static str> {
    Region::all().take(count).map(Region::as_str).collect()
}

pub(crate) fn id(n: usize) -> String {
    format!("img-{n:04}")
}

/// The desired state that shares `count` images in each region.
pub(crate) fn to_share(regions: &[&'static str], count: usize) -> Desired {
    let images = |region| (0..count).map(move |n| (region, id(n), true));
    desired(regions.iter().copied().flat_map(images))
}

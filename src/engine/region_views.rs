//! Recent observations of each region of an account, for policies that span several regions. Each observer of a region
//! posts its result here; a region that nobody has observed lately is read once, for all that need it. It must not know
//! how policies use a view.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::api::ReadClient;
use crate::host::Host;
use crate::listing;
use crate::model::{KeyDigest, Monotonic, Region, Scope};
use crate::observation::{CvmImages, Observation, ObservedAt, OwnImages, Seen};
use crate::resolve::RegionView;

/// The maximum age of a view of another region. By default, a daemon's passes are closer together than this, so that
/// each region is read by its own pass alone.
const VIEW_AGE_MAX: Duration = Duration::from_secs(600);

/// How long other passes do not wait for a region that could not be observed.
const FAILURE_AGE_MAX: Duration = Duration::from_secs(60);

/// The caller, its key, and the region. Another key may belong to another account.
type ViewKey = (Rc<str>, Option<KeyDigest>, Region);

/// All views of this process.
#[derive(Debug, Default)]
pub struct RegionViews(RefCell<BTreeMap<ViewKey, Rc<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    /// Held while a task reads the region.
    reading: Arc<Mutex<()>>,
    view: RefCell<Option<(Rc<RegionView>, ObservedAt)>>,
    /// When an attempt to observe the region last failed.
    failed_at: Cell<Option<Monotonic>>,
}

impl RegionViews {
    fn slot<H: Host>(&self, client: &ReadClient<H>, region: Region) -> Rc<Slot> {
        let key = (client.caller_id(), client.key_at_hand(region), region);
        Rc::clone(self.0.borrow_mut().entry(key).or_default())
    }

    /// Keeps others from reading the region until the guard is dropped: the caller observes it and posts the result.
    pub(super) async fn observing<H: Host>(
        &self,
        client: &ReadClient<H>,
        region: Region,
    ) -> OwnedMutexGuard<()> {
        let slot = self.slot(client, region);
        Arc::clone(&slot.reading).lock_owned().await
    }

    /// Stores what was seen of a region by requests made at `at`. Without own images, it cannot serve as a view.
    pub(super) fn post<H: Host>(
        &self,
        client: &ReadClient<H>,
        region: Region,
        seen: &Seen,
        at: ObservedAt,
    ) {
        let OwnImages::Known(own) = &seen.own else {
            return;
        };
        let shared = seen.shared.iter();
        let shared = shared.filter(|(image, _)| own.contains_key(*image));
        let view = RegionView {
            own: own.clone(),
            cvm: seen.cvm.clone(),
            shared: shared
                .map(|(image, blueprint)| (image.clone(), blueprint.clone()))
                .collect(),
        };
        let slot = self.slot(client, region);
        slot.failed_at.set(None);
        *slot.view.borrow_mut() = Some((Rc::new(view), at));
    }

    /// A view of the region that is recent enough, if there is one. With `needs_cvm`, it must include CVM's data.
    pub(super) fn recent<H: Host>(
        &self,
        client: &ReadClient<H>,
        region: Region,
        needs_cvm: bool,
    ) -> Option<Rc<RegionView>> {
        let slot = self.slot(client, region);
        let host = &client.context().host;
        let now = ObservedAt::new(host.monotonic(), host.now());
        let view = slot.view.borrow();
        let (view, at) = view.as_ref()?;
        let is_enough = !needs_cvm || view.cvm != CvmImages::NotAsked;
        (is_enough && at.age(now) < VIEW_AGE_MAX).then(|| Rc::clone(view))
    }

    /// Notes that the region could not be observed, so that others do not wait for it for a while.
    pub(super) fn failed<H: Host>(&self, client: &ReadClient<H>, region: Region) {
        let now = client.context().host.monotonic();
        self.slot(client, region).failed_at.set(Some(now));
    }

    /// Whether an attempt to observe the region failed a moment ago.
    pub(super) fn has_failed<H: Host>(&self, client: &ReadClient<H>, region: Region) -> bool {
        let now = client.context().host.monotonic();
        let failed_at = self.slot(client, region).failed_at.get();
        failed_at.is_some_and(|at| now.since(at) < FAILURE_AGE_MAX)
    }

    /// The region's view, read now if there is none that is recent enough. `None` if the region cannot be observed.
    pub(super) async fn read<H: Host>(
        &self,
        client: &ReadClient<H>,
        scope: &Scope,
        needs_cvm: bool,
    ) -> Option<Rc<RegionView>> {
        let _observing = self.observing(client, scope.region).await;
        if let Some(view) = self.recent(client, scope.region, needs_cvm) {
            return Some(view);
        }
        if self.has_failed(client, scope.region) {
            return None;
        }
        let (observation, times) = listing::observe_dated(client, scope, &|_| {}).await;
        let Observation::Seen(mut seen) = observation else {
            self.failed(client, scope.region);
            return None;
        };
        seen.own = listing::own_images(client, scope).await;
        if !matches!(seen.own, OwnImages::Known(_)) {
            self.failed(client, scope.region);
        }
        if needs_cvm {
            seen.cvm = listing::cvm_images(client, scope).await;
        }
        self.post(client, scope.region, &seen, times.oldest);
        self.recent(client, scope.region, needs_cvm)
    }
}

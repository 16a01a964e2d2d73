//! The reading client of one account: which data can be requested, at which access point and at which rate. It cannot
//! write; [`super::WriteClient`] adds the one writing action. The steps of a call are in `call`.

use std::rc::Rc;
use std::time::Duration;

use super::clocks::{AccessPoint, Caller};
use super::context::ClientContext;
use super::credential_status::LatestStatus;
use super::credentials::{CredentialError, CredentialProvider};
use super::error::{CallError, Refusal};
use super::protocol::wire::{
    Action, DescribeBlueprintsReply, DescribeBlueprintsRequest, DescribeCvmImagesReply,
    DescribeCvmImagesRequest, DescribeImagesReply, DescribeImagesRequest, DescribeInstancesReply,
    DescribeInstancesRequest, Filter, PAGE_LIMIT_MAX, Service,
};
use super::retry;
use super::retry_budgets::RetryTarget;
use crate::host::Host;
use crate::model::{AccountName, Clocks, Endpoint, ImageId, Region, Uin};
use crate::observation::ObservedAt;
use crate::pace::{BucketKey, CallGroup, GroupCall, Pace, RateClaim, RetryBudget};

/// The default for writes a second. It is below the quota of 20, which the console shares.
pub const DEFAULT_RATE: u32 = 19;

/// The access point and the identity for calls.
pub struct Connection {
    /// The account's name in the manifests.
    pub account: AccountName,
    /// The account that the key must belong to. If given, STS is asked before the first call, and no call is made
    /// unless it confirms the account. If not, STS is not asked, because the key may lack the permission for it.
    pub uin: Option<Uin>,
    pub endpoint: Endpoint,
    /// Writes a second per access point, 1 to 20.
    pub rate: u32,
    /// Provides the credentials for calls.
    pub provider: Rc<CredentialProvider>,
}

/// One account's client without any method that writes.
pub struct ReadClient<H> {
    pub(super) context: Rc<ClientContext<H>>,
    pub(super) connection: Connection,
    sts: Endpoint,
    cvm: Endpoint,
    /// What is known about the credentials.
    pub(super) status: LatestStatus,
    /// The identity under which the clocks of its access points are recorded.
    pub(super) caller: Caller,
    /// Limits writes for the lifetime of the client, including those of other accounts with the same key.
    rate_claim: Rc<RateClaim>,
}

impl<H: Host> ReadClient<H> {
    /// A client for one account. If its credentials turn out to be unusable, this stays so for the client's lifetime; a
    /// later run makes a new client.
    pub fn new(context: Rc<ClientContext<H>>, connection: Connection) -> Self {
        let (sts, cvm) = (connection.endpoint.sts(), connection.endpoint.cvm());
        let caller = Caller::Account(connection.account.clone());
        let rate_claim = context
            .pacer
            .new_claim(connection.account.as_str(), connection.rate);
        Self {
            context,
            connection,
            sts,
            cvm,
            status: LatestStatus::default(),
            caller,
            rate_claim,
        }
    }

    /// The data that the run's clients share.
    pub fn context(&self) -> &ClientContext<H> {
        &self.context
    }

    /// The caller that rates and permissions are counted by. Two account names may share one key.
    pub fn caller_id(&self) -> Rc<str> {
        self.connection.provider.caller_id()
    }

    /// The bucket that provides permits for calls of `action` in `region`.
    pub fn bucket(&self, action: Action, region: Region) -> BucketKey {
        BucketKey {
            caller: self.caller_id(),
            host: self.endpoint(action).host(region).into(),
            action: action.as_str(),
        }
    }

    /// The time by this machine's clock and, if known, by the clock of the access point of `region`.
    pub fn clocks(&self, region: Region) -> Clocks {
        let host = self.connection.endpoint.host(region);
        let (now, monotonic) = (self.context.host.now(), self.context.host.monotonic());
        self.context
            .clocks
            .show(self.access_point(&host), now, monotonic)
    }

    pub(super) fn access_point<'a>(&'a self, host: &'a str) -> AccessPoint<'a> {
        let caller = &self.caller;
        AccessPoint { caller, host }
    }

    pub(super) fn endpoint(&self, action: Action) -> &Endpoint {
        match action.service() {
            Service::Lighthouse => &self.connection.endpoint,
            Service::Sts => &self.sts,
            Service::Cvm => &self.cvm,
        }
    }

    /// Writes a second per access point.
    pub fn rate(&self) -> u32 {
        self.connection.rate
    }

    /// A group for calls that belong together.
    pub fn call_group(&self, action: Action, region: Region) -> CallGroup {
        let bucket = self.bucket(action, region);
        self.context.pacer.group(&bucket, self.pace(action))
    }

    /// Claims the account's rate at the access point of `region`. Each call does so, because only the call shows which
    /// key is used, and the key may change.
    pub(super) fn claim_rate(&self, region: Region) {
        let writes = self.bucket(Action::ModifyImageSharePermission, region);
        self.context.pacer.claim(&writes, &self.rate_claim);
    }

    /// The rate at which calls of `action` may be sent.
    pub(super) fn pace(&self, action: Action) -> Pace {
        match action {
            Action::ModifyImageSharePermission => Pace {
                per_second: self.connection.rate,
                api_limit: action.limit_per_second(),
                evenly: true,
            },
            Action::DescribeBlueprints
            | Action::DescribeImagesToShare
            | Action::GetCallerIdentity
            | Action::DescribeInstances
            | Action::DescribeImages => Pace {
                per_second: action.limit_per_second(),
                api_limit: action.limit_per_second(),
                evenly: false,
            },
        }
    }

    /// One page of the blueprints that may represent shared images. `call` is its place among the pages of the listing.
    pub async fn describe_blueprints(
        &self,
        region: Region,
        offset: u32,
        call: Option<GroupCall<'_>>,
    ) -> Result<TimedReply<DescribeBlueprintsReply>, CallError> {
        // The documentation does not say whether an image shared from CVM shows as PRIVATE or SHARED, so both are
        // requested.
        let types = Filter {
            name: "blueprint-type".into(),
            values: vec!["PRIVATE".into(), "SHARED".into()],
        };
        let body = DescribeBlueprintsRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            filters: Some(vec![types]),
            ..Default::default()
        };
        self.read(Action::DescribeBlueprints, region, &body, call)
            .await
    }

    /// Up to 100 blueprints by id, of any type.
    pub async fn describe_blueprints_by_id(
        &self,
        region: Region,
        ids: Vec<String>,
    ) -> Result<TimedReply<DescribeBlueprintsReply>, CallError> {
        let body = DescribeBlueprintsRequest {
            blueprint_ids: Some(ids),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeBlueprints, region, &body, None)
            .await
    }

    /// The reasons against sharing each of up to 100 images. `call` is its place among the calls that ask about more
    /// images.
    pub async fn describe_images(
        &self,
        region: Region,
        ids: &[ImageId],
        call: Option<GroupCall<'_>>,
    ) -> Result<TimedReply<DescribeImagesReply>, CallError> {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let body = DescribeImagesRequest {
            image_ids: (!ids.is_empty()).then_some(ids),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeImagesToShare, region, &body, call)
            .await
    }

    /// One page of the account's own images, from `offset` on.
    pub async fn describe_own_images(
        &self,
        region: Region,
        offset: u32,
    ) -> Result<TimedReply<DescribeImagesReply>, CallError> {
        let body = DescribeImagesRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            filters: Some(vec![own_images()]),
            ..Default::default()
        };
        self.read(Action::DescribeImagesToShare, region, &body, None)
            .await
    }

    /// One page of the account's Lighthouse instances, from `offset` on.
    pub async fn describe_instances(
        &self,
        region: Region,
        offset: u32,
    ) -> Result<TimedReply<DescribeInstancesReply>, CallError> {
        let body = DescribeInstancesRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeInstances, region, &body, None)
            .await
    }

    /// One page of the account's own images as CVM shows them, from `offset` on.
    pub async fn describe_cvm_images(
        &self,
        region: Region,
        offset: u32,
    ) -> Result<TimedReply<DescribeCvmImagesReply>, CallError> {
        let body = DescribeCvmImagesRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            filters: Some(vec![own_images()]),
            ..Default::default()
        };
        self.read(Action::DescribeImages, region, &body, None).await
    }

    /// Repeats a read of `action` in `region` as long as that may help.
    pub async fn repeat<T, F>(
        &self,
        action: Action,
        region: Region,
        read: impl FnMut() -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let budget = self.retry_budget(action, region);
        retry::while_it_helps(&self.context, &budget, read).await
    }

    /// The repetitions that are left for calls of `action` in `region`.
    pub fn retry_budget(&self, action: Action, region: Region) -> Rc<RetryBudget> {
        self.context.retries.of(RetryTarget {
            caller: Some(self.caller.clone()),
            host: self.endpoint(action).host(region),
            region: region.as_str().into(),
        })
    }

    /// Why no call may be made for this account, if that is known.
    pub fn broken(&self) -> Option<Refusal> {
        self.known(|status| status.identity.refusal().or_else(|| status.reads.broken()))
    }

    /// Checks whether there are credentials, so that missing ones on this machine are reported before anything starts.
    pub async fn prepare(&self, region: Region) -> Result<(), CredentialError> {
        let current = self
            .connection
            .provider
            .current(&self.context, region)
            .await;
        current.map(|_| ())
    }
}

/// A filter for the account's own images, without public ones and those that other accounts share with it. The filter
/// has the same name in Lighthouse and CVM.
fn own_images() -> Filter {
    Filter {
        name: "image-type".into(),
        values: vec!["PRIVATE_IMAGE".into()],
    }
}

/// The reply to a read, with the time of the request and its duration.
#[derive(Clone, Debug)]
pub struct TimedReply<T> {
    pub reply: T,
    /// When the call was sent: the data in the reply is no older.
    pub asked: ObservedAt,
    /// How long the call took after it got its permit.
    pub took: Duration,
}

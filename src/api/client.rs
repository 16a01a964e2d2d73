//! One account's client, as far as it reads: what can be asked for, at which access point and how fast. It has no way to
//! write; [`super::WriteClient`] adds the one action that does. How a call is made is in `call`.

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
use crate::host::Host;
use crate::model::{AccountName, Clocks, Endpoint, ImageId, Region, Uin};
use crate::observation::ObservedAt;
use crate::pace::{BucketKey, CallGroup, GroupCall, Pace, RateClaim};

/// Writes a second where nothing is said: the console shares the quota of 20.
pub const DEFAULT_RATE: u32 = 19;

/// Where and as whom to call.
pub struct Connection {
    /// The account's name in the manifests.
    pub account: AccountName,
    /// Whose the key must be. If given, STS is asked before the first call, and unless it says the same,
    /// no call is made; if not, it is not asked, because a key may lack the permission for it.
    pub uin: Option<Uin>,
    pub endpoint: Endpoint,
    /// Writes a second per access point, 1 to 20.
    pub rate: u32,
    /// Gives the credentials to call with.
    pub provider: Rc<CredentialProvider>,
}

/// One account's client without any method that writes.
pub struct ReadClient<H> {
    pub(super) context: Rc<ClientContext<H>>,
    pub(super) connection: Connection,
    sts: Endpoint,
    cvm: Endpoint,
    /// What is known of the credentials.
    pub(super) status: LatestStatus,
    /// As whom the clocks of its access points are known.
    pub(super) caller: Caller,
    /// Limits writes for as long as the client lives, those of other accounts with the same key, too.
    rate_claim: Rc<RateClaim>,
}

impl<H: Host> ReadClient<H> {
    /// A client for one account. Once credentials are found unusable, that holds for the client's life; a later run makes a
    /// new client.
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

    /// What the run's clients have in common.
    pub fn context(&self) -> &ClientContext<H> {
        &self.context
    }

    /// Who calls, which is what rates and permissions are counted by. Two account names may share one key.
    pub fn caller_id(&self) -> Rc<str> {
        self.connection.provider.caller_id()
    }

    /// The bucket that calls of `action` for `region` draw from.
    pub fn bucket(&self, action: Action, region: Region) -> BucketKey {
        BucketKey {
            caller: self.caller_id(),
            host: self.endpoint(action).host(region).into(),
            action: action.as_str(),
        }
    }

    /// What this machine's clock shows and, if it has told the time, the clock of the access point of `region`.
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

    /// Claims the account's rate at the access point of `region`. Each call does so, because which key is called with is
    /// known no sooner, and may change.
    pub(super) fn claim_rate(&self, region: Region) {
        let writes = self.bucket(Action::ModifyImageSharePermission, region);
        self.context.pacer.claim(&writes, &self.rate_claim);
    }

    /// How fast calls of `action` may leave.
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

    /// One page of the blueprints that may stand for a shared image. `call` is its place among the pages of the listing.
    pub async fn describe_blueprints(
        &self,
        region: Region,
        offset: u32,
        call: Option<GroupCall<'_>>,
    ) -> Result<TimedReply<DescribeBlueprintsReply>, CallError> {
        // Whether an image shared from CVM shows as PRIVATE or SHARED is not documented: ask for both.
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

    /// What hinders sharing each of up to 100 images. `call` is its place among the calls that ask about more images.
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

    /// Why no call may be made for this account, if that is known.
    pub fn broken(&self) -> Option<Refusal> {
        self.known(|status| status.identity.refusal().or_else(|| status.reads.broken()))
    }

    /// Finds out whether there are credentials, so that what is missing on this machine is reported before anything
    /// starts.
    pub async fn prepare(&self, region: Region) -> Result<(), CredentialError> {
        let current = self
            .connection
            .provider
            .current(&self.context, region)
            .await;
        current.map(|_| ())
    }
}

/// Lets through the account's own images: not the public ones, nor those that other accounts share with it. Lighthouse and
/// CVM call the filter alike.
fn own_images() -> Filter {
    Filter {
        name: "image-type".into(),
        values: vec!["PRIVATE_IMAGE".into()],
    }
}

/// The reply to a read, with when and how long it took.
#[derive(Clone, Debug)]
pub struct TimedReply<T> {
    pub reply: T,
    /// When the call left: what the reply shows is no older.
    pub asked: ObservedAt,
    /// How long the call took from when its turn came.
    pub took: Duration,
}

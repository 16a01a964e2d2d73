//! Single questions about the state of an account and its access points: each is one call, stores nothing, and writes
//! nothing. It must not know how the answers are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;

use super::client::ReadClient;
use super::credentials::Provenance;
use super::error::CallError;
use super::identity;
use super::protocol::wire::{Action, CallerIdentity};
use super::ready_credentials::{ROUNDS_MAX, ReadyCredentials};
use crate::host::Host;
use crate::model::{ImageId, Region};

impl<H: Host> ReadClient<H> {
    /// The owner of the key, asked for whether or not a document gives a `uin`. If one does, the answer decides whether
    /// later calls are allowed; without an answer, they ask again.
    pub async fn caller(&self, region: Region) -> Result<CallerIdentity, CallError> {
        let connection = &self.connection;
        let mut rounds = 0;
        loop {
            rounds += 1;
            let lease = connection.provider.current(self.context(), region).await;
            let lease = lease.map_err(|error| CallError::AccountBroken(error.into()))?;
            let status = self.status.of(lease.version);
            let ready = ReadyCredentials { lease, status };
            let answer = self.caller_identity(&ready, region).await;
            if let Err(CallError::Refused(refusal)) = &answer
                && rounds < ROUNDS_MAX
                && self.has_newer(&ready, refusal, region).await
            {
                continue;
            }
            let is_silence = matches!(answer, Err(CallError::NotSent(_) | CallError::Unclear(_)));
            if let Some(uin) = connection.uin.as_ref().filter(|_| !is_silence) {
                let verdict = identity::verify(&connection.account, uin, answer.clone());
                // A refusal shows in the calls that it prevents.
                let _ = ready.status.identity.get_or_check(async { verdict }).await;
            }
            return answer;
        }
    }

    /// Requests the first page of a run's data, with the same call. Returns how long the answer took, or why there is
    /// no usable one. Only listings are targets: GetCallerIdentity lists nothing, and Modify writes.
    pub async fn probe(
        &self,
        target: ProbeTarget<'_>,
        region: Region,
    ) -> Result<Duration, CallError> {
        match target {
            ProbeTarget::Blueprints => {
                let answered = self.describe_blueprints(region, 0, None).await;
                answered.map(|answered| answered.took)
            }
            ProbeTarget::Images(ids) => {
                let answered = self.describe_images(region, ids, None).await;
                answered.map(|answered| answered.took)
            }
            ProbeTarget::OwnImages => {
                let answered = self.describe_own_images(region, 0).await;
                answered.map(|answered| answered.took)
            }
            ProbeTarget::Instances => {
                let answered = self.describe_instances(region, 0).await;
                answered.map(|answered| answered.took)
            }
            ProbeTarget::CvmImages => {
                let answered = self.describe_cvm_images(region, 0).await;
                answered.map(|answered| answered.took)
            }
        }
    }

    /// The time of each access point of `regions`, and of STS and CVM, minus this machine's, according to its newest
    /// reply; ordered by host.
    pub fn clock_offsets(&self, regions: &BTreeSet<Region>) -> BTreeMap<String, TimeDelta> {
        let actions = [
            Action::DescribeBlueprints,
            Action::GetCallerIdentity,
            Action::DescribeImages,
        ];
        let hosts = actions.into_iter().flat_map(|action| {
            let hosts = regions.iter();
            hosts.map(move |&region| self.endpoint(action).host(region))
        });
        let told = hosts.filter_map(|host| {
            let told = self.context().clocks.offset(self.access_point(&host))?;
            Some((host, told))
        });
        told.collect()
    }

    /// The origin of the credentials in use; `None` if there are none yet.
    pub fn provenance(&self) -> Option<Provenance> {
        self.connection
            .provider
            .provenance(self.context().host.monotonic())
    }
}

/// The data that a probe requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeTarget<'a> {
    Blueprints,
    /// `DescribeImagesToShare` for up to 100 images; for the account's first ones if there are none.
    Images(&'a [ImageId]),
    /// `DescribeImagesToShare` for the account's own images.
    OwnImages,
    /// The account's Lighthouse instances.
    Instances,
    /// The account's own images in CVM.
    CvmImages,
}

impl ProbeTarget<'_> {
    pub const fn action(self) -> Action {
        match self {
            Self::Blueprints => Action::DescribeBlueprints,
            Self::Images(_) | Self::OwnImages => Action::DescribeImagesToShare,
            Self::Instances => Action::DescribeInstances,
            Self::CvmImages => Action::DescribeImages,
        }
    }
}

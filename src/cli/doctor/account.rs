//! The checks of one account: the calls that answer doctor's questions, and their order. A broken account gets only a
//! handful of calls. The answers are judged in `crate::doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::future::join_all;

use crate::api::error::{CallError, Class};
use crate::api::protocol::wire::Action;
use crate::api::{ProbeTarget, ReadClient, retry};
use crate::desired::Account;
use crate::doctor::{self, Answer, Check, CheckName, Status};
use crate::history::HistoryEntry;
use crate::host::{Host, METADATA_HOST};
use crate::model::{AccountName, ImageId, Region};

/// How often a call is made if it gets no answer. A single lost reply does not mean that the network is broken.
const ATTEMPTS_MAX: u32 = 2;

/// One account with the data for its checks.
pub(super) struct AccountCheck<'a, H> {
    pub(super) name: AccountName,
    pub(super) document: Option<&'a Account>,
    pub(super) regions: BTreeSet<Region>,
    /// Images that manifests name, for each region as many as one call can ask about.
    pub(super) images: BTreeMap<Region, Vec<ImageId>>,
    /// Regions in which manifests use names or policies.
    pub(super) by_name: BTreeSet<Region>,
    /// The regions of these in which policies use properties that only CVM shows.
    pub(super) by_cvm: BTreeSet<Region>,
    /// The newest outcomes of its writes, in order.
    pub(super) entries: Vec<HistoryEntry>,
    /// Whether the account and its key belong to the simulator.
    pub(super) simulated: bool,
    pub(super) client: ReadClient<H>,
}

/// Runs all checks of one account except that of its budget, which also concerns other accounts.
pub(super) async fn examine<H: Host>(account: &AccountCheck<'_, H>) -> Vec<Check> {
    let region = account.region();
    let mut checks = Vec::new();
    let mut answers = Vec::new();
    match account.client.prepare(region).await {
        Ok(()) => {
            checks.extend(account.credentials());
            let (identity, goes_on) = account.identify(region).await;
            checks.push(identity);
            let reached = match goes_on {
                Ok(()) => account.reach(&mut answers).await,
                Err(why) => account.skipped(why),
            };
            let mut regions = account.regions.clone();
            regions.insert(region);
            checks.extend(doctor::clocks(&account.client.clock_offsets(&regions)));
            checks.extend(reached);
        }
        Err(error) => {
            let why = "there are no credentials for the call";
            checks.extend(doctor::credentials(Err(&error)));
            checks.push(Check::new(CheckName::Identity, Status::Skipped, why));
            checks.extend(doctor::clocks(&BTreeMap::new()));
            checks.extend(account.skipped(why));
        }
    }
    let mut refusals = answers.iter().filter_map(Answer::refusal);
    checks.push(doctor::write_permission(&account.entries));
    checks.push(doctor::service_role(
        &account.entries,
        refusals.find(|refusal| doctor::is_of_role(&refusal.code)),
    ));
    let of = |check: Check| check.of(&account.name);
    checks.into_iter().map(of).collect()
}

impl<H: Host> AccountCheck<'_, H> {
    /// Some region, for calls that must name one.
    fn region(&self) -> Region {
        self.regions.first().copied().unwrap_or(Region::first())
    }

    /// The hosts that a run calls for this account.
    pub(super) fn hosts(&self) -> BTreeSet<String> {
        let host = |action, region| self.client.bucket(action, region).host.to_string();
        let mut hosts = BTreeSet::from([host(Action::GetCallerIdentity, self.region())]);
        let lighthouse = self.regions.iter();
        hosts.extend(lighthouse.map(|&region| host(Action::DescribeBlueprints, region)));
        let cvm = self.by_cvm.iter();
        hosts.extend(cvm.map(|&region| host(Action::DescribeImages, region)));
        if !self.simulated {
            // If no source of credentials is configured, the machine's role is the last one that is tried.
            hosts.insert(METADATA_HOST.to_owned());
        }
        hosts
    }

    fn credentials(&self) -> Vec<Check> {
        if self.simulated {
            let whose = "the simulator's own";
            return vec![Check::new(CheckName::Credentials, Status::Passed, whose)];
        }
        let provenance = self.client.provenance();
        let checks = provenance.map(|provenance| doctor::credentials(Ok(&provenance)));
        checks.unwrap_or_default()
    }

    /// Asks for the owner of the key. Also returns whether to continue, or why not.
    async fn identify(&self, region: Region) -> (Check, Result<(), &'static str>) {
        let answer = self.with_retry(|| self.client.caller(region)).await;
        let uin = self.document.and_then(|account| account.uin.as_ref());
        let is_broken = match &answer {
            Err(CallError::Refused(refusal) | CallError::AccountBroken(refusal)) => {
                matches!(refusal.class, Class::AccountBlocked | Class::ClockOff)
            }
            _ => false,
        };
        let is_unproven = self.client.broken().is_some() || (uin.is_some() && answer.is_err());
        let goes_on = match (is_broken, is_unproven) {
            (true, _) => Err("the credentials do not work"),
            (false, true) => {
                Err("no call is made with credentials that may belong to another account")
            }
            (false, false) => Ok(()),
        };
        (doctor::identity(&self.name, uin, &answer), goes_on)
    }

    /// Makes a call, and repeats it once if there was no answer.
    async fn with_retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(CallError::NotSent(_) | CallError::Unclear(_)) if attempt < ATTEMPTS_MAX => {
                    retry::pause(self.client.context(), attempt).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// The checks of reading, if reading makes no sense.
    fn skipped(&self, why: &str) -> Vec<Check> {
        let looks = self.further_looks(&[]).into_iter();
        let looks = looks.map(|(look, _)| doctor::reading(look, &[]));
        let blueprints = doctor::reading(ProbeTarget::Blueprints, &[]);
        let unasked = doctor::unasked(self.regions.len(), why);
        [unasked, blueprints].into_iter().chain(looks).collect()
    }

    /// The other reads of a run, each with the region among those that have `answered` in which it is tried.
    fn further_looks(&self, answered: &[Region]) -> Vec<(ProbeTarget<'_>, Option<Region>)> {
        let first = answered.first().copied();
        let first_of = |some: &BTreeSet<Region>| {
            let mut answered = answered.iter();
            answered.find(|region| some.contains(region)).copied()
        };
        let images = match first_of(&self.by_name) {
            Some(region) => (ProbeTarget::OwnImages, Some(region)),
            None => {
                let named = first.and_then(|region| self.images.get(&region));
                let named = named.map_or(&[] as &[ImageId], Vec::as_slice);
                (ProbeTarget::Images(named), first)
            }
        };
        let mut looks = vec![images, (ProbeTarget::Instances, first)];
        if !self.by_cvm.is_empty() {
            looks.push((ProbeTarget::CvmImages, first_of(&self.by_cvm)));
        }
        looks
    }

    /// Reads in each region, then once with each other reading action.
    async fn reach(&self, answers: &mut Vec<Answer>) -> Vec<Check> {
        let mut by_host: BTreeMap<Rc<str>, Vec<Region>> = BTreeMap::new();
        for &region in &self.regions {
            let bucket = self.client.bucket(Action::DescribeBlueprints, region);
            by_host.entry(bucket.host).or_default().push(region);
        }
        let hosts = by_host
            .iter()
            .map(|(host, regions)| self.reach_host(host, regions));
        let mut checks = Vec::new();
        for (of_host, its_answers) in join_all(hosts).await {
            checks.extend(of_host);
            answers.extend(its_answers);
        }
        let answered: Vec<_> = answers
            .iter()
            .filter(|answer| !answer.is_silence())
            .collect();
        checks.push(doctor::reading(ProbeTarget::Blueprints, &answered));
        let answered: Vec<_> = answered.iter().map(|answer| answer.region).collect();
        let looks = self.further_looks(&answered).into_iter();
        let asked = looks.map(async |(look, region)| match region {
            Some(region) => (look, Some(self.ask(look, region).await)),
            None => (look, None),
        });
        for (look, answer) in join_all(asked).await {
            checks.extend(
                answer
                    .as_ref()
                    .and_then(|answer| self.other_host(look, answer)),
            );
            checks.push(doctor::reading(look, &Vec::from_iter(&answer)));
            // CVM's answers contain nothing about the role of Lighthouse.
            answers.extend(answer.filter(|_| look != ProbeTarget::CvmImages));
        }
        checks
    }

    /// Whether the access point of another service answers. Returns nothing if Lighthouse has the same one.
    fn other_host(&self, look: ProbeTarget<'_>, answer: &Answer) -> Option<Check> {
        let host = |action| self.client.bucket(action, answer.region).host;
        let (other, lighthouse) = (host(look.action()), host(Action::DescribeBlueprints));
        (other != lighthouse).then(|| doctor::access_point(&other, answer))
    }

    /// Reads in the regions behind one access point: first in one and, if that is answered, in the others.
    async fn reach_host(&self, host: &str, regions: &[Region]) -> (Vec<Check>, Vec<Answer>) {
        let Some((&first, others)) = regions.split_first() else {
            return (Vec::new(), Vec::new());
        };
        let first = self.ask(ProbeTarget::Blueprints, first).await;
        let mut checks = vec![doctor::access_point(host, &first)];
        let is_silent = first.is_silence();
        let mut answers = vec![first];
        if is_silent {
            if !others.is_empty() {
                checks.push(doctor::unasked(
                    others.len(),
                    "they are behind the same access point",
                ));
            }
            return (checks, answers);
        }
        let rest = others
            .iter()
            .map(|&region| self.ask(ProbeTarget::Blueprints, region));
        let rest = join_all(rest).await;
        checks.extend(rest.iter().map(|answer| doctor::access_point(host, answer)));
        answers.extend(rest);
        (checks, answers)
    }

    async fn ask(&self, probe: ProbeTarget<'_>, region: Region) -> Answer {
        let took = self.with_retry(|| self.client.probe(probe, region)).await;
        Answer { region, took }
    }
}

//! The checks of one account: which calls answer doctor's questions, and in which order. A broken account is asked only a
//! handful of them. What the answers mean is judged in `crate::doctor`.

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

/// How often a call is made that nobody answers. One lost reply says nothing of a network.
const ATTEMPTS_MAX: u32 = 2;

/// One account, and what is asked about it.
pub(super) struct AccountCheck<'a, H> {
    pub(super) name: AccountName,
    pub(super) document: Option<&'a Account>,
    pub(super) regions: BTreeSet<Region>,
    /// Images that manifests name, for each region as many as one call can ask about.
    pub(super) images: BTreeMap<Region, Vec<ImageId>>,
    /// Regions where images are named by name, or by policies.
    pub(super) by_name: BTreeSet<Region>,
    /// Those of them where policies ask for what only CVM tells.
    pub(super) by_cvm: BTreeSet<Region>,
    /// The newest outcomes of its writes, in order.
    pub(super) entries: Vec<HistoryEntry>,
    /// The account is the simulator's, and so is its key.
    pub(super) simulated: bool,
    pub(super) client: ReadClient<H>,
}

/// Makes all checks of one account but that of its budget, which concerns other accounts, too.
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
            let why = "there are no credentials to ask with";
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
    /// A region for calls that must name one, whichever it is.
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
            // Where nothing says where credentials are, the machine's role is the last thing to try.
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

    /// Asks whose the key is. Also says whether it makes sense to go on, or why not.
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
                Err("nothing is called with credentials that may be another account's")
            }
            (false, false) => Ok(()),
        };
        (doctor::identity(&self.name, uin, &answer), goes_on)
    }

    /// Makes a call, and once more if there was no answer.
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

    /// The checks of reading, where it makes no sense to read.
    fn skipped(&self, why: &str) -> Vec<Check> {
        let looks = self.further_looks(&[]).into_iter();
        let looks = looks.map(|(look, _)| doctor::reading(look, &[]));
        let blueprints = doctor::reading(ProbeTarget::Blueprints, &[]);
        let unasked = doctor::unasked(self.regions.len(), why);
        [unasked, blueprints].into_iter().chain(looks).collect()
    }

    /// What else a run reads, and in which of the regions that have `answered` it is tried.
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

    /// Reads in each region; then once with each other action that reads.
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
            // CVM knows nothing of the role of Lighthouse.
            answers.extend(answer.filter(|_| look != ProbeTarget::CvmImages));
        }
        checks
    }

    /// Whether the access point of another service answers; nothing where Lighthouse has the same one.
    fn other_host(&self, look: ProbeTarget<'_>, answer: &Answer) -> Option<Check> {
        let host = |action| self.client.bucket(action, answer.region).host;
        let (other, lighthouse) = (host(look.action()), host(Action::DescribeBlueprints));
        (other != lighthouse).then(|| doctor::access_point(&other, answer))
    }

    /// Reads in the regions behind one access point: in one, and if that is answered, in the others.
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

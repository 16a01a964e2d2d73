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
use crate::host::Host;
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
        vec![
            doctor::unasked(self.regions.len(), why),
            doctor::reading(ProbeTarget::Blueprints, &[]),
            doctor::reading(ProbeTarget::Images(&[]), &[]),
        ]
    }

    /// Reads in each region; then once more, with the other action that reads.
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
        let images = match answered.first() {
            Some(answer) => {
                let named = self.images.get(&answer.region);
                let probe = ProbeTarget::Images(named.map_or(&[], Vec::as_slice));
                vec![self.ask(probe, answer.region).await]
            }
            None => Vec::new(),
        };
        let asked = images.iter().collect::<Vec<_>>();
        checks.push(doctor::reading(ProbeTarget::Images(&[]), &asked));
        answers.extend(images);
        checks
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

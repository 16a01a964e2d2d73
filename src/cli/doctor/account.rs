//! One account, with a handful of calls where it is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::future::join_all;

use crate::api::error::{CallError, Class};
use crate::api::protocol::wire::Action;
use crate::api::{ProbeTarget, ReadClient, retry};
use crate::desired::Account;
use crate::doctor::{self as found, About, Answer, Check, Status};
use crate::history::Entry;
use crate::host::Host;
use crate::model::{AccountName, ImageId, Region};

/// Tries of a look that nobody answers: one reply that is lost says nothing of a network.
const TRIES: u32 = 2;

/// An account, and what is to be asked of it.
pub(super) struct Patient<'a, H> {
    pub(super) name: AccountName,
    pub(super) document: Option<&'a Account>,
    pub(super) regions: BTreeSet<Region>,
    /// Images that manifests name, of each region as many as one call can ask about.
    pub(super) images: BTreeMap<Region, Vec<ImageId>>,
    /// The newest outcomes of its writes, in order.
    pub(super) entries: Vec<Entry>,
    /// Its key is the simulator's.
    pub(super) simulated: bool,
    pub(super) client: ReadClient<H>,
}

/// All checks of one account but that of its budget.
pub(super) async fn examine<H: Host>(patient: &Patient<'_, H>) -> Vec<Check> {
    let region = patient.region();
    let mut checks = Vec::new();
    let mut answers = Vec::new();
    match patient.client.prepare(region).await {
        Ok(()) => {
            checks.extend(patient.credentials());
            let (identity, goes_on) = patient.identify(region).await;
            checks.push(identity);
            let reached = match goes_on {
                Ok(()) => patient.reach(&mut answers).await,
                Err(why) => patient.spared(why),
            };
            let mut regions = patient.regions.clone();
            regions.insert(region);
            checks.extend(found::clocks(&patient.client.clock_offsets(&regions)));
            checks.extend(reached);
        }
        Err(error) => {
            let why = "there are no credentials to ask with";
            checks.extend(found::credentials(Err(&error)));
            checks.push(Check::new(About::Identity, Status::Skipped, why));
            checks.extend(found::clocks(&BTreeMap::new()));
            checks.extend(patient.spared(why));
        }
    }
    let mut met = answers.iter().filter_map(Answer::refusal);
    checks.push(found::write_permission(&patient.entries));
    checks.push(found::service_role(
        &patient.entries,
        met.find(|refusal| found::is_of_role(&refusal.code)),
    ));
    let of = |check: Check| check.of(&patient.name);
    checks.into_iter().map(of).collect()
}

impl<H: Host> Patient<'_, H> {
    /// The region of calls that must name one.
    fn region(&self) -> Region {
        self.regions.first().copied().unwrap_or(Region::first())
    }

    fn credentials(&self) -> Vec<Check> {
        if self.simulated {
            let whose = "the simulator's own";
            return vec![Check::new(About::Credentials, Status::Passed, whose)];
        }
        let provenance = self.client.provenance();
        let checks = provenance.map(|provenance| found::credentials(Ok(&provenance)));
        checks.unwrap_or_default()
    }

    /// Whose the key is; and whether it makes sense to go on, or why not.
    async fn identify(&self, region: Region) -> (Check, Result<(), &'static str>) {
        let answer = self.patiently(|| self.client.caller(region)).await;
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
        (found::identity(&self.name, uin, &answer), goes_on)
    }

    /// Looks, and looks once more where there was no answer.
    async fn patiently<T, F>(&self, mut look: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut tried = 1;
        loop {
            match look().await {
                Err(CallError::NotSent(_) | CallError::Unclear(_)) if tried < TRIES => {
                    retry::pause(self.client.context(), tried).await;
                    tried += 1;
                }
                answer => return answer,
            }
        }
    }

    /// What stands in place of the looks, where there is no sense in them.
    fn spared(&self, why: &str) -> Vec<Check> {
        vec![
            found::unasked(self.regions.len(), why),
            found::reading(ProbeTarget::Blueprints, &[]),
            found::reading(ProbeTarget::Images(&[]), &[]),
        ]
    }

    /// Looks in each region; then once more, for the other action that reads.
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
        checks.push(found::reading(ProbeTarget::Blueprints, &answered));
        let images = match answered.first() {
            Some(answer) => {
                let named = self.images.get(&answer.region);
                let look = ProbeTarget::Images(named.map_or(&[], Vec::as_slice));
                vec![self.ask(look, answer.region).await]
            }
            None => Vec::new(),
        };
        let told = images.iter().collect::<Vec<_>>();
        checks.push(found::reading(ProbeTarget::Images(&[]), &told));
        answers.extend(images);
        checks
    }

    /// Looks in the regions behind one access point: in one, and if that is answered, in the others.
    async fn reach_host(&self, host: &str, regions: &[Region]) -> (Vec<Check>, Vec<Answer>) {
        let Some((&first, others)) = regions.split_first() else {
            return (Vec::new(), Vec::new());
        };
        let first = self.ask(ProbeTarget::Blueprints, first).await;
        let mut checks = vec![found::access_point(host, &first)];
        let is_silent = first.is_silence();
        let mut answers = vec![first];
        if is_silent {
            if !others.is_empty() {
                checks.push(found::unasked(
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
        checks.extend(rest.iter().map(|answer| found::access_point(host, answer)));
        answers.extend(rest);
        (checks, answers)
    }

    async fn ask(&self, look: ProbeTarget<'_>, region: Region) -> Answer {
        let took = self.patiently(|| self.client.probe(look, region)).await;
        Answer { region, took }
    }
}

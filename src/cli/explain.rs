//! `explain`: shows what prevents sharing an image, which document decides about it and what would have to change; or
//! explains an error code. It changes nothing: its clients and its state cannot write.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Common, ExplainArguments};
use super::import::one_name_each;
use super::output::{self, Failure};
use super::selection::Known;
use super::survey::{SurveyedScope, survey};
use super::{manifests, session, sim_target, state};
use crate::api::ReadClient;
use crate::api::protocol::wire::{Action, CustomImage};
use crate::desired::Desired;
use crate::engine::{self, ScopeOutcome, Task};
use crate::history::HistoryEntry;
use crate::host::{Host, System};
use crate::manifest;
use crate::model::{AccountName, ImageId, ImageKey, ImageName, Scope, Selector};
use crate::observation::{Blueprint, Observation, OwnImages};
use crate::plan::{Plan, Policy};
use crate::report::{
    CodeDocument, ExitStatus, ExplainDocument, ExplainedName, ImageFacts, UnseenScope,
};
use crate::store::{HistoryQuery, Reader};
use crate::words::first_of;

/// The number of history entries that are shown for an image.
const ATTEMPTS_MAX: usize = 6;

/// The subject of the question.
enum Subject {
    Id(ImageId),
    Name(ImageName),
}

impl Subject {
    fn read(text: &str) -> Result<Self, Failure> {
        if let Ok(id) = ImageId::new(text) {
            return Ok(Self::Id(id));
        }
        if CodeDocument::is_like(text) {
            let near = CodeDocument::nearest(text);
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            return Err(Failure::usage(format_args!(
                "`{text}` is not an error code that sharekeeper knows{}",
                near.unwrap_or_default()
            )));
        }
        ImageName::new(text).map(Self::Name).map_err(Failure::usage)
    }

    fn is_named(&self, name: &str) -> bool {
        matches!(self, Self::Name(asked) if asked.as_str() == name)
    }
}

pub(super) async fn run(
    arguments: &ExplainArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    let asked = arguments.subject.as_str();
    if let Some(document) = CodeDocument::of(asked) {
        output::print(common.output, &document, &document.text())?;
        return Ok(document.exit_status());
    }
    let subject = Subject::read(asked)?;
    let desired = manifests::load_if_any(&arguments.paths, common.output).await?;
    let selector = arguments.selection.selector();
    let directory = state::directory(common, arguments.target.sim)?;
    sim_target::reset(arguments.reset, &directory)?;
    let reader = state::read(&directory)?;
    let known = Known {
        desired: &desired,
        reader: &reader,
    };
    known.refuse_unknown(&selector).await?;
    let (session, clients) =
        session::open_known(&arguments.target, &directory, &desired, &selector).await?;
    let explanation = Explanation {
        subject,
        desired: &desired,
        selector: &selector,
        reader: &reader,
    };
    let document = explanation.document(asked, clients).await;
    session.close().await?;
    let document = document?;
    output::print(common.output, &document, &document.text())?;
    Ok(document.exit_status())
}

/// An image that was found in a scope.
struct Found<'s> {
    key: ImageKey,
    row: Option<CustomImage>,
    is_own: Option<bool>,
    blueprint: Option<Option<&'s Blueprint>>,
    attempts: Vec<HistoryEntry>,
}

/// The inputs of an explanation.
struct Explanation<'a> {
    subject: Subject,
    desired: &'a Desired,
    selector: &'a Selector,
    reader: &'a Reader,
}

impl Explanation<'_> {
    async fn document(
        &self,
        asked: &str,
        clients: BTreeMap<AccountName, ReadClient<System>>,
    ) -> Result<ExplainDocument, Failure> {
        let task = Task {
            desired: self.desired,
            selector: self.selector,
            policy: &Policy::DEFAULT,
            approved_by_scope: None,
        };
        let outcomes = engine::preview(&clients, self.reader, &task).await;
        let plans: BTreeMap<&Scope, &Plan> = outcomes
            .iter()
            .map(|ScopeOutcome { plan, .. }| (&plan.scope, plan))
            .collect();
        let listings = one_name_each(clients, self.desired).await;
        let within = self.scopes();
        let scopes = survey(&listings, self.selector, within.as_ref()).await;
        let (mut found, mut unresolved) = (Vec::new(), Vec::new());
        let (mut absent, mut unseen) = (Vec::new(), Vec::new());
        for surveyed in &scopes {
            let scope = &surveyed.scope;
            let plan = plans.get(scope).copied();
            let names =
                plan.map(|plan| ExplainedName::of(plan, |name| self.subject.is_named(name)));
            let names = names.unwrap_or_default();
            let here = self.found(surveyed, plan).await?;
            unseen.extend(not_seen(surveyed));
            let is_listed = matches!(surveyed.own, OwnImages::Known(_));
            if here.is_empty() && names.is_empty() && is_listed {
                absent.push(scope.clone());
            }
            found.extend(here);
            unresolved.extend(names);
        }
        if found.is_empty() && unresolved.is_empty() && unseen.is_empty() {
            return Err(self.nobody_knows(asked, &scopes));
        }
        let policies = |scope: &Scope| self.desired.policies.get(scope).map(Vec::as_slice);
        let facts = found.iter().map(|found| ImageFacts {
            key: found.key.clone(),
            row: found.row.as_ref(),
            is_own: found.is_own,
            blueprint: found.blueprint,
            plan: plans.get(&found.key.scope).copied(),
            policies: policies(&found.key.scope).unwrap_or_default(),
            attempts: found.attempts.clone(),
        });
        let facts: Vec<_> = facts.collect();
        Ok(ExplainDocument::new(
            asked, &facts, unresolved, &absent, unseen,
        ))
    }

    /// The scopes of the manifests, if no region is given; `None` means every region.
    fn scopes(&self) -> Option<BTreeSet<Scope>> {
        let named = self.desired.scopes();
        let named: BTreeSet<_> = named
            .filter(|scope| self.selector.reaches(scope))
            .cloned()
            .collect();
        (self.selector.regions.is_empty() && !named.is_empty()).then_some(named)
    }

    /// What the scope contains of the subject.
    async fn found<'s, H: Host>(
        &self,
        surveyed: &'s SurveyedScope<'_, H>,
        plan: Option<&Plan>,
    ) -> Result<Vec<Found<'s>>, Failure> {
        let SurveyedScope {
            scope,
            client,
            observation,
            own,
        } = surveyed;
        let shared = match observation {
            Observation::Seen(seen) => Some(&seen.shared),
            Observation::ReadDenied(_) | Observation::Unobserved(_) => None,
        };
        let ids: Vec<_> = self.ids(own, shared, plan).into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ask = || client.describe_images(scope.region, &ids, None);
        let rows = match client
            .repeat(Action::DescribeImagesToShare, scope.region, ask)
            .await
        {
            Ok(answered) => answered.reply.image_set,
            Err(error) => {
                output::warn(format_args!(
                    "{scope}: cannot ask what prevents sharing: {error}"
                ));
                Vec::new()
            }
        };
        let mut found = Vec::new();
        for id in ids {
            let query = HistoryQuery {
                accounts: [scope.account.clone()].into(),
                regions: [scope.region].into(),
                images: [id.clone()].into(),
                limit: Some(ATTEMPTS_MAX),
                ..HistoryQuery::default()
            };
            let row = rows.iter().find(|row| row.image_id == id.as_str());
            found.push(Found {
                row: row.cloned(),
                is_own: match own {
                    OwnImages::Known(own) => Some(own.contains_key(&id)),
                    OwnImages::Unknown(_) | OwnImages::NotAsked => None,
                },
                blueprint: shared.map(|shared| shared.get(&id)),
                attempts: self.reader.history(&query).map_err(Failure::new)?,
                key: ImageKey {
                    scope: scope.clone(),
                    image: id,
                },
            });
        }
        Ok(found)
    }

    /// The images of a scope that are meant: an id that occurs here anywhere, or all images that have or had the name.
    fn ids(
        &self,
        own: &OwnImages,
        shared: Option<&BTreeMap<ImageId, Blueprint>>,
        plan: Option<&Plan>,
    ) -> BTreeSet<ImageId> {
        let decisions = plan.into_iter().flat_map(|plan| &plan.decisions);
        match &self.subject {
            Subject::Id(id) => {
                let is_known = own.get(id).is_some()
                    || shared.is_some_and(|shared| shared.contains_key(id))
                    || plan.is_some_and(|plan| plan.decisions.contains_key(id));
                is_known.then(|| id.clone()).into_iter().collect()
            }
            Subject::Name(name) => {
                let is_it = |other: &str| other == name.as_str();
                let own = match own {
                    OwnImages::Known(own) => Some(own.iter()),
                    OwnImages::Unknown(_) | OwnImages::NotAsked => None,
                };
                let own = own.into_iter().flatten();
                let own = own
                    .filter(|(_, image)| is_it(&image.name))
                    .map(|(id, _)| id);
                let planned = decisions
                    .filter(|(_, decision)| decision.name.as_deref().is_some_and(is_it))
                    .map(|(id, _)| id);
                own.chain(planned).cloned().collect()
            }
        }
    }

    /// The failure for an image that no scope has and no manifest names.
    fn nobody_knows<H>(&self, asked: &str, scopes: &[SurveyedScope<'_, H>]) -> Failure {
        let regions: BTreeSet<_> = scopes
            .iter()
            .map(|it| it.scope.region.to_string())
            .collect();
        let names = scopes.iter().filter_map(|it| match &it.own {
            OwnImages::Known(own) => Some(own),
            OwnImages::Unknown(_) | OwnImages::NotAsked => None,
        });
        let known: BTreeSet<&str> = names
            .flatten()
            .flat_map(|(id, image)| [id.as_str(), image.name.as_str()])
            .filter(|text| !text.is_empty())
            .collect();
        let near = manifest::nearest(asked, known);
        let near = near.map(|near| format!("; did you mean `{near}`?"));
        let regions: Vec<_> = regions.into_iter().collect();
        Failure::usage(format_args!(
            "no image in {} has the id or name `{asked}`, and no manifest names it{}",
            first_of(&regions),
            near.unwrap_or_default()
        ))
    }
}

/// Why a scope was not completely observed, if that is so.
fn not_seen<H>(surveyed: &SurveyedScope<'_, H>) -> Option<UnseenScope> {
    let why = match (&surveyed.own, &surveyed.observation) {
        (OwnImages::Unknown(why), _) => why,
        (_, Observation::ReadDenied(why) | Observation::Unobserved(why)) => why,
        (_, Observation::Seen(_)) => return None,
    };
    Some(UnseenScope {
        account: surveyed.scope.account.to_string(),
        region: surveyed.scope.region.as_str(),
        reason: why.reason.clone(),
        request_id: why.request_id.clone(),
    })
}

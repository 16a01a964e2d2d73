//! Replaces at most one answer that a process gets from the simulated cloud by a wrong one. A run without a replacement
//! records each answer to a read and all the ways in which it can be wrong, from which the other runs are made.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};
use sharekeeper::host::{Clock, Reply, TransportError};
use sharekeeper::model::Monotonic;

use super::checker::Departure;
use super::scenario::seconds;
use super::support::Cloud;

/// The most rows of a list that are tested as missing, each in its own run.
const ROWS_MAX: usize = 3;
/// The time between a change and the state that is used as the state before it.
const MOMENT: Duration = Duration::from_micros(1);

/// The number of polls until a process ends; `None` if it goes on.
pub(crate) type EndAfter = Rc<Cell<Option<u32>>>;

/// The kinds of wrong answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The answer of an earlier state, which no process has seen yet.
    Stale,
    /// The answer is lost, or it is an error.
    Skipped,
    /// An answer that a process received before, although a newer one was seen since.
    TimeTravel,
    /// The answer lacks rows that it should have.
    Partial,
    /// The process ends, and the next one first sees an earlier state.
    Restart,
}

/// The replacement for a true answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Lost,
    /// The body of a reply.
    Body(String),
    /// The process ends before the answer comes. The next process gets its first answer to each question from that
    /// time.
    Restart(Duration),
}

/// One answer of a run, and the wrong answer that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Perturbation {
    /// The number of the answer among the answers to reads.
    pub(crate) point: usize,
    pub(crate) wrong: Wrong,
}

/// An answer to a read, with its possible replacements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) action: String,
    pub(crate) ways: Vec<(Kind, Wrong)>,
}

/// A read, with everything on which its answer depends.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    key: String,
    region: String,
    action: String,
    body: Value,
}

impl Question {
    pub(crate) fn of(call: &Departure) -> Self {
        Self {
            key: call.key.clone(),
            region: call.region.clone(),
            action: call.action.clone(),
            body: call.body.clone(),
        }
    }

    fn is_read(&self) -> bool {
        self.action != "ModifyImageSharePermission"
    }

    fn text(&self) -> String {
        let Self {
            key,
            region,
            action,
            body,
        } = self;
        format!("{key} {region} {action} {body}")
    }
}

/// The answers that processes get. At most one of them is wrong.
pub(crate) struct View {
    cloud: Rc<Cloud>,
    perturbation: Option<Perturbation>,
    /// The time at which answers are no longer counted.
    until: Monotonic,
    /// The distinct answers that processes received to each question.
    shown: RefCell<BTreeMap<String, BTreeSet<String>>>,
    points: RefCell<Vec<Point>>,
    count: Cell<usize>,
    ends: RefCell<BTreeMap<usize, EndAfter>>,
    /// The newest process that sees the present, and the questions that later processes have asked.
    ended: Cell<Option<usize>>,
    asked: RefCell<BTreeSet<String>>,
}

impl View {
    /// Counts the answers until the given second.
    pub(crate) fn new(
        cloud: &Rc<Cloud>,
        perturbation: Option<Perturbation>,
        until: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            cloud: Rc::clone(cloud),
            perturbation,
            until: Monotonic::new(seconds(until)),
            shown: RefCell::default(),
            points: RefCell::default(),
            count: Cell::default(),
            ends: RefCell::default(),
            ended: Cell::default(),
            asked: RefCell::default(),
        })
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.borrow().clone()
    }

    /// Whether the run reached the answer that is replaced.
    pub(crate) fn is_reached(&self) -> bool {
        let perturbation = self.perturbation.as_ref();
        perturbation.is_none_or(|perturbation| perturbation.point < self.count.get())
    }

    /// Stores the counter that can end a new process.
    pub(crate) fn process_began(&self, process: usize, end_after: &EndAfter) {
        self.ends.borrow_mut().insert(process, Rc::clone(end_after));
    }

    /// The answer that a process gets in place of the true one. If the process ends here, it gets none.
    pub(crate) async fn shows(
        &self,
        process: usize,
        question: &Question,
        reply: Result<Reply, TransportError>,
    ) -> Result<Reply, TransportError> {
        if !question.is_read() || self.cloud.monotonic() >= self.until {
            return reply;
        }
        let number = self.count.get();
        self.count.set(number + 1);
        let truth = reply.as_ref().ok();
        let truth = truth.map(|reply| String::from_utf8_lossy(&reply.body).into_owned());
        let perturbation = self.perturbation.as_ref();
        let wrong = match perturbation.filter(|it| it.point == number) {
            Some(perturbation) => Some(perturbation.wrong.clone()),
            None => self.of_the_past(process, question),
        };
        let Some(wrong) = wrong else {
            if self.perturbation.is_none() {
                self.note(question, truth.as_deref());
            }
            if let Some(truth) = truth {
                let mut shown = self.shown.borrow_mut();
                shown.entry(question.text()).or_default().insert(truth);
            }
            return reply;
        };
        if let Wrong::Restart(_) = wrong {
            self.ended.set(Some(process));
            let end_after = self.ends.borrow().get(&process).cloned();
            end(&end_after.expect("it began")).await;
        }
        wrong.in_place_of(reply)
    }

    /// The first answer to a question that the process after an ended one gets.
    fn of_the_past(&self, process: usize, question: &Question) -> Option<Wrong> {
        let Some(Wrong::Restart(as_of)) = self.perturbation.as_ref().map(|it| &it.wrong) else {
            return None;
        };
        let is_later = self.ended.get().is_some_and(|ended| process > ended);
        if !is_later || !self.asked.borrow_mut().insert(question.text()) {
            return None;
        }
        let answer = self.as_of(question, Monotonic::new(*as_of))?;
        Some(Wrong::Body(answer))
    }

    fn as_of(&self, question: &Question, at: Monotonic) -> Option<String> {
        let Question {
            key,
            region,
            action,
            body,
        } = question;
        let answer = self.cloud.answer_as_of(at, (region, key), action, body)?;
        Some(json!({"Response": answer}).to_string())
    }

    /// Records an answer, and the ways in which it can be wrong.
    fn note(&self, question: &Question, truth: Option<&str>) {
        let failed = json!({"Response": {"Error": {"Code": "InternalError", "Message": "no"}, "RequestId": "r"}});
        let mut ways = vec![
            (Kind::Skipped, Wrong::Lost),
            (Kind::Skipped, Wrong::Body(failed.to_string())),
        ];
        if let Some(truth) = truth {
            ways.extend(self.earlier(question, truth));
            let parts = partial(truth).into_iter();
            ways.extend(parts.map(|part| (Kind::Partial, Wrong::Body(part))));
        }
        ways.extend(self.restarts());
        self.points.borrow_mut().push(Point {
            action: question.action.clone(),
            ways,
        });
    }

    /// Answers of earlier states: the last and the first state that differ from the truth, and each answer that was
    /// given before.
    fn earlier(&self, question: &Question, truth: &str) -> Vec<(Kind, Wrong)> {
        let shown = self.shown.borrow();
        let shown = shown.get(&question.text()).cloned().unwrap_or_default();
        let changes = self.cloud.changes(&question.region).into_iter().rev();
        let mut states: Vec<String> = Vec::new();
        for at in changes.map(|at| at.back(MOMENT)) {
            let state = self.as_of(question, at);
            let state = state.filter(|state| state != truth && !states.contains(state));
            states.extend(state);
        }
        let count = states.len();
        let chosen = (0..).zip(states).filter(|(place, state)| {
            *place == 0 || place + 1 == count || shown.contains(state.as_str())
        });
        let chosen: BTreeSet<String> = chosen.map(|(_, state)| state).collect();
        let given = shown.iter().filter(|answer| *answer != truth).cloned();
        let all: BTreeSet<String> = chosen.into_iter().chain(given).collect();
        let all = all.into_iter().map(|state| match shown.contains(&state) {
            true => (Kind::TimeTravel, Wrong::Body(state)),
            false => (Kind::Stale, Wrong::Body(state)),
        });
        all.collect()
    }

    /// The ways to end the process here. The next process sees the world as it was before the last change, or at the
    /// beginning.
    fn restarts(&self) -> Vec<(Kind, Wrong)> {
        let regions = super::scenario::REGIONS.iter();
        let last = regions.flat_map(|region| self.cloud.changes(region)).max();
        let mut times = BTreeSet::from([Duration::ZERO]);
        times.extend(last.map(|at| at.back(MOMENT).since_start()));
        let times = times.into_iter();
        times
            .map(|at| (Kind::Restart, Wrong::Restart(at)))
            .collect()
    }
}

impl Wrong {
    fn in_place_of(self, reply: Result<Reply, TransportError>) -> Result<Reply, TransportError> {
        match self {
            Self::Lost | Self::Restart(_) => {
                Err(TransportError::Lost("the connection was reset".into()))
            }
            Self::Body(body) => Ok(Reply {
                status: 200,
                date: reply.ok().and_then(|reply| reply.date),
                retry_after: None,
                body: body.into_bytes(),
                is_whole: true,
            }),
        }
    }
}

/// Ends the process that waits for this future: the process is not polled again, only dropped.
pub(crate) async fn end(end_after: &EndAfter) {
    end_after.set(Some(0));
    let mut is_woken = false;
    poll_fn(|context| {
        if !is_woken {
            is_woken = true;
            context.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })
    .await
}

/// An answer without some of its rows, once with the original total and once with a matching total.
fn partial(truth: &str) -> Vec<String> {
    let Ok(whole) = serde_json::from_str::<Value>(truth) else {
        return Vec::new();
    };
    let mut lists = ["BlueprintSet", "ImageSet", "InstanceSet"].into_iter();
    let list = lists.find_map(|list| Some((list, whole["Response"][list].as_array()?)));
    let Some((list, rows)) = list else {
        return Vec::new();
    };
    let count = rows.len();
    let single = (0..count).filter(|row| *row < ROWS_MAX || row + 1 == count);
    let mut missing: Vec<Vec<usize>> = single.map(|row| vec![row]).collect();
    if count > 1 {
        missing.push((0..count).collect());
    }
    let mut parts = Vec::new();
    for missing in missing {
        let kept = (0..).zip(rows).filter(|(row, _)| !missing.contains(row));
        let kept: Vec<_> = kept.map(|(_, row)| row.clone()).collect();
        let mut part = whole.clone();
        part["Response"][list] = kept.into();
        parts.push(part.to_string());
        // No other call returns instances, so a process cannot notice a false list with a matching total.
        if list != "InstanceSet" {
            let total = whole["Response"]["TotalCount"].as_u64().expect("a count");
            part["Response"]["TotalCount"] = (total - missing.len() as u64).into();
            parts.push(part.to_string());
        }
    }
    parts
}

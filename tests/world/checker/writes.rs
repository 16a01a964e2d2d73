//! Checks each write: whether it was asked for, and whether what the process knew allowed it.

use sharekeeper::history::WriteResult;
use sharekeeper::host::Clock;
use sharekeeper::model::{Permission, Timestamp};

use super::{APART, AT_ONCE, Checker, Departure, PERSON, SEEN_MAX, State, WRITES_MAX, forget};
use crate::judge::{Case, Gone};
use crate::listing::Listing;
use crate::manifests::{Manifests, account_of_key, instant};
use crate::observations::place;
use crate::scenario::{Image, Mode, REGIONS, Wanted, seconds};
use crate::verdicts::Why;

/// The reason why a write is allowed.
enum Licence {
    Plain,
    Prune,
    /// A document asks for it that names images by more than ids.
    Cancel(Why),
}

/// The write that is being judged.
struct Subject<'a> {
    id: &'a str,
    index: usize,
    permission: Permission,
}

impl Checker {
    /// Checks everything that must hold for a write when it is sent.
    pub(super) fn write(&self, state: &mut State, call: &Departure) -> Vec<String> {
        let id = call.body["ImageId"].as_str().expect("an id").to_owned();
        let permission = match call.body["Permission"].as_str() {
            Some("SHARE") => Permission::Share,
            _ => Permission::Cancel,
        };
        let Some(&index) = self.images.get(&id) else {
            return vec![format!("S1: a write of {id}, which nobody knows")];
        };
        let image = &self.scenario.images[index];
        if account_of_key(&call.key) != Some(image.account) || image.region() != call.region {
            return vec![format!("S13: a write of {id} with {}", call.key)];
        }
        let subject = Subject {
            id: &id,
            index,
            permission,
        };
        *state.writes.entry(index).or_default() += 1;
        let ledger = state.ledger(call.installation);
        let kept = state.kept.entry(call.installation).or_default();
        kept.catch_up(&ledger);
        let mut found = vec![
            self.licence(state, call, &subject),
            self.seen(state, call, &subject),
            self.recorded(state, call, &subject),
            self.repeated(state, call, &subject),
            self.looped(state, call, &subject),
        ];
        let is_reversed = self.books(state, call.installation, index, |books| {
            let is_reversed = books.is_reversed(index, permission, call.at);
            books.left(index, permission);
            is_reversed
        });
        if is_reversed {
            found.push(Some(
                "S20: a write of what somebody else keeps reversing".into(),
            ));
        }
        let process = &mut state.processes[call.process];
        let write = (id.clone(), permission);
        if process
            .reviewed
            .as_ref()
            .is_some_and(|it| !it.contains(&write))
        {
            found.push(Some("S5: a write that nobody has reviewed".into()));
        }
        if process.mode == Mode::Observe {
            found.push(Some("S16: a process that only observes writes".into()));
        }
        if !process.in_flight.insert(id.clone()) {
            found.push(Some("S8: two writes of one image at a time".into()));
        }
        let about = format!("{permission:?} {id} by process {}", call.process);
        let found = found.into_iter().flatten();
        found.map(|what| format!("{what} ({about})")).collect()
    }

    /// Checks S1, S3, S5, S26, protection, windows and the requests of people.
    fn licence(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
    ) -> Option<String> {
        let image = &self.scenario.images[subject.index];
        let region = REGIONS[image.region];
        let holds = state.holds.iter().any(|hold| {
            call.at.since(hold.since) > PERSON
                && hold.account.is_none_or(|account| account == image.account)
                && hold.region.is_none_or(|of| REGIONS[of] == region)
        });
        if holds {
            return Some("suspended: a write all the same".into());
        }
        let process = &state.processes[call.process];
        let mut newest = process.loaded.iter().rev();
        let mut why = None;
        loop {
            let Some((since, manifests)) = newest.next() else {
                return why.or(Some("S1: a write without manifests".into()));
            };
            match self.asked_for(state, call, subject, manifests) {
                Ok(licence) => {
                    return self.cap(state, call, subject, licence);
                }
                Err(reason) => why = why.or(Some(reason)),
            }
            if call.at.since(*since) > AT_ONCE {
                return why;
            }
        }
    }

    /// Whether these manifests ask for the write, and why. If the access point's clock differs, they must also ask for
    /// it by that clock.
    fn asked_for(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        manifests: &Manifests,
    ) -> Result<Licence, String> {
        let by_machine = self.asked_for_at(state, call, subject, (manifests, call.wall))?;
        let process = &state.processes[call.process];
        let asked = process
            .api_ahead
            .get(&(call.key.clone(), call.host.clone()));
        let Some((low, high)) = asked else {
            return Ok(by_machine);
        };
        let [low, high] = [low, high].map(|ahead| self.cloud.now() + *ahead);
        let is_apart = low - call.wall > APART || call.wall - high > APART;
        let judge = |now| self.asked_for_at(state, call, subject, (manifests, now));
        if is_apart && judge(low).is_err() {
            let by_api = judge(high);
            by_api.map_err(|why| format!("B2: by the access point's clock, {why}"))?;
        }
        Ok(by_machine)
    }

    fn asked_for_at(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        (manifests, now): (&Manifests, Timestamp),
    ) -> Result<Licence, String> {
        let image = &self.scenario.images[subject.index];
        if !manifests.is_open(image.account, now) {
            return Err("windows: a write while they are closed".into());
        }
        if manifests.twins.contains(&image.account) && self.twin_asks(image, manifests) {
            return Err("S26: a write of an account with two names".into());
        }
        if manifests.speaks_of_names(image.account, image.region) {
            // The model has a tolerance for differing clocks, so it needs no second time.
            return self.asked_for_by_name(state, call, subject, manifests);
        }
        let wish = manifests.wish(subject.index);
        let is_past = |seconds| now >= instant(seconds);
        let is_wanted = |image: usize| match manifests.wish(image).map(|wish| wish.state) {
            None | Some(Wanted::Shared) => true,
            Some(Wanted::Unshared | Wanted::Unnamed) => false,
            Some(Wanted::Until(until)) => !is_past(until),
            Some(Wanted::From(from)) => is_past(from),
        };
        if subject.permission == Permission::Share {
            self.books(state, call.installation, subject.index, |books| {
                books.shares_again(call.process, subject.index, is_wanted);
            });
            return match wish.map(|wish| wish.state) {
                Some(Wanted::Shared) => Ok(Licence::Plain),
                Some(Wanted::Until(until)) if !is_past(until) => Ok(Licence::Plain),
                Some(Wanted::From(from)) if is_past(from) => Ok(Licence::Plain),
                _ => Err("S1: a SHARE that nothing asks for".into()),
            };
        }
        if manifests.is_partial {
            return Err("S3: a CANCEL by manifests that are not all there".into());
        }
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        let is_blind = listing.is_some_and(Listing::is_denied);
        let loss = self.books(state, call.installation, subject.index, |books| {
            books.forbids_cancel(call.process, is_wanted)
        });
        if let Some(why) = loss.filter(|_| !is_blind) {
            return Err(why);
        }
        let is_pruned = match wish {
            Some(wish) if wish.protect => return Err("protect: a CANCEL".into()),
            Some(wish) => match wish.state {
                Wanted::Unshared => return Ok(Licence::Plain),
                Wanted::Until(until) if is_past(until) => false,
                _ => return Err("S1: a CANCEL that nothing asks for".into()),
            },
            None if self.scenario.prune => true,
            None => return Err("S1: a CANCEL of what no manifest names".into()),
        };
        let blueprint = listing.and_then(|listing| listing.shown(subject.id));
        let blueprint = blueprint.unwrap_or_default();
        let since = state.used.get(blueprint);
        if since.is_some_and(|since| call.at.since(*since) > SEEN_MAX + seconds(30)) {
            return Err("N6: a CANCEL of what an instance uses".into());
        }
        if is_pruned && !is_owned(state, call, blueprint) {
            return Err("S10: a CANCEL of a share that is not its own".into());
        }
        Ok(match is_pruned {
            true => Licence::Prune,
            false => Licence::Plain,
        })
    }

    /// Whether a second name of the account asks for something in the region of the image.
    fn twin_asks(&self, image: &Image, manifests: &Manifests) -> bool {
        let images = self.scenario.images.iter().zip(0..);
        let mut here = images
            .filter(|(other, _)| (other.account, other.region) == (image.account, image.region));
        here.any(|(_, index)| manifests.wish(index).is_some())
    }

    /// The same check where documents name images by more than ids.
    fn asked_for_by_name(
        &self,
        state: &State,
        call: &Departure,
        subject: &Subject<'_>,
        manifests: &Manifests,
    ) -> Result<Licence, String> {
        let process = &state.processes[call.process];
        let scope = (call.key.clone(), call.region.clone());
        let listing = process.listings.get(&scope);
        let blueprint = listing.and_then(|listing| listing.shown(subject.id));
        let blueprint = blueprint.unwrap_or_default();
        let since = state.used.get(blueprint);
        let case = Case {
            scenario: &self.scenario,
            cloud: &self.cloud,
            indexes: &self.images,
            manifests,
            observations: &process.observations,
            memory: &state.memories[&call.installation],
            gone: &process.gone,
            call,
            place: place(call).ok_or("S13: a write of another account")?,
            id: subject.id,
            permission: subject.permission,
            is_used: since.is_some_and(|since| call.at.since(*since) > SEEN_MAX + seconds(30)),
            is_owned: is_owned(state, call, blueprint),
        };
        let why = case.judge()?;
        Ok(why.map_or(Licence::Plain, Licence::Cancel))
    }

    /// S7: limits what is pruned after one list of the scope.
    fn cap(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
        licence: Licence,
    ) -> Option<String> {
        let process = &mut state.processes[call.process];
        if let (Licence::Cancel(why), Some(place)) = (&licence, place(call)) {
            process.gone.push(Gone {
                at: call.at,
                place,
                id: subject.id.to_owned(),
                why: why.clone(),
            });
        }
        if !matches!(licence, Licence::Prune | Licence::Cancel(Why::Pruned)) {
            return None;
        }
        let scope = (call.key.clone(), call.region.clone());
        if let Some(in_run) = &mut process.pruned_in_run {
            let in_run = in_run.entry(scope.clone()).or_default();
            in_run.insert(subject.id.to_owned());
            let in_run = in_run.len();
            if in_run > self.scenario.max_cancels as usize {
                return Some(format!("S7: {in_run} pruned in one run"));
            }
        }
        let pruned = process.pruned.entry(scope).or_default();
        pruned.insert(subject.id.to_owned());
        let pruned = pruned.len();
        if pruned > self.scenario.max_cancels as usize {
            return Some(format!("S7: {pruned} pruned at once"));
        }
        let percent = self.scenario.max_cancels_percent;
        let is_over = self.books(state, call.installation, subject.index, |books| {
            books.is_over(pruned, percent, call.at)
        });
        is_over.then(|| format!("S7: {pruned} pruned at once, of which {percent} % are allowed"))
    }

    /// S2 and S4: checks the observations on which the write rests.
    fn seen(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let process = &state.processes[call.process];
        let Some(listing) = process.listings.get(&scope) else {
            return Some("S2: a write without an observation".into());
        };
        if let Some(lost) = process.lost.get(subject.id)
            && listing.began < *lost
        {
            return Some(
                "S8: a write whose answer was lost is repeated without an observation".into(),
            );
        }
        if listing.is_denied() || listing.is_after_denied && !listing.is_complete() {
            return None;
        }
        if !listing.is_complete() {
            return Some("S2: a write by a list that is not complete".into());
        }
        let is_shown = listing.shown(subject.id).is_some();
        if is_shown != (subject.permission == Permission::Cancel) {
            return Some("S17: a write of what is as desired already".into());
        }
        let asked = process.asked.get(subject.id).copied().unwrap_or_default();
        let age = call.at.since(listing.began.max(asked));
        // The answer to the SHARE is then the only information, as if reading were denied.
        let is_blind = listing.is_asking_denied && subject.permission == Permission::Share;
        (age > SEEN_MAX && !is_blind).then(|| format!("S4: what was seen {} s ago", age.as_secs()))
    }

    /// S9: the intent was on the disk before the write was sent.
    fn recorded(
        &self,
        state: &mut State,
        call: &Departure,
        subject: &Subject<'_>,
    ) -> Option<String> {
        let kept = state.kept.get_mut(&call.installation)?;
        let write = (subject.id.to_owned(), subject.permission);
        let intents = kept.intents.get(&write).copied().unwrap_or_default();
        let sent = kept.sent.entry(write).or_default();
        *sent += 1;
        (intents < *sent).then(|| "S9: a write without an intent".into())
    }

    /// S4: an acknowledged write is not repeated when a read lags.
    fn repeated(&self, state: &State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let scope = (call.key.clone(), call.region.clone());
        let listing = state.processes[call.process].listings.get(&scope);
        let account = self.scenario.images[subject.index].account;
        // A process without permission to read knows only what is kept under the account's name.
        let is_blind = listing.is_some_and(Listing::is_denied);
        if self.scenario.machines.len() > 1
            || state.set_clocks.contains(&call.installation)
            || is_blind && state.renamed.contains(&account)
            // Under a new name, writes are known by their dates alone, which a sleep makes uncertain for hours.
            || state.slept.contains(&call.installation) && state.renamed.contains(&account)
        {
            return None;
        }
        let (since, shared, ours) = self.cloud.last_change(&call.region, subject.id);
        // A process cannot tell an answer that lags longer than any normal one from somebody else's change. The same
        // holds for an answer from before the write that comes after an observation has shown the effect.
        if call.at.since(since) >= SEEN_MAX || was_shown(state, call) {
            return None;
        }
        let is_so = ours && shared == (subject.permission == Permission::Share);
        let key = (call.installation, subject.id.to_owned());
        let kept = state.kept.get(&call.installation)?;
        let ended = (subject.permission, WriteResult::Applied);
        let is_kept = kept.ended.get(subject.id) == Some(&ended);
        let is_known = state.acknowledged.get(&key) == Some(&subject.permission) && is_kept;
        (is_so && is_known).then(|| "S4: an acknowledged write is repeated".into())
    }

    /// L4: an image is not written again and again.
    fn looped(&self, state: &mut State, call: &Departure, subject: &Subject<'_>) -> Option<String> {
        let process = &mut state.processes[call.process];
        let written = process.written.entry(subject.index).or_default();
        forget(written, call.at, seconds(3600));
        written.push_back(call.at);
        let many = written.len();
        (many > WRITES_MAX).then(|| format!("L4: {many} writes of one image in an hour"))
    }
}

/// Whether the installation knows that the share is its own, and no person has released it since.
fn is_owned(state: &State, call: &Departure, blueprint: &str) -> bool {
    let share = (call.installation, blueprint.to_owned());
    let released = state.released.get(&share);
    let is_released = released.is_some_and(|at| call.at.since(*at) > PERSON);
    !is_released && state.owned.contains(&share)
}

/// Whether an observation has shown the effect of the last write of the image.
fn was_shown(state: &State, call: &Departure) -> bool {
    let ledger = state.ledger(call.installation);
    let scopes = ledger.scopes.borrow();
    let mut entries = scopes.values().flat_map(|inventory| &inventory.images);
    let entry = entries.find(|(image, _)| call.body["ImageId"] == image.as_str());
    let newest = entry.and_then(|(_, entry)| entry.writes.last());
    newest.is_some_and(|write| write.confirmed)
}

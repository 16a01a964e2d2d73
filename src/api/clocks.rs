//! The offsets of access points' clocks from this machine's clock. Each is known for one caller at one host: a proxy
//! that reports a wrong time, or the STS of one key, says nothing about any other clock. It must not know what the time
//! is used for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::desired::CredentialSource;
use crate::model::{AccountName, Clocks, Monotonic, Timestamp};
use crate::words::{rfc3339, seconds};

/// A clock that is further off than this is reported, but not used for signing.
const SIGNING_MAX: TimeDelta = TimeDelta::hours(24);
/// A `Date` header has whole seconds: it was sent up to this long after the time in it.
const DATE_UNIT: TimeDelta = TimeDelta::seconds(1);
/// A clock that was reported as wrong is reported as right again below this offset, so that a clock near the limit is
/// not reported again and again.
const RECOVERED_BELOW: TimeDelta = TimeDelta::seconds(20);

/// Replies count as recent if they came at most this long before the newest one. Some access points are asked in each
/// pass, others only once.
const LAST_REPLIES: Duration = Duration::from_secs(3600);

/// The identity of a caller at an access point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// An account of the manifests.
    Account(AccountName),
    /// Credentials that are fetched on behalf of their users.
    Credentials(CredentialSource),
}

/// One access point for one caller.
#[derive(Clone, Copy)]
pub(super) struct AccessPoint<'a> {
    pub(super) caller: &'a Caller,
    pub(super) host: &'a str,
}

/// When a reply arrived, and how long the exchange took.
#[derive(Clone, Copy)]
pub(super) struct ReceivedAt {
    pub(super) now: Timestamp,
    pub(super) monotonic: Monotonic,
    pub(super) took: Duration,
}

/// The clocks of all access points whose time is known, by host and by caller. Each call looks up one, and with
/// hundreds of accounts there are thousands.
#[derive(Default)]
pub struct ApiClocks {
    entries: RefCell<BTreeMap<String, BTreeMap<Caller, Entry>>>,
    /// Whether there may be something to report. Each pass checks this, so the check must not visit all entries.
    has_news: Cell<bool>,
}

#[derive(Default)]
struct Entry {
    /// The time of its clock at the zero of the monotonic clock.
    shown: Option<Interval>,
    /// When a reply last showed its time.
    replied_at: Monotonic,
    /// Its time minus this machine's, at that reply.
    ahead: TimeDelta,
    /// The correction of this machine's time for signing.
    signing: TimeDelta,
    /// Whether it has been reported that the clock is wrong.
    is_reported: bool,
}

/// An instant within limits.
#[derive(Clone, Copy)]
struct Interval {
    low: Timestamp,
    high: Timestamp,
}

impl Interval {
    fn middle(self) -> Timestamp {
        self.low + (self.high - self.low) / 2
    }

    /// The limits from both, or those of the newer one if they contradict each other, because then a clock was set.
    fn and(self, newer: Self) -> Self {
        let both = Self {
            low: self.low.max(newer.low),
            high: self.high.min(newer.high),
        };
        if both.low <= both.high { both } else { newer }
    }
}

impl ApiClocks {
    /// Records the time in a reply.
    pub(super) fn observe_reply(
        &self,
        at: AccessPoint<'_>,
        date: Option<&str>,
        received: ReceivedAt,
    ) {
        let Some(date) = parse_date(date) else { return };
        let (monotonic, took) = (span(received.monotonic.since_start()), span(received.took));
        let newer = Interval {
            low: date - monotonic,
            high: date + DATE_UNIT - monotonic + took,
        };
        self.change(at, |entry| {
            let shown = entry.shown.map_or(newer, |older| older.and(newer));
            entry.shown = Some(shown);
            entry.replied_at = received.monotonic;
            entry.ahead = shown.middle() + monotonic - received.now;
            if entry.should_be_reported() != entry.is_reported {
                self.has_news.set(true);
            }
        });
    }

    /// The time by both clocks, or by this machine's alone if the access point's is not known.
    pub(super) fn show(&self, at: AccessPoint<'_>, now: Timestamp, monotonic: Monotonic) -> Clocks {
        let ahead = self.find(at, |entry| {
            // Computed with the monotonic clock, because this machine's clock may have been set since the reply.
            Some(entry.shown?.middle() + span(monotonic.since_start()) - now)
        });
        Clocks::new(now, ahead.flatten().unwrap_or_default())
    }

    /// The access point's time minus this machine's, according to its newest reply.
    pub(super) fn offset(&self, at: AccessPoint<'_>) -> Option<TimeDelta> {
        self.find(at, |entry| entry.shown.map(|_| entry.ahead))?
    }

    /// The time to sign requests with.
    pub(super) fn signing(&self, at: AccessPoint<'_>, now: Timestamp) -> Timestamp {
        let signing = self.find(at, |entry| entry.signing).unwrap_or_default();
        now.checked_add_signed(signing).unwrap_or(now)
    }

    /// Handles the refusal of a signature from `signed_at` as too old, with a reply that contains `date`. Returns
    /// whether signing again with that time may help.
    pub(super) fn correct_signing(
        &self,
        at: AccessPoint<'_>,
        date: Option<&str>,
        signed_at: i64,
        now: Timestamp,
    ) -> bool {
        let Some(server) = parse_date(date) else {
            return false;
        };
        let offset = server - now;
        if offset.abs() > SIGNING_MAX || (server.timestamp() - signed_at).abs() < 2 {
            return false;
        }
        let seconds = offset.num_seconds();
        tracing::debug!(
            host = at.host,
            seconds,
            "signing by the access point's clock"
        );
        self.change(at, |entry| entry.signing = offset);
        true
    }

    /// The offset of an account's access point that is furthest off, minus this machine's time, according to the last
    /// replies. Zero if no time is known. An access point that has not replied for `LAST_REPLIES` while another one
    /// has, such as that of an unused account, does not count.
    pub fn largest_offset(&self, now: Timestamp, monotonic: Monotonic) -> TimeDelta {
        let entries = self.entries.borrow();
        let of_accounts = entries.values().flatten();
        let of_accounts = of_accounts.filter(|(caller, _)| matches!(caller, Caller::Account(_)));
        let told = of_accounts.filter_map(|(_, entry)| Some((entry.replied_at, entry.shown?)));
        let newest = told.clone().map(|(replied_at, _)| replied_at).max();
        let last = told.filter(|(replied_at, _)| {
            newest.is_some_and(|newest| newest.since(*replied_at) <= LAST_REPLIES)
        });
        let ahead = last.map(|(_, shown)| shown.middle() + span(monotonic.since_start()) - now);
        ahead.max_by_key(|ahead| ahead.abs()).unwrap_or_default()
    }

    /// The changes of the clocks since the last report, for a person. `now` is this machine's time.
    pub fn take_reports(&self, now: Timestamp) -> Vec<ClockReport> {
        let mut reports = Vec::new();
        if !self.has_news.take() {
            return reports;
        }
        for (host, entries) in self.entries.borrow_mut().iter_mut() {
            for (caller, entry) in entries {
                let is_reported = entry.should_be_reported();
                if is_reported == entry.is_reported {
                    continue;
                }
                entry.is_reported = is_reported;
                let at = AccessPoint { caller, host };
                let text = match is_reported {
                    true => entry.warning(at, now),
                    false => format!("{} agrees with this machine's again", at.name()),
                };
                reports.push(ClockReport {
                    text,
                    is_right: !is_reported,
                });
            }
        }
        reports
    }

    fn find<T>(&self, at: AccessPoint<'_>, what: impl Fn(&Entry) -> T) -> Option<T> {
        let entries = self.entries.borrow();
        entries.get(at.host)?.get(at.caller).map(what)
    }

    fn change(&self, at: AccessPoint<'_>, how: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries
            .get_mut(at.host)
            .and_then(|entries| entries.get_mut(at.caller))
        {
            how(entry);
        } else {
            let of_host = entries.entry(at.host.to_owned()).or_default();
            how(of_host.entry(at.caller.clone()).or_default());
        }
    }
}

/// A clock that is far off, or is right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// One line for a person, with the remedy.
    pub text: String,
    /// Whether it is right again.
    pub is_right: bool,
}

impl AccessPoint<'_> {
    fn name(&self) -> String {
        format!("{}: the clock of {}", self.caller, self.host)
    }
}

impl Entry {
    /// Whether a person should know that the clock is wrong.
    fn should_be_reported(&self) -> bool {
        let off = self.ahead.abs();
        match self.is_reported {
            true => off >= RECOVERED_BELOW,
            false => off > Clocks::APART_MAX,
        }
    }

    fn warning(&self, at: AccessPoint<'_>, now: Timestamp) -> String {
        let off = seconds(self.ahead.abs().to_std().unwrap_or_default());
        let side = match self.ahead < TimeDelta::zero() {
            true => "behind",
            false => "ahead of",
        };
        let there = now.checked_add_signed(self.ahead).unwrap_or(now);
        let text = format!(
            "{} is {off} {side} this machine's ({there} there, {now} here)",
            at.name(),
            there = rfc3339(there),
            now = rfc3339(now)
        );
        let effect = match at.caller {
            Caller::Account(_) => {
                "; changes that the two clocks disagree about (`until`, `from`, windows, the end of a suspension) are withheld"
            }
            Caller::Credentials(_) => "",
        };
        format!("{text}{effect}; {}", Clocks::REMEDY)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account `{name}`"),
            Self::Credentials(source) => write!(f, "credentials `{source}`"),
        }
    }
}

/// The time of a `Date` header.
pub(super) fn parse_date(date: Option<&str>) -> Option<Timestamp> {
    let date = DateTime::parse_from_rfc2822(date?).ok()?;
    Some(date.with_timezone(&Utc))
}

fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::at;

    const HOST: &str = "lighthouse.intl.tencentcloudapi.com";

    fn account(name: &str) -> Caller {
        Caller::Account(AccountName::new(name).expect("a name"))
    }

    /// Records a reply that took `took` and arrived at `seconds`, from a clock that is `ahead` by milliseconds.
    fn reply(clocks: &ApiClocks, caller: &Caller, seconds: i64, took: u64, ahead: i64) {
        let sent = at(seconds) - TimeDelta::milliseconds(i64::try_from(took).expect("small") / 2);
        let date = sent + TimeDelta::milliseconds(ahead);
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let received = ReceivedAt {
            now: at(seconds),
            monotonic: monotonic(seconds),
            took: Duration::from_millis(took),
        };
        let point = AccessPoint { caller, host: HOST };
        clocks.observe_reply(point, Some(&date), received);
    }

    fn monotonic(seconds: i64) -> Monotonic {
        Monotonic::new(Duration::from_secs(
            u64::try_from(seconds).expect("positive"),
        ))
    }

    fn apart(clocks: &ApiClocks, caller: &Caller, seconds: i64) -> Option<i64> {
        let point = AccessPoint { caller, host: HOST };
        let shown = clocks.show(point, at(seconds), monotonic(seconds));
        shown.api().map(|_| shown.api_ahead().num_seconds())
    }

    #[test]
    fn b2_an_offset_belongs_to_one_account_at_one_access_point() {
        let clocks = ApiClocks::default();
        let (a, b) = (account("a"), account("b"));
        reply(&clocks, &b, 10, 80, 72_000_000);
        let point = |caller, host| AccessPoint { caller, host };
        let date = "Mon, 21 Sep 2026 16:13:20 GMT";
        let there = parse_date(Some(date)).expect("a date");
        let here = there - TimeDelta::hours(3);
        assert!(clocks.correct_signing(point(&b, HOST), Some(date), here.timestamp(), here));
        assert_eq!(clocks.signing(point(&b, HOST), here), there);
        for (caller, host) in [(&a, HOST), (&b, "lighthouse.tencentcloudapi.com")] {
            assert_eq!(clocks.signing(point(caller, host), here), here);
            let shown = clocks.show(point(caller, host), here, Monotonic::default());
            assert_eq!(shown, Clocks::machine_only(here));
            assert_eq!(clocks.offset(point(caller, host)), None);
        }
        let keys = Caller::Credentials(CredentialSource::Environment);
        assert_eq!(clocks.signing(point(&keys, HOST), here), here);
    }

    #[test]
    fn b10_29_seconds_are_agreement_and_31_are_not_however_the_second_falls() {
        let a = account("a");
        for millis in (0..1000).step_by(50) {
            for took in [0, 80, 400] {
                for (ahead, is_apart) in [(29_000, false), (31_000, true)] {
                    for ahead in [ahead, -ahead] {
                        let clocks = ApiClocks::default();
                        let fraction = TimeDelta::milliseconds(millis);
                        let sent = at(10) + fraction - TimeDelta::milliseconds(took / 2);
                        let date = sent + TimeDelta::milliseconds(ahead);
                        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                        let received = ReceivedAt {
                            now: at(10) + fraction,
                            monotonic: monotonic(10) + Duration::from_millis(millis.unsigned_abs()),
                            took: Duration::from_millis(took.unsigned_abs()),
                        };
                        let point = AccessPoint {
                            caller: &a,
                            host: HOST,
                        };
                        clocks.observe_reply(point, Some(&date), received);
                        let shown = clocks.show(point, received.now, received.monotonic);
                        assert_eq!(shown.api().is_some(), is_apart, "{ahead} {millis} {took}");
                    }
                }
            }
        }
    }

    #[test]
    fn b10_quick_replies_outweigh_a_slow_one_and_a_new_time_replaces_the_old() {
        let clocks = ApiClocks::default();
        let a = account("a");
        reply(&clocks, &a, 10, 80, 33_000);
        // Its date is from the very start or the very end of eight seconds.
        reply(&clocks, &a, 30, 8_000, 29_500);
        assert_eq!(apart(&clocks, &a, 30), Some(32));
        reply(&clocks, &a, 40, 80, 0);
        assert_eq!(apart(&clocks, &a, 40), None);
    }

    #[test]
    fn b2_this_machines_clock_may_be_set_between_a_reply_and_a_decision() {
        let clocks = ApiClocks::default();
        let a = account("a");
        reply(&clocks, &a, 10, 80, 0);
        let point = AccessPoint {
            caller: &a,
            host: HOST,
        };
        let shown = clocks.show(point, at(3620), monotonic(20));
        assert_eq!(shown.api_ahead().num_seconds().abs(), 3600);
    }

    #[test]
    fn r6_the_largest_offset_is_what_the_last_replies_say_with_its_sign() {
        let clocks = ApiClocks::default();
        let largest = |now: i64| {
            let offset = clocks.largest_offset(at(now), monotonic(now));
            (offset.num_milliseconds() as f64 / 1e3).round()
        };
        let same = |a: f64, b: f64| assert_eq!(a.to_bits(), b.to_bits(), "{a} and {b}");
        same(largest(5), 0.0);
        let (a, b) = (account("a"), account("b"));
        for (seconds, caller, ahead, expected) in [
            (10, &a, 10_500, 10.0),
            (20, &b, -120_500, -121.0),
            (30, &a, 290_500, 290.0),
            // A newer reply replaces an older one of the same clock.
            (40, &a, 500, -121.0),
            (50, &b, 3_500, 3.0),
        ] {
            reply(&clocks, caller, seconds, 80, ahead);
            let shown = largest(seconds);
            assert!((shown - expected).abs() <= 1.0, "{shown}, {expected}");
        }
        // This machine's clock is set by two minutes, with no reply since.
        let set = clocks.largest_offset(at(180), monotonic(60));
        assert!((set.num_seconds() + 120).abs() <= 4, "{set}");
        // An access point that is no longer asked does not count forever.
        reply(&clocks, &b, 100, 80, 600_000);
        same(largest(100).max(600.0), largest(100));
        reply(&clocks, &a, 3_800, 80, 500);
        assert!(largest(3_800) <= 1.0, "{}", largest(3_800));
        // A source that fetches credentials has its own clock, which no change depends on.
        let keys = Caller::Credentials(CredentialSource::Environment);
        reply(&clocks, &keys, 3_810, 80, 900_000);
        assert!(largest(3_810) <= 1.0, "{}", largest(3_810));
    }

    #[test]
    fn b10_each_access_point_is_told_of_once_and_when_it_is_right_again() {
        let clocks = ApiClocks::default();
        let (a, b) = (account("a"), account("b"));
        reply(&clocks, &a, 10, 80, 72_000_000);
        reply(&clocks, &b, 10, 80, 29_000);
        let reports = clocks.take_reports(at(10));
        assert_eq!(reports.len(), 1, "{reports:?}");
        for part in [
            "account `a`",
            HOST,
            "2026-09-21T14:13:30Z here",
            "2026-09-22T10:13",
        ] {
            assert!(
                reports[0].text.contains(part),
                "{part}: {}",
                reports[0].text
            );
        }
        reply(&clocks, &a, 20, 80, 72_000_000);
        assert_eq!(clocks.take_reports(at(20)), []);
        reply(&clocks, &a, 30, 80, 25_000);
        assert_eq!(clocks.take_reports(at(30)), [], "not far enough back");
        reply(&clocks, &a, 40, 80, 0);
        let reports = clocks.take_reports(at(40));
        assert!(reports.len() == 1 && reports[0].is_right, "{reports:?}");
    }

    #[test]
    fn c1_an_offset_beyond_a_day_is_not_signed_by() {
        let clocks = ApiClocks::default();
        let a = account("a");
        let point = AccessPoint {
            caller: &a,
            host: HOST,
        };
        let date = "Mon, 21 Sep 2026 16:13:20 GMT";
        let there = parse_date(Some(date)).expect("a date");
        for (hours, helps) in [(23, true), (24, true), (25, false), (-25, false)] {
            let here = there - TimeDelta::hours(hours);
            let said = clocks.correct_signing(point, Some(date), here.timestamp(), here);
            assert_eq!(said, helps, "{hours}");
        }
        let signed = there.timestamp() - 1;
        assert!(
            !clocks.correct_signing(point, Some(date), signed, there),
            "it was signed right"
        );
    }
}

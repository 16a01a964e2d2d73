//! Checks of an account, judged from the API's answers: its credentials, its identity, its clock and its rate.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::TimeDelta;

use super::reach::REACH;
use super::{Check, CheckName, Status};
use crate::api::error::{CallError, Class, Refusal, WRONG_ACCOUNT};
use crate::api::protocol::wire::{Action, CallerIdentity};
use crate::api::{CredentialError, Owner, Provenance};
use crate::model::{AccountName, Region, Uin};
use crate::words::{brief, seconds, with_request_id};

/// Clocks may differ by this much without a fault.
const OFFSET_FINE: TimeDelta = TimeDelta::seconds(30);
/// The API refuses requests whose signing time is further off.
const OFFSET_MAX: TimeDelta = TimeDelta::seconds(300);

/// The source of the credentials, and the sources that were tried before it; or why there are none.
pub fn credentials(found: Result<&Provenance, &CredentialError>) -> Vec<Check> {
    let about = CheckName::Credentials;
    let provenance = match found {
        Ok(provenance) => provenance,
        Err(error) => {
            let (message, remedy) = error.message_and_remedy();
            let remedy = remedy.unwrap_or_else(|| {
                "fix that source, or name another one as `spec.credentials` of the `Account` document"
                    .into()
            });
            return vec![Check::new(about, Status::Failed, message).remedy(remedy)];
        }
    };
    let mut message = format!("from {}", provenance.used);
    match (provenance.left, provenance.temporary) {
        (Some(left), _) => {
            let _ = write!(
                message,
                "; temporary, new ones are fetched before these expire in {}",
                seconds(left)
            );
        }
        (None, true) => {
            message.push_str("; temporary (there is a token), and their expiry is not known");
        }
        (None, false) => {}
    }
    if !provenance.tried.is_empty() {
        let _ = write!(
            message,
            "; tried before, in order: {}",
            provenance.tried.join(", ")
        );
    }
    let mut checks = vec![Check::new(about, Status::Passed, message)];
    checks.extend(provenance.exposures.iter().map(|exposure| {
        Check::new(about, Status::Warning, &exposure.what).remedy(&exposure.remedy)
    }));
    checks
}

/// The owner of the credentials, compared with the `uin` of the account's document. A missing answer is an error only
/// if a document gives a `uin`.
pub fn identity(
    account: &AccountName,
    named: Option<&Uin>,
    answer: &Result<CallerIdentity, CallError>,
) -> Check {
    let about = CheckName::Identity;
    let found = match answer {
        Ok(found) => found,
        Err(error) => return unidentified(named, error),
    };
    let mut who = format!("uin {}", brief(&found.account_id));
    let words = [&found.r#type, &found.arn].into_iter().flatten();
    for word in words.filter(|word| !word.is_empty()) {
        let _ = write!(who, ", {}", brief(word));
    }
    match (named, Uin::new(&found.account_id)) {
        (Some(named), Ok(uin)) if *named == uin => Check::new(
            about,
            Status::Passed,
            format!("{who}: as the `Account` document says"),
        ),
        (Some(named), _) => Check::new(
            about,
            Status::Failed,
            format!("{who}, but account `{account}` says uin {named}"),
        )
        .remedy(wrong_account()),
        (None, Ok(uin)) => Check::new(about, Status::Passed, who).remedy(format!(
            "add `uin: \"{uin}\"` to the `Account` document `{account}`, so that no other account's key is ever used"
        )),
        (None, Err(error)) => Check::new(
            about,
            Status::Warning,
            format!("STS answered with AccountId `{}`, but {error}", brief(&found.account_id)),
        ),
    }
}

/// Whether two account names that are used in the same `regions` are two accounts. Returns nothing if they are.
pub fn told_apart(
    name: &AccountName,
    other: &AccountName,
    owners: [Option<&Owner>; 2],
    regions: &[Region],
) -> Option<Check> {
    let about = CheckName::Account;
    let regions: Vec<_> = regions.iter().map(|region| region.as_str()).collect();
    let regions = regions.join(", ");
    let [Some(first), Some(second)] = owners else {
        return Some(unknown_apart(name, other, &regions));
    };
    let how = match (&first.uin, &second.uin) {
        _ if first.key == second.key => "their keys have the same secret id".to_owned(),
        (Some(a), Some(b)) if a == b => format!("both are uin {a}"),
        (Some(_), Some(_)) => return None,
        _ => return Some(unknown_apart(name, other, &regions)),
    };
    let check = Check::new(
        about,
        Status::Failed,
        format!("`{name}` and `{other}` are one account ({how}), and both name {regions}"),
    )
    .remedy(format!(
        "use one account name for each region: nothing is written for either; write `account: {name}` in the documents of \
         `{other}`, or give `{other}` its own credentials"
    ));
    Some(check.of(name))
}

fn unknown_apart(name: &AccountName, other: &AccountName, regions: &str) -> Check {
    Check::new(
        CheckName::Account,
        Status::Warning,
        format!("it is not known whether `{name}` and `{other}`, which both name {regions}, are two accounts"),
    )
    .remedy(
        "nothing is pruned there meanwhile; allow `sts:GetCallerIdentity` for both keys, and give both accounts their `spec.uin`",
    )
    .of(name)
}

/// The remedy depends on the obstacle: the key, a permission, or the network.
fn unidentified(named: Option<&Uin>, error: &CallError) -> Check {
    let about = CheckName::Identity;
    let (said, remedy, is_key) = match error {
        CallError::Refused(refusal) | CallError::AccountBroken(refusal) => (
            with_request_id(&refusal.summary(), refusal.request_id.as_deref()),
            refusal
                .remedy()
                .unwrap_or_else(|| "try again: this is temporary".to_owned()),
            matches!(refusal.class, Class::AccountBlocked | Class::ClockOff),
        ),
        CallError::NotSent(detail) | CallError::Unclear(detail) => {
            (detail.to_string(), REACH.to_owned(), false)
        }
    };
    let message = format!("GetCallerIdentity: {said}");
    match named {
        _ if is_key => Check::new(about, Status::Failed, message).remedy(remedy),
        Some(_) => Check::new(about, Status::Failed, message).remedy(format!(
            "{remedy}; or remove `uin` from the `Account` document"
        )),
        None => Check::new(about, Status::Warning, message).remedy(format!(
            "nothing depends on it as long as no `Account` document gives a `uin`; to be able to give one: {remedy}"
        )),
    }
}

/// The remedy for credentials that belong to another account.
fn wrong_account() -> String {
    let refusal = Refusal {
        code: WRONG_ACCOUNT.into(),
        message: String::new(),
        request_id: None,
        class: Class::AccountBlocked,
        asked: None,
        relay: None,
    };
    refusal.remedy().unwrap_or_default()
}

/// This machine's clock; `offsets` are the times of access points minus ours. One check if all of them agree, else one
/// for each that does not.
pub fn clocks(offsets: &BTreeMap<String, TimeDelta>) -> Vec<Check> {
    let (about, none) = (CheckName::Clock, "no reply contained the API's time");
    let each = || offsets.iter().map(|(host, offset)| (host, *offset));
    let off = each().filter(|(_, offset)| offset.abs() >= OFFSET_FINE);
    let mut checks: Vec<_> = off.map(|(host, offset)| clock(host, offset)).collect();
    if checks.is_empty() {
        let worst = each().max_by_key(|(_, offset)| offset.abs());
        checks.push(match worst {
            Some((host, offset)) => clock(host, offset),
            None => Check::new(about, Status::Skipped, none),
        });
    }
    checks
}

fn clock(host: &str, offset: TimeDelta) -> Check {
    let off = match offset.num_seconds() {
        0 => "agrees with the API's to the second".into(),
        1.. => format!("is {} behind the API's", span(offset)),
        ..0 => format!("is {} ahead of the API's", span(offset)),
    };
    let held = format!("; time-dependent changes are made only where both clocks agree ({host})");
    let (status, what) = match offset.abs() {
        small if small < OFFSET_FINE => (Status::Passed, String::new()),
        large if large <= OFFSET_MAX => (
            Status::Warning,
            format!("; beyond 5 min calls are refused{held}"),
        ),
        _ => (
            Status::Failed,
            format!(", so that calls are signed with the API's time{held}"),
        ),
    };
    let message = format!("this machine's clock {off}{what}");
    let check = Check::new(CheckName::Clock, status, message);
    match status {
        Status::Passed => check,
        _ => check.remedy(
            "set the clock, and keep it right with a service such as chrony or systemd-timesyncd; if it is right already, check what answers \
             there: a proxy with a wrong clock sends it in `Date`",
        ),
    }
}

fn span(offset: TimeDelta) -> String {
    seconds(offset.abs().to_std().unwrap_or_default())
}

/// The rate that an account may use at its access points, and the accounts that share the same quota.
pub fn rate_budget(rate: u32, hosts: &[String], sharing: &[&AccountName]) -> Check {
    let quota = Action::ModifyImageSharePermission.limit_per_second();
    let places = match hosts {
        [one] => format!("at {one}"),
        many => format!("at each of {} access points", many.len()),
    };
    let mut message = format!(
        "{rate} writes a second {places}, of a quota of {quota} that the console and every other tool share"
    );
    if !sharing.is_empty() {
        let names: Vec<_> = sharing.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(
            message,
            "; the credentials are those of {} too, and so is the quota",
            names.join(", ")
        );
    }
    if rate < quota {
        return Check::new(CheckName::RateBudget, Status::Passed, message);
    }
    Check::new(CheckName::RateBudget, Status::Warning, message)
        .remedy("a lower `spec.rate` in the `Account` document leaves something to the console")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Asked;

    #[test]
    fn c1_a_clock_passes_below_30_s_and_fails_beyond_5_min_either_way() {
        for (seconds, status) in [
            (0, Status::Passed),
            (29, Status::Passed),
            (30, Status::Warning),
            (300, Status::Warning),
            (301, Status::Failed),
        ] {
            for seconds in [seconds, -seconds] {
                let offsets = BTreeMap::from([("a".to_owned(), TimeDelta::seconds(seconds))]);
                let checks = clocks(&offsets);
                let [check] = &*checks else {
                    panic!("{checks:?}");
                };
                assert_eq!(check.status, status, "{seconds}: {}", check.message);
                assert_eq!(check.remedy.is_some(), status != Status::Passed);
            }
        }
        assert_eq!(clocks(&BTreeMap::new())[0].status, Status::Skipped);
    }

    #[test]
    fn b10_each_access_point_whose_clock_is_off_has_a_line() {
        let offsets = [("a.test", 3), ("b.test", 72_000), ("c.test", -31)];
        let offsets = offsets.map(|(host, ahead)| (host.to_owned(), TimeDelta::seconds(ahead)));
        let checks = clocks(&BTreeMap::from(offsets));
        let [b, c] = &*checks else {
            panic!("{checks:?}");
        };
        assert_eq!((b.status, c.status), (Status::Failed, Status::Warning));
        for (check, off, host) in [
            (b, "20 h 0 min behind the API's", "(b.test)"),
            (c, "31.0 s ahead of the API's", "(c.test)"),
        ] {
            let said = check.message.contains(off) && check.message.ends_with(host);
            assert!(said, "{}", check.message);
        }
    }

    #[test]
    fn t7_a_network_in_the_way_is_not_mended_by_a_permission() {
        let uin = Uin::new("100000000001").expect("a uin");
        let silent = || CallError::NotSent("sts.test: nobody knows this name".into());
        let denied = || {
            CallError::Refused(Refusal {
                code: "UnauthorizedOperation".into(),
                message: "no".into(),
                request_id: Some("r-1".into()),
                class: Class::ScopeBlocked,
                asked: Some(Asked::Read(Action::GetCallerIdentity)),
                relay: None,
            })
        };
        for named in [Some(&uin), None] {
            for (error, is_denied) in [(silent(), false), (denied(), true)] {
                let check = identity(&AccountName::default(), named, &Err(error));
                let remedy = check.remedy.expect("a remedy");
                let permits = remedy.contains("allow sts:GetCallerIdentity");
                assert_eq!(permits, is_denied, "{remedy}");
                assert_eq!(remedy.contains("name resolution"), !is_denied, "{remedy}");
                let names_id = check.message.contains("[RequestId r-1]");
                assert_eq!(names_id, is_denied, "{}", check.message);
            }
        }
    }

    #[test]
    fn o1_s22_what_sts_answers_cannot_add_a_line() {
        let answer = Ok(CallerIdentity {
            arn: "a\n::error::\u{1b}[2J".to_owned().into(),
            account_id: "100000000001".into(),
            ..Default::default()
        });
        let check = identity(&AccountName::default(), None, &answer);
        assert!(
            !check.message.contains(['\n', '\u{1b}']),
            "{}",
            check.message
        );
    }
}

//! Causes that affect many images at once: a broken account, a region that cannot be read, a missing permission. Each
//! cause is one finding, with its regions and images, for every document that reports it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::image::ImageStatus;
use super::reason::Reason;
use super::{Activity, Board, ScopeStatus, Subject, Transition};
use crate::attempts::Problem;
use crate::model::{AccountName, Region, Scope};
use crate::observation::Unobserved;
use crate::plan::View;

/// The most images that a cause names; there may be thousands.
pub const NAMED_MAX: usize = 8;

/// One cause that prevents changes of any number of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub account: AccountName,
    /// Regions in which it occurs.
    pub regions: BTreeSet<Region>,
    pub kind: CauseKind,
    /// Error code of the API or of sharekeeper, where there is one.
    pub code: Option<String>,
    /// One line for a person, without the remedy.
    pub message: String,
    /// The remedy for a person, where one is known.
    pub remedy: Option<String>,
    /// RequestId of the first answer with this cause.
    pub request_id: Option<String>,
    /// Number of images that it affects.
    pub images: u64,
    /// The first few affected images, if each was refused on its own.
    pub names: Vec<String>,
}

/// The kind of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CauseKind {
    /// The credentials do not work, or belong to another account.
    AccountBroken,
    /// The service role by which Lighthouse reads the account's images is missing.
    RoleMissing,
    /// CAM does not allow this action to the key.
    PermissionMissing,
    /// The region is not available to the account, or does not offer the action.
    RegionNotOffered,
    /// Reading is denied; sharekeeper works without seeing the shares.
    ReadDenied,
    /// The regions could not be read.
    NotSeen,
    /// Nothing more is tried for now, for another reason.
    NotTried,
}

impl CauseKind {
    /// The word in JSON documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountBroken => "account_broken",
            Self::RoleMissing => "role_missing",
            Self::PermissionMissing => "permission_missing",
            Self::RegionNotOffered => "region_not_offered",
            Self::ReadDenied => "read_denied",
            Self::NotSeen => "not_seen",
            Self::NotTried => "not_tried",
        }
    }

    /// The kind of cause that an error code stands for; `None` if it concerns only the image.
    pub fn of_code(code: &str) -> Option<Self> {
        let family = code.split('.').next().unwrap_or_default();
        if family == "UnsupportedRegion" || code == "AuthFailure.InvalidRegion" {
            return Some(Self::RegionNotOffered);
        }
        let problem = Problem {
            code: Some(code.to_owned()),
            ..Problem::new("")
        };
        match Reason::of_problem(&problem, Reason::Refused) {
            Reason::NoPermission => Some(Self::PermissionMissing),
            Reason::RoleMissing => Some(Self::RoleMissing),
            Reason::AccountBroken => Some(Self::AccountBroken),
            _ => None,
        }
    }
}

/// One occurrence of a cause at one place.
#[derive(Clone, Copy, Debug)]
pub struct Trouble<'a> {
    pub kind: CauseKind,
    pub code: Option<&'a str>,
    /// One line for a person; it may end with the remedy in parentheses.
    pub message: &'a str,
    pub remedy: Option<&'a str>,
    pub request_id: Option<&'a str>,
}

impl<'a> Trouble<'a> {
    /// Why a scope could not be observed.
    pub fn of_unobserved(why: &'a Unobserved) -> Self {
        let code = why.code.as_deref();
        let kind = match why.account_broken {
            true => CauseKind::AccountBroken,
            false => code
                .and_then(CauseKind::of_code)
                .unwrap_or(CauseKind::NotSeen),
        };
        Self {
            kind,
            ..Self::of(
                kind,
                code,
                &why.reason,
                why.remedy.as_deref(),
                why.request_id.as_deref(),
            )
        }
    }

    /// Why sharekeeper works on a scope without reading it.
    pub fn of_read_denied(why: &'a Unobserved) -> Self {
        Self {
            kind: CauseKind::ReadDenied,
            ..Self::of_unobserved(why)
        }
    }

    /// Why an image was refused, if the reason concerns more than the image.
    pub fn of_refused(problem: &'a Problem) -> Option<Self> {
        let code = problem.code.as_deref()?;
        let kind = CauseKind::of_code(code).filter(|_| problem.unmet.is_none())?;
        Some(Self::of_problem(kind, problem))
    }

    /// Why nothing more is tried.
    pub fn of_pause(problem: &'a Problem) -> Self {
        let code = problem.code.as_deref();
        let kind = code.and_then(CauseKind::of_code);
        Self::of_problem(kind.unwrap_or(CauseKind::NotTried), problem)
    }

    fn of_problem(kind: CauseKind, problem: &'a Problem) -> Self {
        let (code, id) = (problem.code.as_deref(), problem.request_id.as_deref());
        Self::of(kind, code, &problem.message, problem.remedy.as_deref(), id)
    }

    fn of(
        kind: CauseKind,
        code: Option<&'a str>,
        message: &'a str,
        remedy: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> Self {
        Self {
            kind,
            code,
            message,
            remedy,
            request_id,
        }
    }

    fn key(&self, scope: &Scope) -> Key {
        let code = self.code.map(str::to_owned);
        Key {
            account: scope.account.clone(),
            kind: self.kind,
            what: code.unwrap_or_else(|| self.words(scope.region)),
            remedy: self.remedy.map(str::to_owned),
        }
    }

    /// The message without the remedy, and with `{region}` for the name of the region: where each region has its own
    /// access point, all of them may be down for one reason.
    fn words(&self, region: Region) -> String {
        let tail = self.remedy.map(|remedy| format!(" ({remedy})"));
        let message = tail.and_then(|tail| self.message.strip_suffix(&*tail));
        message
            .unwrap_or(self.message)
            .replace(region.as_str(), "{region}")
    }
}

/// Two troubles with one key are one cause. They have the same code and remedy, whatever the API's text names; or,
/// without a code, the same text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    account: AccountName,
    kind: CauseKind,
    what: String,
    remedy: Option<String>,
}

/// Collects occurrences of trouble into causes.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    found: BTreeMap<Key, Cause>,
}

impl Causes {
    /// Adds a trouble that affects `images` images of a scope; `name` is the name of a single image.
    pub fn add(&mut self, scope: &Scope, trouble: Trouble<'_>, images: u64, name: Option<String>) {
        let Trouble { kind, code, .. } = trouble;
        let cause = self
            .found
            .entry(trouble.key(scope))
            .or_insert_with(|| Cause {
                account: scope.account.clone(),
                regions: BTreeSet::new(),
                kind,
                code: code.map(str::to_owned),
                message: trouble.words(scope.region),
                remedy: trouble.remedy.map(str::to_owned),
                request_id: trouble.request_id.map(str::to_owned),
                images: 0,
                names: Vec::new(),
            });
        cause.regions.insert(scope.region);
        cause.images += images;
        if cause.request_id.is_none() {
            cause.request_id = trouble.request_id.map(str::to_owned);
        }
        if cause.names.len() < NAMED_MAX {
            cause.names.extend(name);
        }
    }

    /// The number of images affected by this cause, as far as they were added.
    pub fn images(&self, scope: &Scope, trouble: Trouble<'_>) -> u64 {
        let cause = self.found.get(&trouble.key(scope));
        cause.map_or(0, |cause| cause.images)
    }

    /// The cause with this key, if anything was added to it.
    pub(super) fn get(&self, key: &Key) -> Option<&Cause> {
        self.found.get(key)
    }

    /// All causes, by account, the widest kind first. The message of a cause in a single region names the region.
    pub fn into_vec(self) -> Vec<Cause> {
        self.into_list().causes
    }

    fn into_list(self) -> CauseList {
        let (mut causes, mut places) = (Vec::new(), BTreeMap::new());
        for (key, mut cause) in self.found {
            let mut regions = cause.regions.iter();
            if let (Some(only), None) = (regions.next(), regions.next()) {
                cause.message = cause.message.replace("{region}", only.as_str());
            }
            places.insert(key, causes.len());
            causes.push(cause);
        }
        CauseList { causes, places }
    }
}

/// All causes of a board, and a lookup from each image to its cause.
pub struct CauseList {
    causes: Vec<Cause>,
    places: BTreeMap<Key, usize>,
}

impl CauseList {
    /// The causes by account, the widest kind first.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The index of the cause that affects all images of a scope because it cannot be observed.
    pub fn of_unseen(&self, scope: &Scope, status: &ScopeStatus) -> Option<usize> {
        let Some(View::Unobserved(why)) = &status.view else {
            return None;
        };
        self.place(scope, Trouble::of_unobserved(why))
    }

    /// The index of the cause that affects an image of an observed scope, if it does not concern the image alone.
    pub fn of_image(
        &self,
        scope: &Scope,
        status: &ScopeStatus,
        image: &ImageStatus,
    ) -> Option<usize> {
        self.place(scope, status.trouble_of(image)?)
    }

    fn place(&self, scope: &Scope, trouble: Trouble<'_>) -> Option<usize> {
        self.places.get(&trouble.key(scope)).copied()
    }
}

impl Board {
    /// The causes in the selected scopes.
    pub fn causes(&self, is_picked: impl Fn(&Scope) -> bool) -> Vec<Cause> {
        self.cause_list(is_picked).causes
    }

    /// The causes in the selected scopes, with the lookup from images to causes.
    pub fn cause_list(&self, is_picked: impl Fn(&Scope) -> bool) -> CauseList {
        self.causes_by_key(is_picked).into_list()
    }

    pub(super) fn causes_by_key(&self, is_picked: impl Fn(&Scope) -> bool) -> Causes {
        let mut causes = Causes::default();
        for (scope, status) in &self.scopes {
            if is_picked(scope) {
                status.add_causes(scope, &mut causes);
            }
        }
        causes
    }

    /// The key of the cause that a transition reports.
    pub(super) fn key_of(&self, transition: &Transition) -> Option<Key> {
        match &transition.subject {
            Subject::Image(key) => {
                let status = self.scopes.get(&key.scope)?;
                let trouble = status.trouble_of(status.images.get(&key.image)?)?;
                Some(trouble.key(&key.scope))
            }
            Subject::Scope(scope) => Some(self.scopes.get(scope)?.trouble()?.key(scope)),
            Subject::Account(account) => self.scopes_of(account).find_map(|(scope, status)| {
                let trouble = match transition.reason {
                    Some(reason) => {
                        let mut images = status.images.values();
                        status.trouble_of(images.find(|image| image.reason == reason)?)
                    }
                    None => status.trouble().filter(|trouble| match &status.view {
                        Some(View::Unobserved(_)) => trouble.kind == CauseKind::AccountBroken,
                        _ => status.stall.denial(true).is_some(),
                    }),
                };
                Some(trouble?.key(scope))
            }),
            Subject::Manifests | Subject::State | Subject::Selection(_) => None,
        }
    }
}

impl ScopeStatus {
    /// Why nothing is observed or done in the whole scope.
    fn trouble(&self) -> Option<Trouble<'_>> {
        match &self.view {
            _ if matches!(self.activity, Activity::Halted { .. }) => None,
            Some(View::Unobserved(why)) => (!why.is_stop).then(|| Trouble::of_unobserved(why)),
            _ => {
                let pause = self.stall.write_pause()?;
                Some(Trouble::of_pause(&pause.problem))
            }
        }
    }

    fn add_causes(&self, scope: &Scope, causes: &mut Causes) {
        let all = self.images.len() as u64;
        match &self.view {
            Some(View::Unobserved(why)) if why.is_stop => return,
            Some(View::Unobserved(why)) => {
                causes.add(scope, Trouble::of_unobserved(why), all, None);
                return;
            }
            Some(View::ReadDenied(why)) => {
                causes.add(scope, Trouble::of_read_denied(why), all, None);
            }
            Some(View::Seen) | None => {}
        }
        for (id, image) in &*self.images {
            let Some(trouble) = self.trouble_of(image) else {
                continue;
            };
            let name = image.name.as_deref().unwrap_or(id.as_str());
            causes.add(scope, trouble, 1, Some(name.to_owned()));
        }
    }

    /// The trouble of an image, if it does not concern the image alone.
    fn trouble_of<'s>(&'s self, image: &'s ImageStatus) -> Option<Trouble<'s>> {
        if image.reason == Reason::NotTried
            && let Some(pause) = self.stall.write_pause()
        {
            return Some(Trouble::of_pause(&pause.problem));
        }
        let details = image.details.as_deref()?;
        let code = details.code.as_deref()?;
        let is_refused = image.reason.is_blocked() || image.reason == Reason::AccountBroken;
        let kind = CauseKind::of_code(code).filter(|_| is_refused)?;
        let (remedy, id) = (details.remedy.as_deref(), details.request_id.as_deref());
        Some(Trouble::of(kind, Some(code), &details.message, remedy, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::scope_of;

    fn denied(region: &str, id: &str) -> Problem {
        let remedy = "allow it in CAM";
        Problem {
            code: Some("UnauthorizedOperation.NoPermission".into()),
            request_id: Some(id.into()),
            remedy: Some(remedy.into()),
            ..Problem::new(format!(
                "UnauthorizedOperation.NoPermission: not in {region} ({remedy})"
            ))
        }
    }

    #[test]
    fn n10_a_dead_access_point_is_one_cause_in_all_regions() {
        let mut causes = Causes::default();
        for region in Region::all() {
            let why = format!("lighthouse.{region}.example: connection refused");
            let why = Unobserved::new(why);
            let here = scope_of("default", region.as_str());
            causes.add(&here, Trouble::of_unobserved(&why), 3, None);
        }
        let causes = causes.into_vec();
        let [cause] = &*causes else {
            panic!("{causes:?}");
        };
        assert_eq!(cause.kind, CauseKind::NotSeen);
        assert_eq!(cause.regions.len(), Region::all().count());
        assert_eq!(cause.images, 3 * cause.regions.len() as u64);
        assert_eq!(
            cause.message,
            "lighthouse.{region}.example: connection refused"
        );
    }

    #[test]
    fn n10_a_missing_permission_is_one_cause_per_account() {
        let mut causes = Causes::default();
        for account in ["one", "two"] {
            for region in ["ap-tokyo", "ap-seoul"] {
                for image in 0..20 {
                    let problem = denied(region, &format!("r-{region}-{image}"));
                    let trouble = Trouble::of_refused(&problem).expect("a cause of several images");
                    let name = Some(format!("img-{image}"));
                    causes.add(&scope_of(account, region), trouble, 1, name);
                }
            }
        }
        let causes = causes.into_vec();
        assert_eq!(causes.len(), 2, "{causes:?}");
        for cause in &causes {
            assert_eq!((cause.images, cause.names.len()), (40, NAMED_MAX));
            assert_eq!(cause.remedy.as_deref(), Some("allow it in CAM"));
            assert_eq!(cause.request_id.as_deref(), Some("r-ap-tokyo-0"));
            assert!(!cause.message.contains("allow it"), "{}", cause.message);
        }
    }

    #[test]
    fn n10_a_problem_of_a_single_image_is_not_a_cause() {
        for code in [
            "UnsupportedOperation.ImageUnableToShare",
            "ResourceNotFound.ImageIdNotFound",
            "Brand.NewCode",
        ] {
            assert_eq!(CauseKind::of_code(code), None, "{code}");
        }
        for (code, kind) in [
            ("AuthFailure.SecretIdNotFound", CauseKind::AccountBroken),
            (
                "UnauthorizedOperation.TokenInvalid",
                CauseKind::AccountBroken,
            ),
            (
                "AuthFailure.UnauthorizedOperation",
                CauseKind::PermissionMissing,
            ),
            ("AuthFailure.InvalidRegion", CauseKind::RegionNotOffered),
            ("UnsupportedRegion", CauseKind::RegionNotOffered),
            ("ResourceNotFound.RoleNotFound", CauseKind::RoleMissing),
        ] {
            assert_eq!(CauseKind::of_code(code), Some(kind), "{code}");
        }
    }

    #[test]
    fn n10_a_cause_in_one_region_names_it() {
        let mut causes = Causes::default();
        let why = Unobserved::new("lighthouse.ap-tokyo.example: timed out");
        causes.add(
            &scope_of("a", "ap-tokyo"),
            Trouble::of_unobserved(&why),
            1,
            None,
        );
        let causes = causes.into_vec();
        assert_eq!(causes[0].message, "lighthouse.ap-tokyo.example: timed out");
    }
}

//! What `--version` says of the commit that a binary was built from. Pure: git and the environment are arguments.

/// Letters of the hash that are shown.
const SHORT: usize = 7;

/// The commit of a build, as far as it is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// The beginning of the hash; `unknown` where nobody knows it.
    pub(crate) commit: String,
    /// The day of the commit, in UTC.
    pub(crate) date: Option<String>,
}

impl Built {
    /// `commit` is a whole hash or its beginning, `epoch` seconds since 1970. What is neither is not known.
    pub(crate) fn new(commit: Option<&str>, epoch: Option<&str>) -> Self {
        let is_hash =
            |text: &&str| text.len() >= SHORT && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let commit = commit.map(str::trim).filter(is_hash);
        let epoch = epoch.and_then(|text| text.trim().parse().ok());
        Self {
            commit: commit.map_or_else(
                || "unknown".to_owned(),
                |hash| hash[..SHORT].to_ascii_lowercase(),
            ),
            date: epoch.map(date),
        }
    }

    /// `0.1.0 (abc1234 2026-11-28)`.
    pub(crate) fn version(&self, package: &str) -> String {
        match &self.date {
            Some(date) => format!("{package} ({} {date})", self.commit),
            None => format!("{package} ({})", self.commit),
        }
    }
}

/// The day of an instant, in the Gregorian calendar, by counting 400-year eras from 1 March of the year 0.
fn date(epoch: u32) -> String {
    const DAYS_TO_1970: u32 = 719_468;
    const DAYS_OF_ERA: u32 = 146_097;
    let days = epoch / 86_400 + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March is month 0.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + later)
}

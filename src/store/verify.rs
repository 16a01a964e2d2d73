//! `history verify`: checks every stored entry against the chain. A damaged entry is a result, not an error.

use rusqlite::{Connection, Row};

use super::chain::{self, Columns, Ends, Hash};
use super::error::StoreError;
use super::schema;
use crate::history::HistoryEntry;

/// The result of checking the history against its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyResult {
    /// Every entry is as it was recorded, and none is missing after the anchor.
    Intact {
        /// The number of entries that are kept.
        entries: u64,
        /// The number of the newest entry, or of the last one that was rotated away.
        head: u64,
        /// The hash of this entry, in hexadecimal. If it is also kept elsewhere, it proves the history up to this entry.
        hash: String,
    },
    /// The first place where the chain does not hold.
    Broken {
        /// The number of the entry.
        seq: u64,
        /// What is wrong with the entry.
        why: String,
    },
}

/// Checks all entries, from the anchor of the chain to its head.
pub(super) fn verify(conn: &Connection) -> Result<VerifyResult, StoreError> {
    let ends = chain::ends(conn)?;
    if ends.anchor == 0 && ends.anchor_hash != chain::genesis(&schema::owner(conn)?) {
        let why = "the chain does not begin with the database's owner";
        return Ok(Broken::new(0, why).into());
    }
    let mut statement = conn.prepare("SELECT * FROM history ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut seq, mut hash) = (ends.anchor, ends.anchor_hash);
    while let Some(row) = rows.next()? {
        let found = u64::try_from(row.get::<_, i64>("seq")?).unwrap_or(0);
        // A flipped bit can make the text invalid UTF-8. That is a result, not an error.
        let body = row.get_ref("body")?.as_str().map(str::to_owned).ok();
        match check_entry(row, seq, &hash, found, body) {
            Ok(kept) => (seq, hash) = (found, kept),
            Err(broken) => return Ok(broken.into()),
        }
    }
    Ok(match check_end(seq, &hash, &ends) {
        Ok(()) => VerifyResult::Intact {
            entries: ends.head - ends.anchor,
            head: ends.head,
            hash: hex::encode(hash),
        },
        Err(broken) => broken.into(),
    })
}

/// Checks that the row numbered `found` is the entry that comes after entry `seq`, whose hash is `hash`, and returns the
/// hash of the row. `body` is the row's text, if it is text.
fn check_entry(
    row: &Row<'_>,
    seq: u64,
    hash: &Hash,
    found: u64,
    body: Option<String>,
) -> Result<Hash, Broken> {
    let expected = seq + 1;
    let broken = |why: &str| Broken::new(expected, why);
    if found < expected {
        return Err(Broken::new(found, "it comes before the chain's anchor"));
    }
    if found > expected {
        return Err(broken(&format!(
            "it is missing: entry {found} comes after entry {seq}"
        )));
    }
    let kept = row.get::<_, Hash>("hash").ok();
    let Some((body, kept)) = body.zip(kept) else {
        return Err(broken("its text is not text or its hash is not a hash"));
    };
    if chain::link(hash, &body) != kept {
        return Err(broken(
            "its text, its hash or the hash before it was changed",
        ));
    }
    let Ok(entry) = serde_json::from_str::<HistoryEntry>(&body) else {
        return Err(broken("its text is not an entry"));
    };
    if entry.seq != expected {
        return Err(broken(&format!("its text is that of entry {}", entry.seq)));
    }
    if columns(row).as_ref() != Some(&Columns::of(&entry)) {
        return Err(broken("its columns disagree with its text"));
    }
    Ok(kept)
}

/// Checks that the last stored entry, `seq` with `hash`, is the one that the chain ends with.
fn check_end(seq: u64, hash: &Hash, ends: &Ends) -> Result<(), Broken> {
    if seq < ends.head {
        let why = format!(
            "it is missing: the history should end with entry {}",
            ends.head
        );
        return Err(Broken::new(seq + 1, &why));
    }
    if seq > ends.head {
        let why = "it comes after the end of the chain";
        return Err(Broken::new(ends.head + 1, why));
    }
    if *hash != ends.head_hash {
        let why = "it is not the entry that the chain ends with";
        return Err(Broken::new(seq, why));
    }
    Ok(())
}

fn columns(row: &Row<'_>) -> Option<Columns> {
    Some(Columns {
        at: row.get("at").ok()?,
        event: row.get("event").ok()?,
        account: row.get("account").ok()?,
        region: row.get("region").ok()?,
        image: row.get("image").ok()?,
    })
}

/// The first entry at which the chain does not hold, and why.
struct Broken {
    seq: u64,
    why: String,
}

impl Broken {
    fn new(seq: u64, why: &str) -> Self {
        let why = why.to_owned();
        Self { seq, why }
    }
}

impl From<Broken> for VerifyResult {
    fn from(Broken { seq, why }: Broken) -> Self {
        Self::Broken { seq, why }
    }
}

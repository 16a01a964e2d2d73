use rusqlite::Connection;

use super::chain::{self, Columns, Hash};
use super::error::Fault;
use super::schema;
use crate::history::Entry;

/// What a walk along the history's chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is as it was recorded, and none is missing after the anchor.
    Sound {
        /// So many are kept.
        entries: u64,
        /// The newest entry, or the last one that was rotated away.
        head: u64,
        /// Its hash, in hexadecimal: kept elsewhere, it proves the history up to here.
        hash: String,
    },
    /// The first place where the chain does not hold.
    Broken {
        /// The entry.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Walks along the chain from its anchor to its head.
pub(super) fn verify(conn: &Connection) -> Result<Verdict, Fault> {
    let ends = chain::ends(conn)?;
    if ends.anchor == 0 && ends.anchor_hash != chain::genesis(&schema::owner(conn)?) {
        return Ok(broken(
            0,
            "the chain does not begin with the database's owner",
        ));
    }
    let mut statement = conn.prepare("SELECT * FROM history ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut seq, mut hash) = (ends.anchor, ends.anchor_hash);
    while let Some(row) = rows.next()? {
        let expected = seq + 1;
        let found = u64::try_from(row.get::<_, i64>("seq")?).unwrap_or(0);
        if found < expected {
            return Ok(broken(found, "it stands before the chain's anchor"));
        }
        if found > expected {
            return Ok(broken(
                expected,
                &format!("it is missing: entry {found} comes after entry {seq}"),
            ));
        }
        // A flipped bit can make text that is none; that is a finding, not a failure to look.
        let body = row.get_ref("body")?.as_str().map(str::to_owned);
        let kept = row.get::<_, Hash>("hash");
        let (Ok(body), Ok(kept)) = (body, kept) else {
            return Ok(broken(expected, "its text or its hash is no text or hash"));
        };
        if chain::link(&hash, &body) != kept {
            return Ok(broken(
                expected,
                "its text, its hash or the hash before it was changed",
            ));
        }
        let Ok(entry) = serde_json::from_str::<Entry>(&body) else {
            return Ok(broken(expected, "its text is no entry"));
        };
        if entry.seq != expected {
            return Ok(broken(
                expected,
                &format!("its text is that of entry {}", entry.seq),
            ));
        }
        let columns = columns(row);
        if columns.as_ref() != Some(&Columns::of(&entry)) {
            return Ok(broken(expected, "its columns disagree with its text"));
        }
        (seq, hash) = (expected, kept);
    }
    if seq < ends.head {
        let why = format!(
            "it is missing: the history should end with entry {}",
            ends.head
        );
        return Ok(broken(seq + 1, &why));
    }
    if seq > ends.head {
        return Ok(broken(
            ends.head + 1,
            "it stands after the end of the chain",
        ));
    }
    if hash != ends.head_hash {
        return Ok(broken(seq, "it is not the entry that the chain ends with"));
    }
    Ok(Verdict::Sound {
        entries: ends.head - ends.anchor,
        head: ends.head,
        hash: hex::encode(hash),
    })
}

fn columns(row: &rusqlite::Row<'_>) -> Option<Columns> {
    Some(Columns {
        at: row.get("at").ok()?,
        event: row.get("event").ok()?,
        account: row.get("account").ok()?,
        region: row.get("region").ok()?,
        image: row.get("image").ok()?,
    })
}

fn broken(seq: u64, why: &str) -> Verdict {
    Verdict::Broken {
        seq,
        why: why.to_owned(),
    }
}

-- Version 1. Times are text in UTC with nine decimals, so that their order is the order of the text.

CREATE TABLE about (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    owner   TEXT NOT NULL,                       -- made at random with the database; also in the file `owner`
    created TEXT NOT NULL
) STRICT;

-- What is known of each image that was written or adopted.
CREATE TABLE images (
    account       TEXT NOT NULL,
    region        TEXT NOT NULL,
    image         TEXT NOT NULL,
    standing      TEXT CHECK (standing IN ('acknowledged', 'adopted', 'probable')), -- NULL: not ours
    since         TEXT,
    blueprint     TEXT,
    confirmed     INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
    missing_since TEXT,
    disputed_since TEXT,
    cancelled     INTEGER NOT NULL CHECK (cancelled IN (0, 1)),
    protected     INTEGER NOT NULL CHECK (protected IN (0, 1)),
    parked_since  TEXT,
    writes        TEXT NOT NULL,                 -- JSON: the last acknowledged writes
    CHECK ((standing IS NULL) = (since IS NULL)),
    PRIMARY KEY (account, region, image)
) STRICT, WITHOUT ROWID;

-- Writes of which it is not known whether they took effect.
CREATE TABLE open_intents (
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    image        TEXT NOT NULL,
    intent       INTEGER NOT NULL UNIQUE,        -- history.seq; outlives the entry if that is rotated away
    permission   TEXT NOT NULL CHECK (permission IN ('SHARE', 'CANCEL')),
    at           TEXT NOT NULL,
    saw_opposite INTEGER NOT NULL CHECK (saw_opposite IN (0, 1)),
    answered     INTEGER NOT NULL CHECK (answered IN (0, 1)), -- the outcome `unknown` is in the history
    PRIMARY KEY (account, region, image, intent)
) STRICT, WITHOUT ROWID;

CREATE TABLE suspensions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that a late `resume` cannot end another
    who      TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    TEXT NOT NULL,
    until    TEXT,
    selector TEXT NOT NULL                       -- JSON
) STRICT;

-- hash = SHA-256(the hash of the entry before || body). The other columns repeat what the body says.
CREATE TABLE history (
    seq     INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    event   TEXT NOT NULL,
    account TEXT,
    region  TEXT,
    image   TEXT,
    body    TEXT NOT NULL,                       -- JSON
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX history_image ON history (image, seq) WHERE image IS NOT NULL;

-- Where the chain begins and ends: the anchor is the last entry that was rotated away.
CREATE TABLE chain (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    anchor_seq  INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL CHECK (length(anchor_hash) = 32),
    head_seq    INTEGER NOT NULL,
    head_hash   BLOB NOT NULL CHECK (length(head_hash) = 32),
    CHECK (anchor_seq <= head_seq)
) STRICT;

-- Guards against accidents, ours or a person's with sqlite3; the chain tells of the rest.
CREATE TRIGGER history_grows_by_one BEFORE INSERT ON history
WHEN new.seq <> (SELECT head_seq + 1 FROM chain)
BEGIN
    SELECT RAISE(ABORT, 'the history grows by one entry at its end');
END;
CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history
BEGIN
    SELECT RAISE(ABORT, 'the history is append-only');
END;
CREATE TRIGGER history_is_not_shortened BEFORE DELETE ON history
WHEN old.seq > (SELECT anchor_seq FROM chain)
BEGIN
    SELECT RAISE(ABORT, 'the history is append-only: only rotation removes its oldest entries');
END;

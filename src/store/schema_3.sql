-- Version 3.

-- Whose the credentials were that the state was used with, by account name and region. A name is a label of its uin: rows
-- of a name that manifests no longer use are taken over by the name that took its place.
CREATE TABLE scopes (
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    uin          TEXT,                           -- the root account; NULL: nobody has asked
    key_digest   TEXT,                           -- SHA-256 of the secret id that was used last; NULL: not known, or a temporary one
    pruned_with  TEXT,                           -- the same of the key that pruned last
    succeeded_by TEXT,                           -- the account name that took over images of this one
    formerly     TEXT,                           -- the account name of the rows before it stood for another account
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;
INSERT INTO scopes (account, region)
    SELECT account, region FROM images UNION SELECT account, region FROM open_intents;

-- Counts the transactions that wrote. A running process remembers the last one that it saw, so that it notices when
-- the database is set back to an earlier state.
ALTER TABLE chain ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

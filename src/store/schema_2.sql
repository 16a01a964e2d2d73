-- Version 2.

-- The newest commit of the manifests that was worked on, so that an older one is not put in its place by mistake.
CREATE TABLE newest_commit (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    hash      TEXT NOT NULL,
    committed TEXT NOT NULL,                     -- by the committer's clock
    since     TEXT NOT NULL                      -- by ours: when work on it began
) STRICT;

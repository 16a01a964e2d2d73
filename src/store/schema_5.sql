-- Version 5. What resolution remembers of a scope. If it is lost, everything takes longer, and nothing happens sooner.

-- The image that each name of an `ImageShare` last meant, once that image was seen as desired.
CREATE TABLE name_meanings (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    name    TEXT NOT NULL,
    image   TEXT NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

-- The clocks of the versions of each `ImageSharePolicy`.
CREATE TABLE version_clocks (
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    policy       TEXT NOT NULL,
    version      TEXT NOT NULL,
    age          TEXT,                           -- the earliest CreatedTime in any region of the policy; NULL: not certain yet
    stands_since TEXT,                           -- NULL: it does not stand
    regions      TEXT NOT NULL,                  -- JSON: those that were seen when the age was told
    images       TEXT NOT NULL,                  -- JSON: its images in this region
    PRIMARY KEY (account, region, policy, version)
) STRICT, WITHOUT ROWID;

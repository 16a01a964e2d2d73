-- Version 8. Losses that people have accepted, one for each scope and number of images.
CREATE TABLE loss_acceptances (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    lost    INTEGER NOT NULL,                    -- the number that the person gave
    images  TEXT,                                -- JSON: the accepted images that are still missing; NULL: no look was held against it
    who     TEXT NOT NULL,                       -- USER@MACHINE, or --accept-lost
    since   TEXT NOT NULL,
    PRIMARY KEY (account, region, lost)
) STRICT, WITHOUT ROWID;

-- Version 7.

-- What notifications have told and what is not over, as the daemon writes it: JSON. If it is lost, it is told again.
CREATE TABLE told (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    document TEXT NOT NULL
) STRICT;

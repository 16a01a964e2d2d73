-- Version 3.

-- Counts the transactions that wrote. A running process remembers the last one that it saw, so that it notices when
-- the database is set back to an earlier state.
ALTER TABLE chain ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

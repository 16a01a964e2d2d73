-- A state of version 3, as version 4 has it.
CREATE TEMP VIEW images AS SELECT *, NULL AS word, NULL AS denied_since FROM main.images;

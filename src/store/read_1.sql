-- A state of version 1, as version 2 has it.
CREATE TEMP VIEW newest_commit AS
    SELECT NULL AS one, NULL AS hash, NULL AS committed, NULL AS since WHERE 0;

-- A state of version 4, as version 5 has it.
CREATE TEMP VIEW name_meanings AS
    SELECT NULL AS account, NULL AS region, NULL AS name, NULL AS image WHERE 0;
CREATE TEMP VIEW version_clocks AS
    SELECT NULL AS account, NULL AS region, NULL AS policy, NULL AS version, NULL AS age, NULL AS stands_since,
           NULL AS regions, NULL AS images
    WHERE 0;

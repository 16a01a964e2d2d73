-- A state of version 2, as version 3 has it.
CREATE TEMP VIEW scopes AS
    SELECT account, region, NULL AS uin, NULL AS key_digest, NULL AS pruned_with, NULL AS succeeded_by, NULL AS formerly
    FROM (SELECT account, region FROM main.images UNION SELECT account, region FROM main.open_intents);
CREATE TEMP VIEW chain AS SELECT *, 0 AS generation FROM main.chain;

-- A state of version 5, as version 6 has it.
CREATE TEMP VIEW account_names AS SELECT DISTINCT account AS name FROM scopes;

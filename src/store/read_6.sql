-- A state of version 6, as version 7 has it.
CREATE TEMP VIEW told AS SELECT NULL AS one, NULL AS document WHERE 0;

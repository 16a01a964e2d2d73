-- A state of version 7, as version 8 has it.
CREATE TEMP VIEW loss_acceptances AS
    SELECT NULL AS account, NULL AS region, NULL AS lost, NULL AS images, NULL AS who, NULL AS since WHERE 0;

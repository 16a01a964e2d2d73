-- Version 6. With thousands of scopes, each look asks for the few rows of `scopes` that matter to it.

-- The account names of `scopes`.
CREATE TABLE account_names (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO account_names SELECT DISTINCT account FROM scopes;
CREATE TRIGGER scopes_name_accounts AFTER INSERT ON scopes
BEGIN
    INSERT OR IGNORE INTO account_names VALUES (new.account);
END;

CREATE INDEX scopes_uin ON scopes (region, uin);
CREATE INDEX scopes_taken_over ON scopes (account) WHERE succeeded_by IS NOT NULL OR formerly IS NOT NULL;

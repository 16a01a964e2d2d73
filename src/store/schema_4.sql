-- Version 4.

-- What the API's last final answer to a write says of the image: JSON, the state and when; NULL: nothing.
ALTER TABLE images ADD COLUMN word TEXT;
-- Since when each write of the image is denied; NULL: it is not, for all that is known.
ALTER TABLE images ADD COLUMN denied_since TEXT;

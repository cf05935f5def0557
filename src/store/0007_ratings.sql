-- Who may say that a persona of a server is not for adults.

-- Whether any of its texts came from a file. Of what is there it is not known, so admins say it.
ALTER TABLE personas ADD COLUMN from_file BIGINT NOT NULL DEFAULT 0;
UPDATE personas SET from_file = 1;
-- Whether it was an admin who has said that it is for adults.
ALTER TABLE personas ADD COLUMN adult_by_admin BIGINT NOT NULL DEFAULT 0;

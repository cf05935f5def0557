-- What goes with a channel, and what is looked for every hour.

-- The channel that a thread belongs to; 0 for what is no thread.
ALTER TABLE channels ADD COLUMN parent BIGINT NOT NULL DEFAULT 0;
CREATE INDEX channels_by_parent ON channels (parent) WHERE parent <> 0;

CREATE INDEX turns_by_age ON turns (conversation, said);

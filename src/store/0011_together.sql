-- The other messages that a turn answers together with the one that made the persona speak.
CREATE TABLE also_answered (
    conversation BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    message BIGINT NOT NULL,
    PRIMARY KEY (conversation, turn, message),
    FOREIGN KEY (conversation, turn) REFERENCES turns (conversation, id) ON DELETE CASCADE
);
CREATE INDEX also_answered_by_message ON also_answered (message);

-- Which messages turns answer.
CREATE VIEW answers AS
    SELECT conversation, id AS turn, trigger_message AS message FROM turns
    UNION ALL SELECT conversation, turn, message FROM also_answered;

-- The channel that keeps a scene when its thread is gone, and keeps it then: who sees the one sees the other.
ALTER TABLE scenes ADD COLUMN home BIGINT;

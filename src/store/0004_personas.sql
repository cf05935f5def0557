-- What a persona of a server is beside its text, and who plays in direct messages.

-- Whether it is for adults; NULL as long as nobody has said it.
ALTER TABLE personas ADD COLUMN adult BIGINT;
-- Whether everybody in the server may play it, and not its creator alone.
ALTER TABLE personas ADD COLUMN shared BIGINT NOT NULL DEFAULT 0;
-- A PNG file.
ALTER TABLE personas ADD COLUMN avatar BLOB;

-- Whom members have chosen in their direct messages; server 0 is for a persona that belongs to no server.
CREATE TABLE chosen_alone (
    channel BIGINT NOT NULL PRIMARY KEY,
    member BIGINT NOT NULL,
    server BIGINT NOT NULL,
    persona TEXT NOT NULL
);
CREATE INDEX chosen_alone_by_member ON chosen_alone (member);
CREATE INDEX chosen_alone_by_server ON chosen_alone (server) WHERE server <> 0;

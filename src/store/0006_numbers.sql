-- Up to which number the versions of a persona went that is not there any more: one that takes its id goes on from there, so that no
-- form and no button that was made for the one means the other.
CREATE TABLE personas_gone (
    server BIGINT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (server, id)
);

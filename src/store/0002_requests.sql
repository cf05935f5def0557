-- What is needed to lose nothing and to answer nothing twice, and what servers and members decide.

-- Where in the turn's text a message begins, in bytes.
ALTER TABLE parts ADD COLUMN start BIGINT NOT NULL DEFAULT 0;
CREATE INDEX parts_by_message ON parts (message);

-- When it was said, in seconds since 1970.
ALTER TABLE turns ADD COLUMN said BIGINT NOT NULL DEFAULT 0;
CREATE INDEX turns_by_trigger ON turns (trigger_message);

-- The server that a channel belongs to; 0 for direct messages.
ALTER TABLE channels ADD COLUMN server BIGINT NOT NULL DEFAULT 0;
CREATE INDEX channels_by_server ON channels (server);

-- Messages that were taken in, each once: who asked where and when, what became of it, how many milliseconds and tokens
-- it took. A member who is forgotten is NULL.
CREATE TABLE requests (
    message BIGINT NOT NULL PRIMARY KEY,
    channel BIGINT NOT NULL,
    server BIGINT NOT NULL,
    member BIGINT,
    asked BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    took BIGINT NOT NULL DEFAULT 0,
    tokens BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX requests_by_channel ON requests (channel, message);
CREATE INDEX requests_by_server ON requests (server, asked);
CREATE INDEX requests_by_member ON requests (member);
CREATE INDEX requests_by_time ON requests (asked);
-- Few at any time, and looked for at every start.
CREATE INDEX requests_waiting ON requests (server, channel) WHERE outcome = 'waiting';

-- Servers that the bot has left, and when.
CREATE TABLE servers_left (
    server BIGINT NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);

-- Members who do not want to be read, and since when.
CREATE TABLE opted_out (
    member BIGINT NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);

-- What the admins of a server have set; channel 0 is the whole server. Values are JSON.
CREATE TABLE settings (
    server BIGINT NOT NULL,
    channel BIGINT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (server, channel, name)
);

-- The personas of a server. Every change is a version, and one of them is played. A creator who is forgotten is NULL.
CREATE TABLE personas (
    server BIGINT NOT NULL,
    id TEXT NOT NULL,
    creator BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (server, id)
);
CREATE INDEX personas_by_creator ON personas (creator);
CREATE TABLE persona_versions (
    server BIGINT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    author BIGINT,
    made BIGINT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (server, id, version),
    FOREIGN KEY (server, id) REFERENCES personas (server, id) ON DELETE CASCADE
);
CREATE INDEX persona_versions_by_author ON persona_versions (author);

-- What was decided in a server, by whom and when. A member who is forgotten is NULL.
CREATE TABLE audit (
    id INTEGER NOT NULL PRIMARY KEY,
    server BIGINT NOT NULL,
    at BIGINT NOT NULL,
    member BIGINT,
    what TEXT NOT NULL,
    about TEXT NOT NULL
);
CREATE INDEX audit_by_server ON audit (server, at);
CREATE INDEX audit_by_member ON audit (member);

CREATE INDEX names_by_member ON names (member);

-- Scenes: conversations of their own, to which a channel points for a while.

-- The conversations of a channel, a thread or direct messages, and to which of them it points.
CREATE TABLE conversations_of_channels (
    channel BIGINT NOT NULL,
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    server BIGINT NOT NULL DEFAULT 0,
    parent BIGINT NOT NULL DEFAULT 0,
    is_current BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (channel, conversation)
);
INSERT INTO conversations_of_channels (channel, conversation, server, parent)
    SELECT channel, conversation, server, parent FROM channels;
DROP TABLE channels;
ALTER TABLE conversations_of_channels RENAME TO channels;
CREATE INDEX channels_by_conversation ON channels (conversation);
CREATE INDEX channels_by_server ON channels (server);
CREATE INDEX channels_by_parent ON channels (parent) WHERE parent <> 0;
CREATE UNIQUE INDEX channels_current ON channels (channel) WHERE is_current = 1;

-- What a conversation has that is a scene. Whoever has opened it or written something of it and is forgotten is NULL. Of those who
-- played and are forgotten it is known how many they are, as long as the others were not told.
CREATE TABLE scenes (
    conversation BIGINT NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    state TEXT NOT NULL,
    since BIGINT NOT NULL,
    host BIGINT,
    scenario TEXT,
    scenario_by BIGINT,
    note TEXT,
    note_by BIGINT,
    departed BIGINT NOT NULL
);
CREATE INDEX scenes_by_host ON scenes (host);
CREATE INDEX scenes_by_scenario ON scenes (scenario_by) WHERE scenario_by IS NOT NULL;
CREATE INDEX scenes_by_note ON scenes (note_by) WHERE note_by IS NOT NULL;

-- The personas that play in a scene, and the version in which each was seen last.
CREATE TABLE actors (
    conversation BIGINT NOT NULL REFERENCES scenes (conversation) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    persona TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    is_missing BIGINT NOT NULL,
    PRIMARY KEY (conversation, place)
);

-- The members who play in a scene, and as whom.
CREATE TABLE players (
    conversation BIGINT NOT NULL REFERENCES scenes (conversation) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    member BIGINT NOT NULL,
    name TEXT,
    description TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (conversation, place)
);
CREATE INDEX players_by_member ON players (member);

-- Somebody who is not here and whom the member has brought along with a scene from elsewhere.
ALTER TABLE turns ADD COLUMN guest TEXT;
ALTER TABLE names ADD COLUMN guest TEXT;

-- The message in which a turn of a branch was said where it was branched off: it goes with that.
ALTER TABLE turns ADD COLUMN copy_of BIGINT;
CREATE INDEX turns_by_copy ON turns (copy_of) WHERE copy_of IS NOT NULL;

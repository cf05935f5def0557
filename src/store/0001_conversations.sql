-- Conversations as they are shown. Numbers without a sign are kept bit by bit in 64 bits with one.

CREATE TABLE conversations (
    id BIGINT NOT NULL PRIMARY KEY,
    seed BIGINT NOT NULL,
    created BIGINT NOT NULL,
    first_turn BIGINT NOT NULL,
    examples_dropped BIGINT NOT NULL,
    member_name TEXT,
    greeting_turn BIGINT,
    greeting_seen BIGINT,
    spoken_before BIGINT NOT NULL,
    next_turn BIGINT NOT NULL
);

-- The conversation that a channel, a thread or direct messages point to.
CREATE TABLE channels (
    channel BIGINT NOT NULL PRIMARY KEY,
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE
);
CREATE INDEX channels_by_conversation ON channels (conversation);

-- A speaker is a member, or a persona in a version.
CREATE TABLE names (
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    member BIGINT,
    persona TEXT,
    version TEXT,
    name TEXT NOT NULL,
    PRIMARY KEY (conversation, place)
);

CREATE TABLE turns (
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    member BIGINT,
    persona TEXT,
    version TEXT,
    name TEXT NOT NULL,
    selected BIGINT NOT NULL,
    state TEXT NOT NULL,
    trigger_message BIGINT,
    PRIMARY KEY (conversation, id)
);
CREATE INDEX turns_by_member ON turns (member);
-- Few at any time, and looked for at every start.
CREATE INDEX turns_unfinished ON turns (conversation, id) WHERE state IN ('pending', 'streaming');

-- Token ids are numbers of 32 bits, the lowest byte first. What is told of a reply and what its lorebook remembers is JSON.
CREATE TABLE variants (
    conversation BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    place BIGINT NOT NULL,
    text TEXT NOT NULL,
    model TEXT,
    token_ids BLOB,
    leading_space BIGINT NOT NULL,
    origin TEXT,
    lore TEXT,
    PRIMARY KEY (conversation, turn, place),
    FOREIGN KEY (conversation, turn) REFERENCES turns (conversation, id) ON DELETE CASCADE
);

CREATE TABLE parts (
    conversation BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    place BIGINT NOT NULL,
    message BIGINT NOT NULL,
    webhook BIGINT,
    PRIMARY KEY (conversation, turn, place),
    FOREIGN KEY (conversation, turn) REFERENCES turns (conversation, id) ON DELETE CASCADE
);

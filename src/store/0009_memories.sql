-- Long memory: what is told of turns that prompts have no room for any more.

-- A memory, by the last turn that it tells of. Without a text nobody wants it told. Whoever has written it and is forgotten takes it along.
CREATE TABLE memories (
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    until BIGINT NOT NULL,
    text TEXT NOT NULL,
    editor BIGINT,
    PRIMARY KEY (conversation, until)
);
CREATE INDEX memories_by_editor ON memories (editor) WHERE editor IS NOT NULL;

-- The turns that memories tell of, which need not be kept any more: whose each is, and when it was said.
CREATE TABLE memory_links (
    conversation BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    until BIGINT NOT NULL,
    member BIGINT,
    said BIGINT NOT NULL,
    PRIMARY KEY (conversation, turn),
    FOREIGN KEY (conversation, until) REFERENCES memories (conversation, until) ON DELETE CASCADE
);
CREATE INDEX memory_links_by_memory ON memory_links (conversation, until);
CREATE INDEX memory_links_by_member ON memory_links (member) WHERE member IS NOT NULL;

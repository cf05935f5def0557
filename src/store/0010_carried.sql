-- What a scene from elsewhere brings along.

-- Before how many lines of the transcript the note of a scene stands.
ALTER TABLE scenes ADD COLUMN note_depth BIGINT NOT NULL DEFAULT 4;

-- What another program says of a scene, as JSON, and who has brought it along.
ALTER TABLE scenes ADD COLUMN carried TEXT;
ALTER TABLE scenes ADD COLUMN carried_by BIGINT;
CREATE INDEX scenes_by_carried ON scenes (carried_by) WHERE carried_by IS NOT NULL;

-- What another program says of a turn, as JSON, a number that follows from what the turn said then, and who has brought it along.
ALTER TABLE turns ADD COLUMN carried TEXT;
ALTER TABLE turns ADD COLUMN carried_of BIGINT;
ALTER TABLE turns ADD COLUMN carried_by BIGINT;
CREATE INDEX turns_by_carried ON turns (carried_by) WHERE carried_by IS NOT NULL;

-- The characters of a scene from elsewhere whom nobody plays yet, and who has brought them along.
CREATE TABLE waiting (
    conversation BIGINT NOT NULL REFERENCES scenes (conversation) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    brought_by BIGINT NOT NULL,
    PRIMARY KEY (conversation, place)
);
CREATE INDEX waiting_by_member ON waiting (brought_by);

-- Who has brought along the character that a member plays.
ALTER TABLE players ADD COLUMN brought_by BIGINT;
CREATE INDEX players_by_bringer ON players (brought_by) WHERE brought_by IS NOT NULL;

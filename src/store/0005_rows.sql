-- Under which turn of a conversation the buttons stand.
ALTER TABLE conversations ADD COLUMN row_turn BIGINT;
CREATE INDEX conversations_with_row ON conversations (id) WHERE row_turn IS NOT NULL;

-- A reply whose last message may have been posted is unfinished too.
DROP INDEX turns_unfinished;
CREATE INDEX turns_unfinished ON turns (conversation, id) WHERE state IN ('pending', 'streaming', 'uncertain');

//! Conversations in tables and back.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::requests::{server, server_column};
use super::{Store, StoreError, memories, scenes};
use crate::chat::history::{
    Carried, Changes, Conversation, ConversationId, Cut, Head, Part, Speaker, Tokens, Turn, TurnId, TurnKind,
    TurnState, Variant,
};
use crate::chat::{ChannelId, MemberId, MessageId, Place};
use crate::persona::PersonaId;

pub(super) type Writing<'a> = Transaction<'a, Sqlite>;

/// How the kinds and states of turns are written.
const KINDS: [(TurnKind, &str); 5] = [
    (TurnKind::Member, "member"),
    (TurnKind::Persona, "persona"),
    (TurnKind::Narrator, "narrator"),
    (TurnKind::Note, "note"),
    (TurnKind::Hidden, "hidden"),
];
const STATES: [(TurnState, &str); 6] = [
    (TurnState::Pending, "pending"),
    (TurnState::Streaming, "streaming"),
    (TurnState::Complete, "complete"),
    (TurnState::Interrupted, "interrupted"),
    (TurnState::Failed, "failed"),
    (TurnState::Uncertain, "uncertain"),
];

/// Whether a conversation shows something in a message; asked for every message that is deleted anywhere.
pub(super) const SHOWN_IN: &str = "SELECT 1 FROM parts JOIN channels ON channels.conversation = parts.conversation \
                                   WHERE parts.message = $1 AND channels.channel = $2 AND channels.is_current = 1";

/// The channels in which buttons stand; asked at every start.
pub(super) const DRESSED: &str = "SELECT channels.channel FROM conversations CROSS JOIN channels \
                                  WHERE channels.conversation = conversations.id AND channels.is_current = 1 \
                                  AND conversations.row_turn IS NOT NULL";

/// Lets a channel point to the one of its conversations that is no scene, when it points to none.
pub(super) const POINT_BACK: &str = "UPDATE channels SET is_current = 1 WHERE channel = $1 \
     AND conversation = (SELECT MAX(ordinary.conversation) FROM channels AS ordinary WHERE ordinary.channel = $1 \
                         AND ordinary.conversation NOT IN (SELECT conversation FROM scenes)) \
     AND NOT EXISTS (SELECT 1 FROM channels AS other WHERE other.channel = $1 AND other.is_current = 1)";

impl Store {
    /// Writes down what has changed in a conversation of a channel: all of it, or nothing. A channel that points to none points to
    /// this one from then on.
    ///
    /// # Errors
    /// A [`StoreError`]; then the changes are still to be written.
    pub async fn write(&self, place: Place, changes: &Changes) -> Result<(), StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            write_changes(&mut writing, place, changes).await?;
            writing.commit().await
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// The conversation that a channel points to, if it points to one.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn conversation_in(&self, channel: ChannelId) -> Result<Option<Conversation>, StoreError> {
        let of_channel = "SELECT conversations.* FROM conversations \
                          JOIN channels ON channels.conversation = conversations.id \
                          WHERE channels.channel = $1 AND channels.is_current = 1";
        self.read(of_channel, channel.0).await.map_err(|error| self.failed(&error))
    }

    /// Forgets the conversation that a channel points to, and lets it point to the one that it pointed to before that was a scene, if
    /// it was one. Returns the one that is forgotten.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_current(&self, channel: ChannelId) -> Result<Vec<ConversationId>, StoreError> {
        self.unpoint("DELETE FROM channels WHERE channel = $1 AND is_current = 1 RETURNING *", channel).await
    }

    /// Forgets a channel, and its conversations, which it returns.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_channel(&self, channel: ChannelId) -> Result<Vec<ConversationId>, StoreError> {
        self.unpoint("DELETE FROM channels WHERE channel = $1 RETURNING *", channel).await
    }

    /// The same with all threads of a channel.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_threads(&self, parent: ChannelId) -> Result<Vec<ConversationId>, StoreError> {
        let delete = "DELETE FROM channels WHERE parent = $1 AND parent <> 0 RETURNING *";
        self.unpoint(delete, parent).await
    }

    /// Forgets the channels that `delete` deletes, and the conversations that nobody else points to.
    async fn unpoint(
        &self,
        delete: &'static str,
        channel: ChannelId,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let delete = sqlx::query(delete).bind(channel.0.cast_signed());
            let deleted = delete.fetch_all(&mut *writing).await?;
            let conversations = deleted.iter().map(|row| number(row, "conversation").map(ConversationId));
            let conversations: Vec<ConversationId> = conversations.collect::<Result<_, _>>()?;
            // What waits to be answered there never will be.
            let undone = "UPDATE requests SET outcome = 'dropped' WHERE channel = $1 AND outcome = 'waiting'";
            let gone = deleted.iter().map(|row| row.try_get::<i64, _>("channel"));
            let gone: BTreeSet<i64> = gone.chain([Ok(channel.0.cast_signed())]).collect::<Result<_, _>>()?;
            for channel in gone {
                sqlx::query(undone).bind(channel).execute(&mut *writing).await?;
            }
            for conversation in &conversations {
                let unused = "DELETE FROM conversations WHERE id = $1 \
                              AND NOT EXISTS (SELECT 1 FROM channels WHERE conversation = $1)";
                sqlx::query(unused).bind(conversation.0.cast_signed()).execute(&mut *writing).await?;
            }
            sqlx::query(POINT_BACK).bind(channel.0.cast_signed()).execute(&mut *writing).await?;
            writing.commit().await?;
            Ok(conversations)
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// The greatest id that a conversation has; 0 where there is none.
    pub(super) async fn greatest_conversation(&self) -> Result<u64, StoreError> {
        let greatest = sqlx::query("SELECT COALESCE(MAX(id), 0) AS id FROM conversations");
        let read = async { greatest.fetch_one(&self.reader).await?.try_get::<i64, _>("id") };
        let id = read.await.map_err(|error| self.failed(&error))?;
        Ok(id.cast_unsigned())
    }

    /// The last message in which the conversation that a channel points to shows something; 0 when there is none.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn last_shown(&self, channel: ChannelId) -> Result<MessageId, StoreError> {
        let select = "SELECT COALESCE(MAX(parts.message), 0) AS message FROM channels \
                      JOIN parts ON parts.conversation = channels.conversation \
                      WHERE channels.channel = $1 AND channels.is_current = 1";
        let select = sqlx::query(select).bind(channel.0.cast_signed());
        let read = async { number(&select.fetch_one(&self.reader).await?, "message") };
        read.await.map(MessageId).map_err(|error| self.failed(&error))
    }

    /// The channels in which buttons stand under a reply.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn dressed(&self) -> Result<Vec<ChannelId>, StoreError> {
        let read = async {
            let rows = sqlx::query(DRESSED).fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "channel").map(ChannelId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// Whether the conversation that a channel points to shows something in this message.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn is_shown_in(&self, channel: ChannelId, message: MessageId) -> Result<bool, StoreError> {
        let select = sqlx::query(SHOWN_IN).bind(message.0.cast_signed()).bind(channel.0.cast_signed());
        let found = select.fetch_optional(&self.reader).await.map_err(|error| self.failed(&error))?;
        Ok(found.is_some())
    }

    /// A conversation, whether its channel points to it or not, and where it belongs.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Place, Conversation)>, StoreError> {
        let read = async {
            let select = "SELECT * FROM channels WHERE conversation = $1";
            let select = sqlx::query(select).bind(id.0.cast_signed());
            let Some(row) = select.fetch_optional(&self.reader).await? else { return Ok(None) };
            let conversation = self.read("SELECT * FROM conversations WHERE id = $1", id.0).await?;
            let place = place(&row)?;
            Ok(conversation.map(|conversation| (place, conversation)))
        };
        read.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// Reads the conversation that `which` selects by a number.
    async fn read(&self, which: &'static str, by: u64) -> Result<Option<Conversation>, sqlx::Error> {
        // One transaction, so that all of it is of one moment.
        let mut reading = self.reader.begin().await?;
        let row = sqlx::query(which).bind(by.cast_signed());
        let Some(row) = row.fetch_optional(&mut *reading).await? else { return Ok(None) };
        let id: i64 = row.try_get("id")?;
        let names = sqlx::query("SELECT * FROM names WHERE conversation = $1 ORDER BY place");
        let names = names.bind(id).fetch_all(&mut *reading).await?;
        let names: Result<_, sqlx::Error> =
            names.iter().map(|row| Ok((speaker(row)?, row.try_get("name")?))).collect();
        let turns = sqlx::query("SELECT * FROM turns WHERE conversation = $1 ORDER BY id");
        let turns = turns.bind(id).fetch_all(&mut *reading).await?;
        let mut turns: Vec<Turn> = turns.iter().map(turn).collect::<Result<_, _>>()?;
        let variants = sqlx::query("SELECT * FROM variants WHERE conversation = $1 ORDER BY turn, place");
        for row in variants.bind(id).fetch_all(&mut *reading).await? {
            if let Some(turn) = turn_of(&mut turns, &row)? {
                turn.variants.push(variant(&row)?);
            }
        }
        let parts = sqlx::query("SELECT * FROM parts WHERE conversation = $1 ORDER BY turn, place");
        for row in parts.bind(id).fetch_all(&mut *reading).await? {
            if let Some(turn) = turn_of(&mut turns, &row)? {
                turn.parts.push(Part {
                    message: MessageId(number(&row, "message")?),
                    webhook: optional(&row, "webhook")?,
                    start: usize_of(number(&row, "start")?),
                });
            }
        }
        let also = sqlx::query("SELECT * FROM also_answered WHERE conversation = $1 ORDER BY turn, message");
        for row in also.bind(id).fetch_all(&mut *reading).await? {
            if let Some(turn) = turn_of(&mut turns, &row)? {
                turn.also.push(MessageId(number(&row, "message")?));
            }
        }
        for turn in &mut turns {
            // There is always one, and one of them is shown.
            if turn.variants.is_empty() {
                turn.variants.push(Variant::default());
            }
            turn.selected = turn.selected.min(turn.variants.len() - 1);
        }
        let scene = scenes::scene(&mut reading, id).await?;
        let memories = memories::memories(&mut reading, id).await?;
        let conversation = Conversation::restore(Head { scene, ..head(&row, names?)? }, turns);
        Ok(Some(conversation.remembering(memories)))
    }
}

pub(super) async fn write_changes(
    writing: &mut Writing<'_>,
    place: Place,
    changes: &Changes,
) -> Result<(), sqlx::Error> {
    let id = changes.head.id;
    write_head(writing, &changes.head).await?;
    hold(writing, place, id).await?;
    for &turn in &changes.gone {
        delete_turn(writing, id, turn).await?;
    }
    for turn in &changes.turns {
        delete_turn(writing, id, turn.id).await?;
        write_turn(writing, id, turn).await?;
    }
    if let Some(memories) = &changes.memories {
        memories::write_memories(writing, id.0.cast_signed(), memories).await?;
    }
    Ok(())
}

async fn write_head(writing: &mut Writing<'_>, head: &Head) -> Result<(), sqlx::Error> {
    let id = head.id.0.cast_signed();
    let upsert = "INSERT INTO conversations (id, seed, created, first_turn, examples_dropped, member_name, \
                  greeting_turn, greeting_seen, spoken_before, next_turn, row_turn) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                  ON CONFLICT (id) DO UPDATE SET seed = $2, created = $3, first_turn = $4, examples_dropped = $5, \
                  member_name = $6, greeting_turn = $7, greeting_seen = $8, spoken_before = $9, next_turn = $10, row_turn = $11";
    sqlx::query(upsert)
        .bind(id)
        .bind(head.seed.cast_signed())
        .bind(head.created.cast_signed())
        .bind(head.cut.first_turn.cast_signed())
        .bind(signed(head.cut.examples_dropped))
        .bind(&head.user)
        .bind(head.greeting.map(|(turn, _)| turn.0.cast_signed()))
        .bind(head.greeting.map(|(_, seen)| signed(seen)))
        .bind(head.spoken_before.cast_signed())
        .bind(head.next_turn.cast_signed())
        .bind(head.row.map(|turn| turn.0.cast_signed()))
        .execute(&mut **writing)
        .await?;
    sqlx::query("DELETE FROM names WHERE conversation = $1").bind(id).execute(&mut **writing).await?;
    for (place, (speaker, name)) in (0i64..).zip(&head.names) {
        let (member, persona, version, guest) = columns(speaker);
        let insert = "INSERT INTO names (conversation, place, member, persona, version, guest, name) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let insert = sqlx::query(insert).bind(id).bind(place).bind(member).bind(persona).bind(version);
        insert.bind(guest).bind(name).execute(&mut **writing).await?;
    }
    scenes::write_scene(writing, id, head.scene.as_ref()).await
}

/// The conversation belongs to this channel, which points to it when it points to none.
async fn hold(
    writing: &mut Writing<'_>,
    place: Place,
    conversation: ConversationId,
) -> Result<(), sqlx::Error> {
    let Place { channel, parent, server } = place;
    // What is known to be a thread stays one, also where Discord does not tell it any more.
    let upsert = "INSERT INTO channels (channel, conversation, server, parent, is_current) VALUES ($1, $2, $3, $4, \
                  CASE WHEN EXISTS (SELECT 1 FROM channels WHERE channel = $1 AND is_current = 1) THEN 0 ELSE 1 END) \
                  ON CONFLICT (channel, conversation) DO UPDATE SET server = $3, \
                  parent = CASE WHEN $4 = 0 THEN channels.parent ELSE $4 END";
    let upsert = sqlx::query(upsert).bind(channel.0.cast_signed()).bind(conversation.0.cast_signed());
    let upsert = upsert.bind(server_column(server)).bind(parent.map_or(0, |parent| parent.0.cast_signed()));
    upsert.execute(&mut **writing).await.map(drop)
}

async fn delete_turn(
    writing: &mut Writing<'_>,
    conversation: ConversationId,
    turn: TurnId,
) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM turns WHERE conversation = $1 AND id = $2");
    let delete = delete.bind(conversation.0.cast_signed()).bind(turn.0.cast_signed());
    delete.execute(&mut **writing).await.map(drop)
}

async fn write_turn(
    writing: &mut Writing<'_>,
    conversation: ConversationId,
    turn: &Turn,
) -> Result<(), sqlx::Error> {
    let (id, number) = (conversation.0.cast_signed(), turn.id.0.cast_signed());
    let (member, persona, version, guest) = columns(&turn.speaker);
    let insert = "INSERT INTO turns (conversation, id, kind, member, persona, version, guest, name, selected, state, \
                  trigger_message, said, copy_of, carried, carried_of, carried_by) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    sqlx::query(insert)
        .bind(id)
        .bind(number)
        .bind(word(&KINDS, turn.kind))
        .bind(member)
        .bind(persona)
        .bind(version)
        .bind(guest)
        .bind(&turn.name)
        .bind(signed(turn.selected))
        .bind(word(&STATES, turn.state))
        .bind(turn.trigger.map(|message| message.0.cast_signed()))
        .bind(turn.said.cast_signed())
        .bind(turn.copy_of.map(|message| message.0.cast_signed()))
        .bind(turn.carried.as_ref().map(|carried| carried.json.as_str()))
        .bind(turn.carried.as_ref().map(|carried| carried.of.cast_signed()))
        .bind(turn.carried.as_ref().map(|carried| carried.by.0.cast_signed()))
        .execute(&mut **writing)
        .await?;
    for (place, variant) in (0i64..).zip(&turn.variants) {
        let Variant { text, tokens, origin, lore } = variant;
        let insert = "INSERT INTO variants (conversation, turn, place, text, model, token_ids, leading_space, \
                      origin, lore) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(insert)
            .bind(id)
            .bind(number)
            .bind(place)
            .bind(text)
            .bind(tokens.as_ref().map(|tokens| tokens.model.as_str()))
            .bind(tokens.as_ref().map(|tokens| bytes(&tokens.ids)))
            .bind(tokens.as_ref().map_or(0, |tokens| i64::from(tokens.leading_space)))
            .bind(origin.as_ref().and_then(|origin| serde_json::to_string(origin).ok()))
            .bind(serde_json::to_string(lore).ok())
            .execute(&mut **writing)
            .await?;
    }
    for (place, part) in (0i64..).zip(&turn.parts) {
        let insert = "INSERT INTO parts (conversation, turn, place, message, webhook, start) \
                      VALUES ($1, $2, $3, $4, $5, $6)";
        let insert = sqlx::query(insert).bind(id).bind(number).bind(place);
        let insert = insert.bind(part.message.0.cast_signed()).bind(part.webhook.map(u64::cast_signed));
        let insert = insert.bind(signed(part.start));
        insert.execute(&mut **writing).await?;
    }
    for message in &turn.also {
        let insert = "INSERT INTO also_answered (conversation, turn, message) VALUES ($1, $2, $3)";
        let insert = sqlx::query(insert).bind(id).bind(number).bind(message.0.cast_signed());
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}

fn head(row: &SqliteRow, names: Vec<(Speaker, String)>) -> Result<Head, sqlx::Error> {
    let seen = optional(row, "greeting_seen")?.map_or(0, usize_of);
    Ok(Head {
        id: ConversationId(number(row, "id")?),
        seed: number(row, "seed")?,
        created: number(row, "created")?,
        cut: Cut {
            first_turn: number(row, "first_turn")?,
            examples_dropped: usize_of(number(row, "examples_dropped")?),
        },
        user: row.try_get("member_name")?,
        greeting: optional(row, "greeting_turn")?.map(|turn| (TurnId(turn), seen)),
        row: optional(row, "row_turn")?.map(TurnId),
        spoken_before: number(row, "spoken_before")?,
        next_turn: number(row, "next_turn")?,
        names,
        scene: None,
    })
}

/// A turn without its variants and parts.
fn turn(row: &SqliteRow) -> Result<Turn, sqlx::Error> {
    Ok(Turn {
        id: TurnId(number(row, "id")?),
        kind: meaning(&KINDS, row.try_get("kind")?, "kind")?,
        speaker: speaker(row)?,
        name: row.try_get("name")?,
        variants: Vec::new(),
        selected: usize_of(number(row, "selected")?),
        state: meaning(&STATES, row.try_get("state")?, "state")?,
        trigger: optional(row, "trigger_message")?.map(MessageId),
        also: Vec::new(),
        parts: Vec::new(),
        said: number(row, "said")?,
        copy_of: optional(row, "copy_of")?.map(MessageId),
        carried: carried(row)?,
    })
}

/// What another program says of a turn, and of which text.
fn carried(row: &SqliteRow) -> Result<Option<Carried>, sqlx::Error> {
    let json: Option<String> = row.try_get("carried")?;
    let (of, by) = (optional(row, "carried_of")?, optional(row, "carried_by")?);
    Ok(json.zip(of.zip(by)).map(|(json, (of, by))| Carried { json, of, by: MemberId(by) }))
}

/// Where a conversation belongs.
pub(super) fn place(row: &SqliteRow) -> Result<Place, sqlx::Error> {
    Ok(Place {
        channel: ChannelId(number(row, "channel")?),
        parent: optional(row, "parent")?.filter(|&parent| parent != 0).map(ChannelId),
        server: server(row)?,
    })
}

fn turn_of<'a>(turns: &'a mut [Turn], row: &SqliteRow) -> Result<Option<&'a mut Turn>, sqlx::Error> {
    let id = TurnId(number(row, "turn")?);
    Ok(turns.binary_search_by_key(&id, |turn| turn.id).ok().map(|index| &mut turns[index]))
}

fn variant(row: &SqliteRow) -> Result<Variant, sqlx::Error> {
    let (model, ids): (Option<String>, Option<Vec<u8>>) = (row.try_get("model")?, row.try_get("token_ids")?);
    let leading_space = number(row, "leading_space")? != 0;
    let tokens = model.zip(ids);
    let tokens = tokens.map(|(model, bytes)| Tokens { model, ids: ids_of(&bytes), leading_space });
    // What an older version told of a reply, and this one cannot read, is of no use to anybody.
    let (origin, lore): (Option<String>, Option<String>) = (row.try_get("origin")?, row.try_get("lore")?);
    Ok(Variant {
        text: row.try_get("text")?,
        tokens,
        origin: origin.and_then(|json| serde_json::from_str(&json).ok()),
        lore: lore.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
    })
}

/// The columns of a speaker: a member, a persona and its version, and the name of a guest, who is the member's too.
fn columns(speaker: &Speaker) -> (Option<i64>, Option<&str>, Option<&str>, Option<&str>) {
    match speaker {
        Speaker::Member(MemberId(id)) => (Some(id.cast_signed()), None, None, None),
        Speaker::Persona { id, version } => (None, Some(&id.0), Some(version), None),
        Speaker::Guest { by: MemberId(id), name } => (Some(id.cast_signed()), None, None, Some(name)),
    }
}

fn speaker(row: &SqliteRow) -> Result<Speaker, sqlx::Error> {
    if let Some(member) = optional(row, "member")? {
        let member = MemberId(member);
        let guest: Option<String> = row.try_get("guest")?;
        return Ok(guest.map_or(Speaker::Member(member), |name| Speaker::Guest { by: member, name }));
    }
    Ok(Speaker::Persona { id: PersonaId(row.try_get("persona")?), version: row.try_get("version")? })
}

pub(super) fn word<T: Copy + PartialEq>(words: &[(T, &'static str)], meaning: T) -> &'static str {
    words.iter().find(|(one, _)| *one == meaning).map_or("", |(_, word)| word)
}

pub(super) fn meaning<T: Copy>(words: &[(T, &str)], word: &str, column: &str) -> Result<T, sqlx::Error> {
    let found = words.iter().find(|(_, one)| *one == word).map(|(meaning, _)| *meaning);
    found.ok_or_else(|| sqlx::Error::Decode(format!("an unknown {column}").into()))
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

pub(super) fn optional(row: &SqliteRow, column: &str) -> Result<Option<u64>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned))
}

pub(super) fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn ids_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

//! What members and servers may ask of what is written down: to have it, to have it forgotten, and not to be read.

use base64::Engine as _;
use base64::engine::general_purpose;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::conversations::{number, optional};
use super::requests::{server, server_column};
use super::{Store, StoreError, memories};
use crate::chat::history::ConversationId;
use crate::chat::request::Counts;
use crate::chat::{MemberId, ServerId};

/// The conversations that a member has spoken in.
const SPOKEN_IN: &str = "SELECT DISTINCT conversation AS id FROM turns WHERE member = $1 \
                         UNION SELECT DISTINCT conversation FROM names WHERE member = $1 \
                         UNION SELECT DISTINCT conversation FROM players WHERE member = $1 \
                         UNION SELECT conversation FROM scenes WHERE host = $1 \
                         UNION SELECT conversation FROM scenes WHERE scenario_by = $1 \
                         UNION SELECT conversation FROM scenes WHERE note_by = $1 \
                         UNION SELECT conversation FROM scenes WHERE carried_by = $1 \
                         UNION SELECT DISTINCT conversation FROM waiting WHERE brought_by = $1 \
                         UNION SELECT DISTINCT conversation FROM players WHERE brought_by = $1 \
                         UNION SELECT DISTINCT conversation FROM turns WHERE carried_by = $1 \
                         UNION SELECT DISTINCT conversation FROM memory_links WHERE member = $1 \
                         UNION SELECT DISTINCT conversation FROM memories WHERE editor = $1";

/// Forgets direct messages with a member as a whole: there is nobody else in them.
const ALONE_WITH: &str = "DELETE FROM conversations WHERE id IN (\
                          SELECT channels.conversation FROM turns CROSS JOIN channels WHERE turns.member = $1 \
                          AND channels.conversation = turns.conversation AND channels.server = 0 \
                          UNION SELECT channels.conversation FROM requests CROSS JOIN channels WHERE requests.member = $1 \
                          AND requests.server = 0 AND channels.channel = requests.channel)";

/// How a member is forgotten: what was said to what they said, what they said, their names, and their id wherever it stands.
pub(super) const FORGET: [&str; 19] = [
    ALONE_WITH,
    "DELETE FROM turns WHERE (conversation, id) IN (SELECT conversation, turn FROM answers WHERE message IN (\
     SELECT parts.message FROM turns AS said CROSS JOIN parts \
     WHERE said.member = $1 AND parts.conversation = said.conversation AND parts.turn = said.id \
     UNION SELECT copy_of FROM turns WHERE member = $1 AND copy_of IS NOT NULL))",
    "DELETE FROM turns WHERE (conversation, id) IN (\
     SELECT conversation, turn FROM answers WHERE message IN (SELECT message FROM requests WHERE member = $1))",
    "DELETE FROM turns WHERE member = $1",
    "DELETE FROM names WHERE member = $1",
    "UPDATE scenes SET departed = departed + 1 WHERE conversation IN (SELECT conversation FROM players WHERE member = $1)",
    "DELETE FROM players WHERE member = $1",
    "UPDATE scenes SET host = NULL, title = 'A scene' WHERE host = $1",
    "UPDATE scenes SET scenario = NULL, scenario_by = NULL WHERE scenario_by = $1",
    "UPDATE scenes SET note = NULL, note_by = NULL WHERE note_by = $1",
    "UPDATE scenes SET carried = NULL, carried_by = NULL WHERE carried_by = $1",
    "DELETE FROM waiting WHERE brought_by = $1",
    "UPDATE players SET description = '', brought_by = NULL WHERE brought_by = $1",
    "UPDATE turns SET carried = NULL, carried_of = NULL, carried_by = NULL WHERE carried_by = $1",
    "UPDATE requests SET member = NULL WHERE member = $1",
    "UPDATE personas SET creator = NULL WHERE creator = $1",
    "UPDATE persona_versions SET author = NULL WHERE author = $1",
    "UPDATE audit SET member = NULL WHERE member = $1",
    "DELETE FROM chosen_alone WHERE member = $1",
];

/// What a member has said.
pub(super) const SAID: &str = "SELECT turns.*, variants.text, channels.channel, channels.server FROM turns \
     JOIN variants ON variants.conversation = turns.conversation AND variants.turn = turns.id \
     JOIN channels ON channels.conversation = turns.conversation \
     WHERE turns.member = $1 ORDER BY turns.said, turns.conversation, turns.id";

/// What personas have said to a member; it is forgotten with them.
pub(super) const SAID_TO: &str = "SELECT turns.trigger_message, turns.said, turns.name, variants.text, channels.channel, \
     channels.server FROM turns \
     JOIN variants ON variants.conversation = turns.conversation AND variants.turn = turns.id \
     JOIN channels ON channels.conversation = turns.conversation \
     WHERE turns.kind <> 'member' AND (turns.conversation, turns.id) IN (\
     SELECT conversation, turn FROM answers WHERE message IN (\
     SELECT message FROM requests WHERE member = $1 UNION SELECT parts.message FROM turns AS said \
     CROSS JOIN parts WHERE said.member = $1 AND parts.conversation = said.conversation AND parts.turn = said.id \
     UNION SELECT copy_of FROM turns WHERE member = $1 AND copy_of IS NOT NULL)) \
     ORDER BY turns.said, turns.conversation, turns.id, variants.place";

/// How much of a server there may be, and how much of it goes at a time.
const FORGET_SOME: [(&str, i64); 2] = [
    (
        "DELETE FROM conversations WHERE id IN (SELECT conversation FROM channels WHERE server = $1 LIMIT $2)",
        CONVERSATIONS_AT_A_TIME,
    ),
    (
        "DELETE FROM requests WHERE message IN (SELECT message FROM requests WHERE server = $1 LIMIT $2)",
        AT_A_TIME,
    ),
];

/// What is kept of a server beside its conversations and what was asked there.
const FORGET_SERVER: [&str; 7] = [
    "DELETE FROM channels WHERE server = $1",
    "DELETE FROM settings WHERE server = $1",
    "DELETE FROM personas WHERE server = $1",
    "DELETE FROM personas_gone WHERE server = $1",
    "DELETE FROM chosen_alone WHERE server = $1 AND server <> 0",
    "DELETE FROM audit WHERE server = $1",
    "DELETE FROM servers_left WHERE server = $1",
];

/// The conversations of a server that know of anything said before $2, and the scenes of which nothing else is left that ended before.
pub(super) const EXPIRED: &str = "SELECT DISTINCT turns.conversation AS id FROM channels CROSS JOIN turns \
                                  WHERE channels.server = $1 AND turns.conversation = channels.conversation \
                                  AND turns.said < $2 AND turns.state NOT IN ('pending', 'streaming', 'uncertain') \
                                  UNION SELECT DISTINCT memory_links.conversation FROM channels CROSS JOIN memory_links \
                                  WHERE channels.server = $1 AND memory_links.conversation = channels.conversation \
                                  AND memory_links.said < $2 \
                                  UNION SELECT scenes.conversation FROM channels CROSS JOIN scenes \
                                  WHERE channels.server = $1 AND scenes.conversation = channels.conversation \
                                  AND scenes.state = 'ended' AND scenes.since < $2 \
                                  AND NOT EXISTS (SELECT 1 FROM turns WHERE turns.conversation = scenes.conversation)";

/// Forgets the names of members of whom nothing is left in a conversation.
const FORGET_NAMES: &str = "DELETE FROM names WHERE conversation = $1 AND member IS NOT NULL AND member NOT IN \
                            (SELECT member FROM turns WHERE conversation = $1 AND member IS NOT NULL)";

/// So much is deleted at a time of what may be very much, so that whoever has something to write need not wait long.
const AT_A_TIME: i64 = 1_000;
/// A conversation may have a thousand turns.
const CONVERSATIONS_AT_A_TIME: i64 = 4;

impl Store {
    /// Forgets a member: what they said, what was said to that, their names and their id wherever it stands. Returns the
    /// conversations in which they had spoken. It is gone from the files with [`Self::leave_no_trace`].
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_member(&self, member: MemberId) -> Result<Vec<ConversationId>, StoreError> {
        let forgetting = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let spoken = sqlx::query(SPOKEN_IN).bind(member.0.cast_signed());
            let spoken = spoken.fetch_all(&mut *writing).await?;
            // Which memories go is known by the turns that they tell of.
            for change in memories::FORGET.into_iter().chain(FORGET) {
                sqlx::query(change).bind(member.0.cast_signed()).execute(&mut *writing).await?;
            }
            writing.commit().await?;
            conversations(&spoken)
        };
        forgetting.await.map_err(|error| self.failed(&error))
    }

    /// Everything that is kept of a member, as JSON.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn export_member(&self, member: MemberId) -> Result<Value, StoreError> {
        let id = member.0.cast_signed();
        let reading = async {
            let mut reading = self.reader.begin().await?;
            let mut messages = Vec::new();
            for row in sqlx::query(SAID).bind(id).fetch_all(&mut *reading).await? {
                messages.push(json!({
                    "channel": number(&row, "channel")?.to_string(),
                    "server": server(&row)?.map(|server| server.0.to_string()),
                    "message": optional(&row, "trigger_message")?.map(|message| message.to_string()),
                    "said": number(&row, "said")?,
                    "name": row.try_get::<String, _>("name")?,
                    "text": row.try_get::<String, _>("text")?,
                    "of_another_program": row.try_get::<Option<String>, _>("carried")?,
                }));
            }
            let mut replies = Vec::new();
            for row in sqlx::query(SAID_TO).bind(id).fetch_all(&mut *reading).await? {
                replies.push(json!({
                    "channel": number(&row, "channel")?.to_string(),
                    "server": server(&row)?.map(|server| server.0.to_string()),
                    "answers": optional(&row, "trigger_message")?.map(|message| message.to_string()),
                    "said": number(&row, "said")?,
                    "name": row.try_get::<String, _>("name")?,
                    "text": row.try_get::<String, _>("text")?,
                }));
            }
            let named = "SELECT DISTINCT name FROM names WHERE member = $1 ORDER BY name";
            let mut called: Vec<String> = Vec::new();
            for row in sqlx::query(named).bind(id).fetch_all(&mut *reading).await? {
                called.push(row.try_get("name")?);
            }
            let asked = "SELECT * FROM requests WHERE member = $1 ORDER BY asked, message";
            let mut requests = Vec::new();
            for row in sqlx::query(asked).bind(id).fetch_all(&mut *reading).await? {
                requests.push(json!({
                    "message": number(&row, "message")?.to_string(),
                    "channel": number(&row, "channel")?.to_string(),
                    "server": server(&row)?.map(|server| server.0.to_string()),
                    "asked": number(&row, "asked")?,
                    "outcome": row.try_get::<String, _>("outcome")?,
                    "milliseconds": number(&row, "took")?,
                    "tokens": number(&row, "tokens")?,
                }));
            }
            let decided = "SELECT * FROM audit WHERE member = $1 ORDER BY id";
            let mut decisions = Vec::new();
            for row in sqlx::query(decided).bind(id).fetch_all(&mut *reading).await? {
                decisions.push(json!({
                    "server": number(&row, "server")?.to_string(),
                    "at": number(&row, "at")?,
                    "what": row.try_get::<String, _>("what")?,
                    "about": row.try_get::<String, _>("about")?,
                }));
            }
            let out = "SELECT since FROM opted_out WHERE member = $1";
            let out = sqlx::query(out).bind(id).fetch_optional(&mut *reading).await?;
            let out = out.map(|row| number(&row, "since")).transpose()?;
            let [created, written, chosen] = personas_of(&mut reading, id).await?;
            let [characters, memories, scenes] = staged_by(&mut reading, id).await?;
            Ok(json!({
                "member": member.0.to_string(),
                "opted_out_since": out,
                "names": called,
                "messages": messages,
                "replies": replies,
                "requests": requests,
                "personas_created": created,
                "personas_written": written,
                "personas_chosen": chosen,
                "decisions": decisions,
                "characters": characters,
                "memories_written": memories,
                "scenes": scenes,
            }))
        };
        reading.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// How much is kept of a member.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn count_member(&self, member: MemberId) -> Result<Counts, StoreError> {
        let counting = async {
            let mut reading = self.reader.begin().await?;
            let mut counts = [0; 4];
            let asked = "SELECT message FROM requests WHERE member = $1";
            let made = "SELECT id FROM personas WHERE creator = $1";
            for (count, what) in counts.iter_mut().zip([SAID, SAID_TO, asked, made]) {
                let select = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) AS number FROM ({what}) AS kept"));
                let row = sqlx::query(select).bind(member.0.cast_signed()).fetch_one(&mut *reading).await?;
                *count = usize::try_from(number(&row, "number")?).unwrap_or(usize::MAX);
            }
            let [messages, replies, requests, personas] = counts;
            Ok(Counts { messages, replies, requests, personas })
        };
        counting.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// Writes down that a member does not want to be read, or does again.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn opt_out(&self, member: MemberId, since: Option<u64>) -> Result<(), StoreError> {
        let id = member.0.cast_signed();
        let written = match since {
            Some(since) => {
                let insert =
                    "INSERT INTO opted_out (member, since) VALUES ($1, $2) ON CONFLICT (member) DO NOTHING";
                sqlx::query(insert).bind(id).bind(since.cast_signed()).execute(&self.writer).await
            }
            None => {
                sqlx::query("DELETE FROM opted_out WHERE member = $1").bind(id).execute(&self.writer).await
            }
        };
        written.map(drop).map_err(|error| self.failed(&error))
    }

    /// The members who do not want to be read.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn opted_out(&self) -> Result<Vec<MemberId>, StoreError> {
        let read = async {
            let rows = sqlx::query("SELECT member FROM opted_out").fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "member").map(MemberId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// Writes down that the bot was taken out of a server, or is back.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn left(&self, server: ServerId, since: Option<u64>) -> Result<(), StoreError> {
        let id = server.0.cast_signed();
        let written = match since {
            Some(since) => {
                let insert = "INSERT INTO servers_left (server, since) VALUES ($1, $2) ON CONFLICT (server) DO NOTHING";
                sqlx::query(insert).bind(id).bind(since.cast_signed()).execute(&self.writer).await
            }
            None => {
                sqlx::query("DELETE FROM servers_left WHERE server = $1").bind(id).execute(&self.writer).await
            }
        };
        written.map(drop).map_err(|error| self.failed(&error))
    }

    /// The servers of which something is kept and that the bot has not left, as far as is known.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn servers(&self) -> Result<Vec<ServerId>, StoreError> {
        let read = async {
            let select = "SELECT server FROM (SELECT server FROM channels UNION SELECT server FROM settings \
                          UNION SELECT server FROM personas UNION SELECT server FROM requests) AS known \
                          WHERE server <> 0 AND server NOT IN (SELECT server FROM servers_left)";
            let rows = sqlx::query(select).fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "server").map(ServerId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The servers that were left before then.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn servers_left(&self, before: u64) -> Result<Vec<ServerId>, StoreError> {
        let select =
            sqlx::query("SELECT server FROM servers_left WHERE since < $1").bind(before.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "server").map(ServerId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// Whether a server was left before then, and the bot is not back.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn is_left(&self, server: ServerId, before: u64) -> Result<bool, StoreError> {
        Ok(self.servers_left(before).await?.contains(&server))
    }

    /// Forgets some of what is kept of a server. Whether it was the last of it; then it does not count as left any more.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing of it is forgotten.
    pub async fn forget_some_of(&self, server: ServerId) -> Result<bool, StoreError> {
        let forgetting = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let id = server.0.cast_signed();
            let mut rest = false;
            for (change, most) in FORGET_SOME {
                if !rest {
                    let changed = sqlx::query(change).bind(id).bind(most).execute(&mut *writing).await?;
                    rest = changed.rows_affected() > 0;
                }
            }
            if !rest {
                for change in FORGET_SERVER {
                    sqlx::query(change).bind(id).execute(&mut *writing).await?;
                }
            }
            writing.commit().await?;
            Ok(!rest)
        };
        forgetting.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// How many things were said in a server before then, in seconds since 1970.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn older_than(&self, of: ServerId, before: u64) -> Result<usize, StoreError> {
        let select = "SELECT COUNT(*) AS older FROM channels CROSS JOIN turns WHERE channels.server = $1 \
                      AND turns.conversation = channels.conversation AND turns.said < $2 \
                      AND turns.state NOT IN ('pending', 'streaming')";
        let select = sqlx::query(select).bind(server_column(Some(of))).bind(before.cast_signed());
        let read = async { number(&select.fetch_one(&self.reader).await?, "older") };
        let older = read.await.map_err(|error| self.failed(&error))?;
        Ok(usize::try_from(older).unwrap_or(usize::MAX))
    }

    /// The conversations of a server, or of direct messages, in which something was said before then.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn expired(
        &self,
        server: Option<ServerId>,
        before: u64,
    ) -> Result<Vec<ConversationId>, StoreError> {
        let select = sqlx::query(EXPIRED).bind(server_column(server)).bind(before.cast_signed());
        let read = async { conversations(&select.fetch_all(&self.reader).await?) };
        read.await.map_err(|error| self.failed(&error))
    }

    /// Forgets what was said before then in these conversations, and those in which nothing is left as a whole.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing of it is forgotten.
    pub async fn expire(&self, expired: &[ConversationId], before: u64) -> Result<(), StoreError> {
        let expiring = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            for &conversation in expired {
                for change in memories::EXPIRE {
                    let change = sqlx::query(change).bind(conversation.0.cast_signed());
                    change.bind(before.cast_signed()).execute(&mut *writing).await?;
                }
                let delete = "DELETE FROM turns WHERE conversation = $1 AND said < $2 \
                              AND state NOT IN ('pending', 'streaming', 'uncertain')";
                let delete =
                    sqlx::query(delete).bind(conversation.0.cast_signed()).bind(before.cast_signed());
                delete.execute(&mut *writing).await?;
                sqlx::query(FORGET_NAMES).bind(conversation.0.cast_signed()).execute(&mut *writing).await?;
                drop_empty(&mut writing, conversation).await?;
            }
            writing.commit().await
        };
        expiring.await.map_err(|error| self.failed(&error))
    }

    /// Forgets who asked what before then: in a server, or in direct messages.
    ///
    /// # Errors
    /// A [`StoreError`]; then some of it is forgotten.
    pub async fn expire_requests(&self, server: Option<ServerId>, before: u64) -> Result<(), StoreError> {
        let delete = "DELETE FROM requests WHERE message IN (SELECT message FROM requests \
                      WHERE server = $1 AND asked < $2 AND outcome <> 'waiting' LIMIT $3)";
        let expiring = async {
            let batch = || {
                let batch = sqlx::query(delete).bind(server_column(server)).bind(before.cast_signed());
                batch.bind(AT_A_TIME).execute(&self.writer)
            };
            while batch().await?.rows_affected() > 0 {}
            Ok(())
        };
        expiring.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// Forgets who asked what before then, everywhere.
    ///
    /// # Errors
    /// A [`StoreError`]; then some of it is forgotten.
    pub async fn forget_requests(&self, before: u64) -> Result<(), StoreError> {
        let delete = "DELETE FROM requests WHERE message IN (SELECT message FROM requests \
                      WHERE asked < $1 AND outcome <> 'waiting' LIMIT $2)";
        let forgetting = async {
            let batch =
                || sqlx::query(delete).bind(before.cast_signed()).bind(AT_A_TIME).execute(&self.writer);
            while batch().await?.rows_affected() > 0 {}
            Ok(())
        };
        forgetting.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// Empties the log, in which what was deleted stands still; in the file itself it is overwritten.
    ///
    /// # Errors
    /// A [`StoreError`], also when somebody reads for so long that it cannot be emptied; then it is to be tried again.
    pub async fn leave_no_trace(&self) -> Result<(), StoreError> {
        let emptied = async {
            // Where it is copied too: two at a time would not wait for each other.
            let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.copier).await?;
            match emptied.try_get::<i64, _>(0)? {
                0 => Ok(()),
                _ => Err(sqlx::Error::Protocol("its log is in use and could not be emptied".to_owned())),
            }
        };
        emptied.await.map_err(|error| self.failed(&error))
    }
}

/// The personas that a member has made, the versions that they have written, and whom they have chosen in direct messages.
async fn personas_of(reading: &mut Transaction<'_, Sqlite>, id: i64) -> Result<[Vec<Value>; 3], sqlx::Error> {
    let created = "SELECT * FROM personas WHERE creator = $1 ORDER BY server, id";
    let mut personas = Vec::new();
    for row in sqlx::query(created).bind(id).fetch_all(&mut **reading).await? {
        let avatar: Option<Vec<u8>> = row.try_get("avatar")?;
        personas.push(json!({
            "server": number(&row, "server")?.to_string(),
            "persona": row.try_get::<String, _>("id")?,
            "adult": optional(&row, "adult")?.map(|adult| adult != 0),
            "shared": number(&row, "shared")? != 0,
            "avatar": avatar.map(|avatar| general_purpose::STANDARD.encode(avatar)),
        }));
    }
    let written = "SELECT * FROM persona_versions WHERE author = $1 ORDER BY server, id, version";
    let mut versions = Vec::new();
    for row in sqlx::query(written).bind(id).fetch_all(&mut **reading).await? {
        versions.push(json!({
            "server": number(&row, "server")?.to_string(),
            "persona": row.try_get::<String, _>("id")?,
            "version": number(&row, "version")?,
            "made": number(&row, "made")?,
            "definition": row.try_get::<String, _>("definition")?,
        }));
    }
    let chosen = "SELECT * FROM chosen_alone WHERE member = $1 ORDER BY channel";
    let mut choices = Vec::new();
    for row in sqlx::query(chosen).bind(id).fetch_all(&mut **reading).await? {
        choices.push(json!({
            "channel": number(&row, "channel")?.to_string(),
            "server": server(&row)?.map(|server| server.0.to_string()),
            "persona": row.try_get::<String, _>("persona")?,
        }));
    }
    Ok([personas, versions, choices])
}

/// As whom a member plays, what they have written of what is remembered, and what they have written into scenes.
async fn staged_by(reading: &mut Transaction<'_, Sqlite>, id: i64) -> Result<[Vec<Value>; 3], sqlx::Error> {
    // Whom they have brought along for others to play is theirs too.
    let plays = "SELECT played.name, played.description, scenes.title, channels.channel FROM (\
                 SELECT conversation, name, description FROM players WHERE member = $1 OR brought_by = $1 \
                 UNION ALL SELECT conversation, name, description FROM waiting WHERE brought_by = $1) AS played \
                 JOIN scenes ON scenes.conversation = played.conversation \
                 JOIN channels ON channels.conversation = played.conversation ORDER BY played.conversation";
    let mut characters = Vec::new();
    for row in sqlx::query(plays).bind(id).fetch_all(&mut **reading).await? {
        characters.push(json!({
            "channel": number(&row, "channel")?.to_string(),
            "scene": row.try_get::<String, _>("title")?,
            "name": row.try_get::<Option<String>, _>("name")?,
            "description": row.try_get::<String, _>("description")?,
        }));
    }
    let told = "SELECT memories.text, channels.channel FROM memories \
                JOIN channels ON channels.conversation = memories.conversation \
                WHERE memories.editor = $1 ORDER BY memories.conversation, memories.until";
    let mut memories = Vec::new();
    for row in sqlx::query(told).bind(id).fetch_all(&mut **reading).await? {
        memories.push(json!({
            "channel": number(&row, "channel")?.to_string(),
            "text": row.try_get::<String, _>("text")?,
        }));
    }
    let beside = "SELECT turns.carried, channels.channel FROM turns \
                  JOIN channels ON channels.conversation = turns.conversation \
                  WHERE turns.carried_by = $1 AND turns.member IS NULL ORDER BY turns.conversation, turns.id";
    let mut scenes = Vec::new();
    for row in sqlx::query(beside).bind(id).fetch_all(&mut **reading).await? {
        scenes.push(json!({
            "channel": number(&row, "channel")?.to_string(),
            "of_another_program": row.try_get::<Option<String>, _>("carried")?,
        }));
    }
    // Of a scene the title is its host's, and each text that of whoever wrote it.
    let staged = "SELECT channels.channel, CASE WHEN host = $1 THEN title END AS title, \
                  CASE WHEN scenario_by = $1 THEN scenario END AS scenario, \
                  CASE WHEN note_by = $1 THEN note END AS note, \
                  CASE WHEN carried_by = $1 THEN carried END AS carried FROM scenes \
                  JOIN channels ON channels.conversation = scenes.conversation \
                  WHERE host = $1 OR scenario_by = $1 OR note_by = $1 OR carried_by = $1 ORDER BY scenes.conversation";
    for row in sqlx::query(staged).bind(id).fetch_all(&mut **reading).await? {
        let text = |column| row.try_get::<Option<String>, _>(column);
        scenes.push(json!({
            "channel": number(&row, "channel")?.to_string(),
            "title": text("title")?,
            "scenario": text("scenario")?,
            "note": text("note")?,
            "of_another_program": text("carried")?,
        }));
    }
    Ok([characters, memories, scenes])
}

/// Forgets a conversation in which nothing was said.
async fn drop_empty(
    writing: &mut Transaction<'_, Sqlite>,
    conversation: ConversationId,
) -> Result<(), sqlx::Error> {
    // A scene that is played is there still when nothing was said in it for long.
    let delete = "DELETE FROM conversations WHERE id = $1 \
                  AND NOT EXISTS (SELECT 1 FROM turns WHERE conversation = $1) \
                  AND NOT EXISTS (SELECT 1 FROM scenes WHERE conversation = $1 AND state <> 'ended')";
    sqlx::query(delete).bind(conversation.0.cast_signed()).execute(&mut **writing).await.map(drop)
}

fn conversations(rows: &[SqliteRow]) -> Result<Vec<ConversationId>, sqlx::Error> {
    rows.iter().map(|row| number(row, "id").map(ConversationId)).collect()
}

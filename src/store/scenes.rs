//! Scenes in tables and back, and to which of its conversations a channel points.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::conversations::{
    Writing, meaning, number, optional, place, signed, usize_of, word, write_changes,
};
use super::{Store, StoreError};
use crate::chat::history::{Changes, ConversationId};
use crate::chat::scene::{Actor, Player, Scene, SceneState, Waiting, Written};
use crate::chat::{ChannelId, MemberId, MessageId, Place};
use crate::persona::PersonaId;

/// How the states of scenes are written.
const STATES: [(SceneState, &str); 3] =
    [(SceneState::Running, "running"), (SceneState::Paused, "paused"), (SceneState::Ended, "ended")];

/// The conversations that show something in a message, or have it from there, though no channel points to them, or another one.
pub(super) const SHOWN_ELSEWHERE: &str = "SELECT channels.* FROM parts \
     JOIN channels ON channels.conversation = parts.conversation \
     WHERE parts.message = $1 AND channels.is_current = 0 \
     UNION SELECT channels.* FROM turns JOIN channels ON channels.conversation = turns.conversation \
     WHERE turns.copy_of = $1";

/// The scenes of the channel $1 and of its threads, and those that $2, whose thread it is, keeps.
pub(super) const SCENES_IN: &str = "SELECT scenes.*, known.channel, known.parent, known.server FROM (\
     SELECT * FROM channels WHERE channel = $1 UNION SELECT * FROM channels WHERE parent = $1 AND parent <> 0 \
     UNION SELECT * FROM channels WHERE channel = $2) AS known \
     CROSS JOIN scenes ON scenes.conversation = known.conversation \
     WHERE known.channel = $1 OR known.parent = $1 OR scenes.home = $2 ORDER BY scenes.conversation DESC";

/// A scene of a channel or of one of its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The conversation that it is.
    pub conversation: ConversationId,
    /// Where it is played.
    pub place: Place,
    /// Its title.
    pub title: String,
    /// Whether it is played.
    pub state: SceneState,
    /// Who has opened it, if that is known still.
    pub host: Option<MemberId>,
    /// The channel that keeps it when its thread is gone.
    pub home: Option<ChannelId>,
}

impl Staged {
    /// Whether it can be played in a place: it is the place's own, or kept for it by the channel that the place is a thread of.
    #[must_use]
    pub fn is_for(&self, place: Place) -> bool {
        let there = self.place.channel;
        there == place.channel || (Some(there) == place.parent && Some(there) == self.home)
    }
}

impl Store {
    /// Writes a conversation down to which its channel points from then on, whatever it pointed to before.
    ///
    /// # Errors
    /// A [`StoreError`]; then the channel points to what it pointed to.
    pub async fn begin_scene(&self, place: Place, changes: &Changes) -> Result<(), StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            point_to_none(&mut writing, place.channel).await?;
            write_changes(&mut writing, place, changes).await?;
            writing.commit().await
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Writes a scene down that is over: its channel points to the conversation that is no scene from then on, if there is one.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing has changed.
    pub async fn end_scene(&self, place: Place, changes: &Changes) -> Result<(), StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            write_changes(&mut writing, place, changes).await?;
            point_to_none(&mut writing, place.channel).await?;
            let back = sqlx::query(super::conversations::POINT_BACK).bind(place.channel.0.cast_signed());
            back.execute(&mut *writing).await?;
            writing.commit().await
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Writes a conversation down that belongs to this channel from then on, which does not point to it.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing is written.
    pub async fn keep_beside(&self, place: Place, changes: &Changes) -> Result<(), StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            write_changes(&mut writing, place, changes).await?;
            let update = "UPDATE channels SET is_current = 0 WHERE channel = $1 AND conversation = $2";
            let update = sqlx::query(update).bind(place.channel.0.cast_signed());
            update.bind(changes.head.id.0.cast_signed()).execute(&mut *writing).await?;
            belong(&mut writing, place.channel, changes.head.id).await?;
            writing.commit().await
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Writes a scene down to which this channel points from then on, and to which it belongs. Whether it belonged to `from` until
    /// then; if not, nothing is written.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing has changed.
    pub async fn resume_scene(
        &self,
        place: Place,
        from: ChannelId,
        changes: &Changes,
    ) -> Result<bool, StoreError> {
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let there = "SELECT 1 FROM channels WHERE conversation = $1 AND channel = $2";
            let there = sqlx::query(there).bind(changes.head.id.0.cast_signed());
            let there = there.bind(from.0.cast_signed()).fetch_optional(&mut *writing).await?;
            if there.is_none() {
                return Ok(false);
            }
            write_changes(&mut writing, place, changes).await?;
            point_to_none(&mut writing, place.channel).await?;
            let update = "UPDATE channels SET is_current = 1 WHERE channel = $1 AND conversation = $2";
            let update = sqlx::query(update).bind(place.channel.0.cast_signed());
            update.bind(changes.head.id.0.cast_signed()).execute(&mut *writing).await?;
            belong(&mut writing, place.channel, changes.head.id).await?;
            writing.commit().await?;
            Ok(true)
        };
        writing.await.map_err(|error: sqlx::Error| self.failed(&error))
    }

    /// Forgets a scene that belongs to a channel which does not point to it. Whether it did.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_scene(&self, id: ConversationId, of: ChannelId) -> Result<bool, StoreError> {
        let delete = "DELETE FROM conversations WHERE id = $1 AND id IN \
                      (SELECT conversation FROM channels WHERE channel = $2 AND is_current = 0)";
        let delete = sqlx::query(delete).bind(id.0.cast_signed()).bind(of.0.cast_signed());
        let deleted = delete.execute(&self.writer).await.map_err(|error| self.failed(&error))?;
        Ok(deleted.rows_affected() > 0)
    }

    /// The channels that point to a scene, and whether that is played.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn on_stage(&self) -> Result<Vec<(ChannelId, SceneState)>, StoreError> {
        let select = "SELECT channels.channel, scenes.state FROM scenes \
                      JOIN channels ON channels.conversation = scenes.conversation \
                      WHERE channels.is_current = 1 AND scenes.state <> 'ended'";
        let read = async {
            let rows = sqlx::query(select).fetch_all(&self.reader).await?;
            let one = |row: &SqliteRow| Ok((ChannelId(number(row, "channel")?), state(row)?));
            rows.iter().map(one).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The scenes of a channel and of its threads, and those that the channel of a thread keeps for it, newest first.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn scenes_in(&self, there: Place) -> Result<Vec<Staged>, StoreError> {
        let read = async {
            let select = sqlx::query(SCENES_IN).bind(there.channel.0.cast_signed());
            let select = select.bind(there.parent.map(|parent| parent.0.cast_signed()));
            let rows = select.fetch_all(&self.reader).await?;
            let staged = |row: &SqliteRow| {
                Ok(Staged {
                    conversation: ConversationId(number(row, "conversation")?),
                    place: place(row)?,
                    title: row.try_get("title")?,
                    state: state(row)?,
                    host: optional(row, "host")?.map(MemberId),
                    home: optional(row, "home")?.map(ChannelId),
                })
            };
            rows.iter().map(staged).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The conversations to which no channel points and that show something in a message, and those that have what it says from
    /// there because they are branches.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn shown_elsewhere(
        &self,
        message: MessageId,
    ) -> Result<Vec<(ConversationId, Place)>, StoreError> {
        let read = async {
            let select = sqlx::query(SHOWN_ELSEWHERE).bind(message.0.cast_signed());
            let rows = select.fetch_all(&self.reader).await?;
            let one = |row: &SqliteRow| Ok((ConversationId(number(row, "conversation")?), place(row)?));
            rows.iter().map(one).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }
}

/// A conversation belongs to one channel.
async fn belong(
    writing: &mut Writing<'_>,
    channel: ChannelId,
    conversation: ConversationId,
) -> Result<(), sqlx::Error> {
    let delete = "DELETE FROM channels WHERE conversation = $1 AND channel <> $2";
    let delete = sqlx::query(delete).bind(conversation.0.cast_signed()).bind(channel.0.cast_signed());
    delete.execute(&mut **writing).await.map(drop)
}

async fn point_to_none(writing: &mut Writing<'_>, channel: ChannelId) -> Result<(), sqlx::Error> {
    let update = sqlx::query("UPDATE channels SET is_current = 0 WHERE channel = $1");
    update.bind(channel.0.cast_signed()).execute(&mut **writing).await.map(drop)
}

/// Writes down what a conversation has when it is a scene.
pub(super) async fn write_scene(
    writing: &mut Writing<'_>,
    id: i64,
    scene: Option<&Scene>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM scenes WHERE conversation = $1").bind(id).execute(&mut **writing).await?;
    let Some(scene) = scene else { return Ok(()) };
    let text = |written: &Option<Written>| written.as_ref().map(|written| written.text.clone());
    let by = |written: &Option<Written>| written.as_ref().map(|written| written.by.0.cast_signed());
    let insert = "INSERT INTO scenes (conversation, title, state, host, scenario, scenario_by, note, note_by, \
                  note_depth, carried, carried_by, departed, since, home) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    sqlx::query(insert)
        .bind(id)
        .bind(&scene.title)
        .bind(word(&STATES, scene.state))
        .bind(scene.host.map(|host| host.0.cast_signed()))
        .bind(text(&scene.scenario))
        .bind(by(&scene.scenario))
        .bind(text(&scene.note))
        .bind(by(&scene.note))
        .bind(signed(scene.note_depth))
        .bind(text(&scene.carried))
        .bind(by(&scene.carried))
        .bind(i64::from(scene.departed))
        .bind(scene.since.cast_signed())
        .bind(scene.home.map(|home| home.0.cast_signed()))
        .execute(&mut **writing)
        .await?;
    for (place, actor) in (0i64..).zip(&scene.cast) {
        let insert = "INSERT INTO actors (conversation, place, persona, name, version, is_missing) \
                      VALUES ($1, $2, $3, $4, $5, $6)";
        let insert = sqlx::query(insert).bind(id).bind(place).bind(&actor.persona.0).bind(&actor.name);
        insert.bind(&actor.version).bind(i64::from(actor.is_missing)).execute(&mut **writing).await?;
    }
    for (place, player) in (0i64..).zip(&scene.players) {
        let insert = "INSERT INTO players (conversation, place, member, name, description, since, brought_by) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let insert = sqlx::query(insert).bind(id).bind(place).bind(player.member.0.cast_signed());
        let insert = insert.bind(&player.name).bind(&player.description).bind(player.since.cast_signed());
        let insert = insert.bind(player.brought_by.map(|by| by.0.cast_signed()));
        insert.execute(&mut **writing).await?;
    }
    for (place, waiting) in (0i64..).zip(&scene.waiting) {
        let insert = "INSERT INTO waiting (conversation, place, name, description, brought_by) \
                      VALUES ($1, $2, $3, $4, $5)";
        let insert = sqlx::query(insert).bind(id).bind(place).bind(&waiting.name);
        let insert = insert.bind(&waiting.description).bind(waiting.by.0.cast_signed());
        insert.execute(&mut **writing).await?;
    }
    Ok(())
}

/// What a conversation has when it is a scene.
pub(super) async fn scene(
    reading: &mut Transaction<'_, Sqlite>,
    id: i64,
) -> Result<Option<Scene>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM scenes WHERE conversation = $1").bind(id);
    let Some(row) = row.fetch_optional(&mut **reading).await? else { return Ok(None) };
    let cast = sqlx::query("SELECT * FROM actors WHERE conversation = $1 ORDER BY place").bind(id);
    let actor = |row: &SqliteRow| {
        Ok(Actor {
            persona: PersonaId(row.try_get("persona")?),
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            is_missing: number(row, "is_missing")? != 0,
        })
    };
    let cast = cast.fetch_all(&mut **reading).await?.iter().map(actor).collect::<Result<_, sqlx::Error>>()?;
    let players = sqlx::query("SELECT * FROM players WHERE conversation = $1 ORDER BY place").bind(id);
    let player = |row: &SqliteRow| {
        Ok(Player {
            member: MemberId(number(row, "member")?),
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            since: number(row, "since")?,
            brought_by: optional(row, "brought_by")?.map(MemberId),
        })
    };
    let players = players.fetch_all(&mut **reading).await?;
    let players = players.iter().map(player).collect::<Result<_, sqlx::Error>>()?;
    let waiting = sqlx::query("SELECT * FROM waiting WHERE conversation = $1 ORDER BY place").bind(id);
    let one = |row: &SqliteRow| {
        Ok(Waiting {
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            by: MemberId(number(row, "brought_by")?),
        })
    };
    let waiting =
        waiting.fetch_all(&mut **reading).await?.iter().map(one).collect::<Result<_, sqlx::Error>>()?;
    Ok(Some(Scene {
        title: row.try_get("title")?,
        state: state(&row)?,
        since: number(&row, "since")?,
        host: optional(&row, "host")?.map(MemberId),
        home: optional(&row, "home")?.map(ChannelId),
        scenario: written(&row, "scenario", "scenario_by")?,
        note: written(&row, "note", "note_by")?,
        note_depth: usize_of(number(&row, "note_depth")?),
        carried: written(&row, "carried", "carried_by")?,
        departed: u32::try_from(number(&row, "departed")?).unwrap_or(u32::MAX),
        cast,
        players,
        waiting,
    }))
}

/// A text that a member has written into a scene; it goes with them.
fn written(row: &SqliteRow, text: &str, by: &str) -> Result<Option<Written>, sqlx::Error> {
    let (text, by): (Option<String>, _) = (row.try_get(text)?, optional(row, by)?);
    Ok(text.zip(by).map(|(text, by)| Written { text, by: MemberId(by) }))
}

fn state(row: &SqliteRow) -> Result<SceneState, sqlx::Error> {
    meaning(&STATES, row.try_get("state")?, "state")
}

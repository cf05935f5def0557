//! Memories in tables and back, and what takes them away where their conversation is not at hand.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::conversations::{Writing, number, optional};
use crate::chat::MemberId;
use crate::chat::history::TurnId;
use crate::chat::memory::{Link, Memory};

/// How the memories of a member go: those that tell of what they said or of what was said to that, and those that they have written.
/// Of what is not told only the links go.
pub(super) const FORGET: [&str; 4] = [
    "DELETE FROM memories WHERE text <> '' AND (conversation, until) IN \
     (SELECT conversation, until FROM memory_links WHERE member = $1)",
    "DELETE FROM memories WHERE text <> '' AND (conversation, until) IN (SELECT conversation, until FROM memory_links \
     WHERE (conversation, turn) IN (SELECT conversation, turn FROM answers WHERE message IN (\
     SELECT message FROM requests WHERE member = $1 UNION SELECT parts.message FROM turns AS said CROSS JOIN parts \
     WHERE said.member = $1 AND parts.conversation = said.conversation AND parts.turn = said.id)))",
    "DELETE FROM memories WHERE editor = $1",
    "DELETE FROM memory_links WHERE member = $1",
];

/// How the memories of a conversation go that tell of anything said before $2.
pub(super) const EXPIRE: [&str; 2] = [
    "DELETE FROM memories WHERE conversation = $1 AND text <> '' \
     AND until IN (SELECT until FROM memory_links WHERE conversation = $1 AND said < $2)",
    "DELETE FROM memory_links WHERE conversation = $1 AND said < $2",
];

/// Writes down all that a conversation remembers.
pub(super) async fn write_memories(
    writing: &mut Writing<'_>,
    id: i64,
    memories: &[Memory],
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM memories WHERE conversation = $1").bind(id).execute(&mut **writing).await?;
    for Memory { until, text, links, editor } in memories {
        let insert = "INSERT INTO memories (conversation, until, text, editor) VALUES ($1, $2, $3, $4)";
        let insert = sqlx::query(insert).bind(id).bind(until.0.cast_signed()).bind(text);
        insert.bind(editor.map(|editor| editor.0.cast_signed())).execute(&mut **writing).await?;
        for Link { turn, member, said } in links {
            let insert = "INSERT INTO memory_links (conversation, turn, until, member, said) \
                          VALUES ($1, $2, $3, $4, $5)";
            let insert = sqlx::query(insert).bind(id).bind(turn.0.cast_signed()).bind(until.0.cast_signed());
            let insert = insert.bind(member.map(|member| member.0.cast_signed())).bind(said.cast_signed());
            insert.execute(&mut **writing).await?;
        }
    }
    Ok(())
}

/// What a conversation remembers, oldest first.
pub(super) async fn memories(
    reading: &mut Transaction<'_, Sqlite>,
    id: i64,
) -> Result<Vec<Memory>, sqlx::Error> {
    let links = sqlx::query("SELECT * FROM memory_links WHERE conversation = $1 ORDER BY turn").bind(id);
    let link = |row: &SqliteRow| {
        let (turn, member) = (TurnId(number(row, "turn")?), optional(row, "member")?.map(MemberId));
        Ok((TurnId(number(row, "until")?), Link { turn, member, said: number(row, "said")? }))
    };
    let links = links.fetch_all(&mut **reading).await?;
    let links: Vec<(TurnId, Link)> = links.iter().map(link).collect::<Result<_, sqlx::Error>>()?;
    let memories = sqlx::query("SELECT * FROM memories WHERE conversation = $1 ORDER BY until").bind(id);
    let memory = |row: &SqliteRow| {
        let until = TurnId(number(row, "until")?);
        let own = links.iter().filter(|(of, _)| *of == until).map(|(_, link)| *link);
        let editor = optional(row, "editor")?.map(MemberId);
        Ok(Memory { until, text: row.try_get("text")?, links: own.collect(), editor })
    };
    memories.fetch_all(&mut **reading).await?.iter().map(memory).collect()
}

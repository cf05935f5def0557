//! The settings of servers and their audit lists in tables and back.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::{Store, StoreError};
use crate::chat::settings::Decision;
use crate::chat::{ChannelId, MemberId, ServerId};

/// What stands for the server as a whole in the column of channels. No channel has this id.
const WHOLE_SERVER: i64 = 0;

/// Where a setting holds (`None` for the whole server), its name, and its value.
type Setting = (Option<ChannelId>, String, Value);

impl Store {
    /// Sets what holds in a channel, or with `None` in the whole server. A value of `None` takes the setting back. It stands in
    /// the server's audit list as this decision.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing has changed.
    pub async fn set(
        &self,
        of: ServerId,
        channel: Option<ChannelId>,
        (name, value): (&str, Option<&Value>),
        decision: &Decision,
    ) -> Result<(), StoreError> {
        let server = of.0.cast_signed();
        let channel = channel.map_or(WHOLE_SERVER, |channel| channel.0.cast_signed());
        let writing = async {
            let mut writing = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let change = match value {
                Some(value) => {
                    let upsert = "INSERT INTO settings (server, channel, name, value) VALUES ($1, $2, $3, $4) \
                                  ON CONFLICT (server, channel, name) DO UPDATE SET value = $4";
                    sqlx::query(upsert).bind(server).bind(channel).bind(name).bind(value.to_string())
                }
                None => {
                    let delete = "DELETE FROM settings WHERE server = $1 AND channel = $2 AND name = $3";
                    sqlx::query(delete).bind(server).bind(channel).bind(name)
                }
            };
            change.execute(&mut *writing).await?;
            note(&mut writing, of, decision).await?;
            writing.commit().await
        };
        writing.await.map_err(|error| self.failed(&error))
    }

    /// Forgets what is set for a channel.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn forget_settings_of(&self, channel: ChannelId) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM settings WHERE channel = $1 AND channel <> 0");
        let delete = delete.bind(channel.0.cast_signed()).execute(&self.writer);
        delete.await.map(drop).map_err(|error| self.failed(&error))
    }

    /// What has been set in a server: its channel (`None` for the whole server), its name and its value. What holds in the
    /// whole server comes first, then the channels by id; in each, the names are in order.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn settings_of(&self, server: ServerId) -> Result<Vec<Setting>, StoreError> {
        // Ids are kept bit by bit, so the greatest ones would come before 0.
        let select = "SELECT channel, name, value FROM settings WHERE server = $1 \
                      ORDER BY channel <> 0, channel < 0, channel, name";
        let select = sqlx::query(select).bind(server.0.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().filter_map(|row| setting(row).transpose()).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The newest lines of a server's audit list, newest first, and no more than `limit` of them.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn decisions(&self, server: ServerId, limit: u32) -> Result<Vec<Decision>, StoreError> {
        // Of those in the same second, the one that was written later is newer.
        let select = "SELECT at, member, what, about FROM audit WHERE server = $1 \
                      ORDER BY at DESC, id DESC LIMIT $2";
        let select = sqlx::query(select).bind(server.0.cast_signed()).bind(i64::from(limit));
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(decision).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }
}

/// Adds a line to a server's audit list.
pub(super) async fn note(
    writing: &mut Transaction<'_, Sqlite>,
    server: ServerId,
    decision: &Decision,
) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO audit (server, at, member, what, about) VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(insert)
        .bind(server.0.cast_signed())
        .bind(decision.at.cast_signed())
        .bind(decision.member.map(|member| member.0.cast_signed()))
        .bind(&decision.what)
        .bind(&decision.about);
    insert.execute(&mut **writing).await.map(drop)
}

/// A setting; none where its value cannot be read, which is as if it were not set.
fn setting(row: &SqliteRow) -> Result<Option<Setting>, sqlx::Error> {
    let channel = match row.try_get::<i64, _>("channel")? {
        WHOLE_SERVER => None,
        id => Some(ChannelId(id.cast_unsigned())),
    };
    let (name, json): (String, String) = (row.try_get("name")?, row.try_get("value")?);
    Ok(serde_json::from_str(&json).ok().map(|value| (channel, name, value)))
}

fn decision(row: &SqliteRow) -> Result<Decision, sqlx::Error> {
    let member: Option<i64> = row.try_get("member")?;
    Ok(Decision {
        at: row.try_get::<i64, _>("at")?.cast_unsigned(),
        member: member.map(|id| MemberId(id.cast_unsigned())),
        what: row.try_get("what")?,
        about: row.try_get("about")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVER: ServerId = ServerId(u64::MAX);
    const OTHER: ServerId = ServerId(2);
    const NEAR: Option<ChannelId> = Some(ChannelId(5));
    const FAR: Option<ChannelId> = Some(ChannelId(u64::MAX));

    async fn open(directory: &tempfile::TempDir) -> Store {
        Store::open(&directory.path().join("mummer.db")).await.expect("it opens")
    }

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("there is room")
    }

    async fn set(store: &Store, channel: Option<ChannelId>, name: &str, value: Option<&Value>) {
        store.set(SERVER, channel, (name, value), &decided(1, name)).await.expect("it is written");
    }

    async fn settings(store: &Store, server: ServerId) -> Vec<Setting> {
        store.settings_of(server).await.expect("they are read")
    }

    fn of(channel: Option<ChannelId>, name: &str, value: Value) -> Setting {
        (channel, name.to_owned(), value)
    }

    fn decided(at: u64, about: &str) -> Decision {
        Decision { at, member: Some(MemberId(u64::MAX)), what: "set".to_owned(), about: about.to_owned() }
    }

    async fn note(store: &Store, server: ServerId, decision: &Decision) {
        store.set(server, None, ("limit", None), decision).await.expect("it is written");
    }

    async fn decisions(store: &Store, server: ServerId, limit: u32) -> Vec<Decision> {
        store.decisions(server, limit).await.expect("they are read")
    }

    #[tokio::test]
    async fn what_is_set_holds_in_its_channel_or_server() {
        let directory = directory();
        let store = open(&directory).await;
        assert_eq!(settings(&store, SERVER).await, []);
        set(&store, FAR, "persona", Some(&json!("eve"))).await;
        set(&store, NEAR, "persona", Some(&json!("ada"))).await;
        set(&store, None, "persona", Some(&json!("hermes"))).await;
        set(&store, None, "channels", Some(&json!({ "allowed": [1, 2] }))).await;
        // Nothing is a value too.
        set(&store, NEAR, "limit", Some(&Value::Null)).await;
        store.close().await;
        drop(store);
        let expected = [
            of(None, "channels", json!({ "allowed": [1, 2] })),
            of(None, "persona", json!("hermes")),
            of(NEAR, "limit", Value::Null),
            of(NEAR, "persona", json!("ada")),
            of(FAR, "persona", json!("eve")),
        ];
        let store = open(&directory).await;
        assert_eq!(settings(&store, SERVER).await, expected);
        assert_eq!(settings(&store, OTHER).await, []);
    }

    #[tokio::test]
    async fn what_is_set_again_or_taken_back_changes_there_alone() {
        let directory = directory();
        let store = open(&directory).await;
        for channel in [None, NEAR, FAR] {
            set(&store, channel, "persona", Some(&json!("ada"))).await;
        }
        let theirs = ("persona", Some(&json!("theirs")));
        store.set(OTHER, NEAR, theirs, &decided(1, "persona")).await.expect("it is written");
        set(&store, None, "persona", Some(&json!("eve"))).await;
        set(&store, NEAR, "persona", None).await;
        // There is nothing to take back.
        set(&store, NEAR, "limit", None).await;
        let left = [of(None, "persona", json!("eve")), of(FAR, "persona", json!("ada"))];
        assert_eq!(settings(&store, SERVER).await, left);
        set(&store, None, "persona", None).await;
        assert_eq!(settings(&store, SERVER).await, left[1..]);
        assert_eq!(settings(&store, OTHER).await, [of(NEAR, "persona", json!("theirs"))]);
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_as_if_it_were_not_set() {
        let directory = directory();
        let store = open(&directory).await;
        set(&store, None, "persona", Some(&json!("ada"))).await;
        set(&store, None, "limit", Some(&json!(3))).await;
        let damage = sqlx::query("UPDATE settings SET value = '{' WHERE name = 'limit'");
        damage.execute(&store.writer).await.expect("it is written");
        assert_eq!(settings(&store, SERVER).await, [of(None, "persona", json!("ada"))]);
    }

    #[tokio::test]
    async fn the_newest_decisions_come_first_and_no_more_than_wanted() {
        let directory = directory();
        let store = open(&directory).await;
        assert_eq!(decisions(&store, SERVER, 10).await, []);
        let forgotten = Decision { member: None, ..decided(20, "third") };
        // One that was written later, but is older, comes after.
        let written = [decided(10, "first"), decided(20, "second"), forgotten.clone(), decided(5, "before")];
        for decision in &written {
            note(&store, SERVER, decision).await;
        }
        note(&store, OTHER, &decided(30, "theirs")).await;
        let newest = [forgotten, decided(20, "second"), decided(10, "first"), decided(5, "before")];
        assert_eq!(decisions(&store, SERVER, 10).await, newest);
        assert_eq!(decisions(&store, SERVER, 2).await, newest[..2]);
        assert_eq!(decisions(&store, SERVER, 0).await, []);
        assert_eq!(decisions(&store, OTHER, 10).await, [decided(30, "theirs")]);
    }
}

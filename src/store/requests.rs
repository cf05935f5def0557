//! The messages that were taken in: each once, also after a restart.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::conversations::{meaning, number, optional, signed, word};
use super::{Store, StoreError};
use crate::chat::request::{Asked, Concluded, Outcome, Past};
use crate::chat::{ChannelId, MemberId, MessageId, ServerId};

/// How outcomes are written.
const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Waiting, "waiting"),
    (Outcome::Answered, "answered"),
    (Outcome::Told, "told"),
    (Outcome::Refused, "refused"),
    (Outcome::Dropped, "dropped"),
];

/// The channels in which the last process has left something undone.
pub(super) const UNDONE: [&str; 2] = [
    "SELECT DISTINCT channel, server FROM requests WHERE outcome = 'waiting'",
    "SELECT DISTINCT channels.channel, channels.server FROM turns CROSS JOIN channels \
     WHERE channels.conversation = turns.conversation AND turns.state IN ('pending', 'streaming', 'uncertain')",
];

/// The channels of a server in which somebody asked lately, those asked in last first.
pub(super) const ACTIVE: &str = "SELECT channel FROM requests \
                                 WHERE server = $1 AND asked >= $2 GROUP BY channel ORDER BY MAX(asked) DESC LIMIT $3";

impl Store {
    /// Writes down that a message was taken in. Whether it was not before.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn take_in(&self, asked: &Asked) -> Result<bool, StoreError> {
        let insert = "INSERT INTO requests (message, channel, server, member, asked, outcome) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (message) DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(asked.message.0.cast_signed())
            .bind(asked.channel.0.cast_signed())
            .bind(server_column(asked.server))
            .bind(asked.member.0.cast_signed())
            .bind(asked.at.cast_signed())
            .bind(word(&OUTCOMES, Outcome::Waiting));
        let inserted = insert.execute(&self.writer).await.map_err(|error| self.failed(&error))?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Writes down what became of a message.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn conclude(&self, message: MessageId, concluded: Concluded) -> Result<(), StoreError> {
        let update = "UPDATE requests SET outcome = $2, took = $3, tokens = $4 WHERE message = $1";
        let update = sqlx::query(update)
            .bind(message.0.cast_signed())
            .bind(word(&OUTCOMES, concluded.outcome))
            .bind(concluded.took.cast_signed())
            .bind(signed(concluded.tokens));
        update.execute(&self.writer).await.map(drop).map_err(|error| self.failed(&error))
    }

    /// The last messages that were taken in in a channel, newest first, with what became of them.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn requests_in(
        &self,
        channel: ChannelId,
        most: u32,
    ) -> Result<Vec<(MessageId, Outcome)>, StoreError> {
        let select =
            "SELECT message, outcome FROM requests WHERE channel = $1 ORDER BY message DESC LIMIT $2";
        let select = sqlx::query(select).bind(channel.0.cast_signed()).bind(i64::from(most));
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter()
                .map(|row| {
                    let outcome = meaning(&OUTCOMES, row.try_get("outcome")?, "outcome")?;
                    Ok((MessageId(number(row, "message")?), outcome))
                })
                .collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The channels in which the last process has left something undone: a message to be answered, or a reply.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn undone(&self) -> Result<Vec<(ChannelId, Option<ServerId>)>, StoreError> {
        let read = async {
            let mut undone = Vec::new();
            for select in UNDONE {
                for row in sqlx::query(select).fetch_all(&self.reader).await? {
                    undone.push((ChannelId(number(&row, "channel")?), server(&row)?));
                }
            }
            undone.sort_unstable();
            undone.dedup();
            Ok(undone)
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// The channels of a server (or the direct messages) in which somebody asked since then; those asked in last first.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn active(
        &self,
        server: Option<ServerId>,
        since: u64,
        most: u32,
    ) -> Result<Vec<ChannelId>, StoreError> {
        let select = sqlx::query(ACTIVE).bind(server_column(server)).bind(since.cast_signed());
        let read = async {
            let rows = select.bind(i64::from(most)).fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "channel").map(ChannelId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// Who asked in a message that was taken in; `None` when it was not, or they are forgotten.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn who_asked(&self, message: MessageId) -> Result<Option<MemberId>, StoreError> {
        let select = sqlx::query("SELECT member FROM requests WHERE message = $1");
        let select = select.bind(message.0.cast_signed());
        let read = async {
            let row = select.fetch_optional(&self.reader).await?;
            row.map_or(Ok(None), |row| optional(&row, "member"))
        };
        read.await.map(|member| member.map(MemberId)).map_err(|error| self.failed(&error))
    }

    /// The messages of a member that were taken in.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn asked_by(&self, member: MemberId) -> Result<Vec<MessageId>, StoreError> {
        let select =
            sqlx::query("SELECT message FROM requests WHERE member = $1").bind(member.0.cast_signed());
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(|row| number(row, "message").map(MessageId)).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// What was asked in a server last, newest first, and no more than `limit`.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn requests_of(&self, of: ServerId, limit: u32) -> Result<Vec<Past>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM requests WHERE server = $1 ORDER BY asked DESC, message DESC LIMIT $2",
        );
        let select = select.bind(of.0.cast_signed()).bind(i64::from(limit));
        let past = |row: &SqliteRow| {
            Ok(Past {
                channel: ChannelId(number(row, "channel")?),
                member: optional(row, "member")?.map(MemberId),
                at: number(row, "asked")?,
                concluded: Concluded {
                    outcome: meaning(&OUTCOMES, row.try_get("outcome")?, "outcome")?,
                    took: number(row, "took")?,
                    tokens: usize::try_from(number(row, "tokens")?).unwrap_or(usize::MAX),
                },
            })
        };
        let read = async {
            let rows = select.fetch_all(&self.reader).await?;
            rows.iter().map(past).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }

    /// What was asked since then, oldest first; without what was refused, and what members who are forgotten asked.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn asked_since(&self, since: u64) -> Result<Vec<Asked>, StoreError> {
        let select = "SELECT * FROM requests WHERE asked >= $1 AND member IS NOT NULL \
                      AND outcome <> 'refused' ORDER BY asked";
        let read = async {
            let rows = sqlx::query(select).bind(since.cast_signed()).fetch_all(&self.reader).await?;
            rows.iter()
                .map(|row| {
                    Ok(Asked {
                        message: MessageId(number(row, "message")?),
                        channel: ChannelId(number(row, "channel")?),
                        server: server(row)?,
                        member: MemberId(number(row, "member")?),
                        at: number(row, "asked")?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(|error| self.failed(&error))
    }
}

/// How a server is written; 0 stands for direct messages.
pub(super) fn server_column(server: Option<ServerId>) -> i64 {
    server.map_or(0, |server| server.0.cast_signed())
}

/// The server of a row, if it is not of direct messages.
pub(super) fn server(row: &SqliteRow) -> Result<Option<ServerId>, sqlx::Error> {
    Ok(optional(row, "server")?.filter(|&server| server != 0).map(ServerId))
}

//! Files that members attach: fetched from Discord and from nowhere else, and no more of them than they may have.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serenity::all::Attachment;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::chat::text::Editing;

/// Where Discord keeps what members attach.
const DISCORD: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];

/// How long it may take to reach the place, and to fetch a file as a whole.
const CONNECTING: Duration = Duration::from_secs(10);
const FETCHING: Duration = Duration::from_mins(1);

/// How many files are fetched at a time; whoever wants more waits.
const AT_A_TIME: usize = 4;

/// How many files are fetched, looked at or wait for it; nobody else is let in.
const AT_HAND: usize = 16;

/// What fetches files.
#[derive(Clone)]
pub(super) struct Attachments {
    client: Client,
    few: Arc<Semaphore>,
    at_hand: Arc<Semaphore>,
    /// Where they may lie instead of where Discord keeps them.
    only: Option<Url>,
}

/// A file that was fetched. It has its place among those that are at hand as long as it is there.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

/// Why a file is not there. What the library says has addresses in it, and goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfetched {
    /// It lies elsewhere.
    #[error("it lies elsewhere")]
    Elsewhere,
    /// It has more bytes than it may have.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// Most bytes.
        most: usize,
    },
    /// There are others.
    #[error("there are others")]
    Busy,
    /// There was no answer, or another one than the file.
    #[error("there was no answer with it")]
    NoAnswer,
}

impl From<Unfetched> for Editing {
    fn from(unfetched: Unfetched) -> Self {
        match unfetched {
            Unfetched::Elsewhere => Self::NotFromDiscord,
            Unfetched::TooLarge { most } => Self::TooLargeAFile(most),
            Unfetched::Busy => Self::Busy,
            Unfetched::NoAnswer => Self::NotFetched,
        }
    }
}

impl Attachments {
    /// Fetches from where Discord keeps files, or with an `api_base` from there alone. `None` when no client can be made, which is
    /// a matter of the machine.
    pub(super) fn new(api_base: Option<&str>) -> Option<Self> {
        let client =
            Client::builder().redirect(Policy::none()).connect_timeout(CONNECTING).timeout(FETCHING).build();
        let only = api_base.map(Url::parse).transpose().ok()?;
        let (few, at_hand) = (Semaphore::new(AT_A_TIME), Semaphore::new(AT_HAND));
        Some(Self { client: client.ok()?, few: Arc::new(few), at_hand: Arc::new(at_hand), only })
    }

    /// Fetches a file that has at most so many bytes, whatever is said of its size.
    ///
    /// # Errors
    /// [`Unfetched`].
    pub(super) async fn fetch(&self, attachment: &Attachment, most: usize) -> Result<Fetched, Unfetched> {
        let too_large = Unfetched::TooLarge { most };
        let url = self.allowed(&attachment.url).ok_or(Unfetched::Elsewhere)?;
        if usize::try_from(attachment.size).is_ok_and(|size| size > most) {
            return Err(too_large);
        }
        let place = Arc::clone(&self.at_hand).try_acquire_owned().map_err(|_| Unfetched::Busy)?;
        let _one_of_few = self.few.acquire().await.map_err(|_| Unfetched::NoAnswer)?;
        let mut response = self.client.get(url).send().await.map_err(|_| Unfetched::NoAnswer)?;
        if !response.status().is_success() {
            return Err(Unfetched::NoAnswer);
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|_| Unfetched::NoAnswer)? {
            if bytes.len() + piece.len() > most {
                return Err(too_large);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Fetched { bytes, _place: place })
    }

    /// The address, if files may lie there.
    fn allowed(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        let is_allowed = match &self.only {
            Some(only) => url.origin() == only.origin(),
            None => {
                url.scheme() == "https"
                    && url.port().is_none()
                    && url.host_str().is_some_and(|host| DISCORD.contains(&host))
            }
        };
        (is_allowed && url.username().is_empty() && url.password().is_none()).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_when_there_are_too_many_files_is_sent_away() {
        let attachments = Attachments::new(Some("http://127.0.0.1:1")).expect("a client");
        let file = serde_json::json!({
            "id": "1", "filename": "ada.json", "size": 1, "proxy_url": "", "url": "http://127.0.0.1:1/ada.json",
        });
        let file: Attachment = serde_json::from_value(file).expect("a file");
        let others = attachments.at_hand.acquire_many(u32::try_from(AT_HAND).expect("it is small")).await;
        assert_eq!(attachments.fetch(&file, 1).await.err(), Some(Unfetched::Busy));
        drop(others);
        // Nobody listens there, but it is tried.
        assert_eq!(attachments.fetch(&file, 1).await.err(), Some(Unfetched::NoAnswer));
        assert_eq!(attachments.at_hand.available_permits(), AT_HAND);
    }

    #[test]
    fn files_lie_with_discord_or_where_the_operator_says() {
        let discord = Attachments::new(None).expect("a client");
        for (address, is_allowed) in [
            ("https://cdn.discordapp.com/attachments/1/2/ada.png?ex=1", true),
            ("https://media.discordapp.net/attachments/1/2/ada.png", true),
            ("https://CDN.discordapp.com/x", true),
            ("http://cdn.discordapp.com/x", false),
            ("https://cdn.discordapp.com:8443/x", false),
            ("https://cdn.discordapp.com.example/x", false),
            ("https://cdn.discordapp.com@example.com/x", false),
            ("https://me@cdn.discordapp.com/x", false),
            ("https://example.com/cdn.discordapp.com", false),
            ("https://127.0.0.1/x", false),
            ("file:///etc/passwd", false),
            ("ada.png", false),
            ("", false),
        ] {
            assert_eq!(discord.allowed(address).is_some(), is_allowed, "{address}");
        }
        let elsewhere = Attachments::new(Some("http://127.0.0.1:3100")).expect("a client");
        for (address, is_allowed) in [
            ("http://127.0.0.1:3100/x", true),
            ("http://127.0.0.1:3101/x", false),
            ("https://127.0.0.1:3100/x", false),
            ("https://cdn.discordapp.com/x", false),
        ] {
            assert_eq!(elsewhere.allowed(address).is_some(), is_allowed, "{address}");
        }
    }
}

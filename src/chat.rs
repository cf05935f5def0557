//! Conversation as plain types and pure functions: no clock, no files, no network, no model.

pub mod addressing;
pub mod blocklist;
pub mod budget;
pub mod buttons;
pub mod explanation;
pub mod history;
pub mod lore;
pub mod markdown;
pub mod memory;
pub mod notice;
pub mod prompt;
pub mod reply;
pub mod request;
pub mod sanitize;
pub mod scene;
pub mod settings;
pub mod slots;
pub mod split;
pub mod tavern;
pub mod template;
pub mod text;

/// Makes a number that names one thing and cannot be taken for a number that names another.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id!(
    /// A message, as the place where it was posted numbers it.
    MessageId
);
id!(
    /// A channel, thread or direct-message channel.
    ChannelId
);
id!(
    /// A server with its channels and members.
    ServerId
);
id!(
    /// A person (or a program) that posts messages.
    MemberId
);

id!(
    /// A role that members of a server have.
    RoleId
);

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The channel.
    pub channel: ChannelId,
    /// The channel that it belongs to, when it is a thread.
    pub parent: Option<ChannelId>,
    /// The server, when it is not a direct message.
    pub server: Option<ServerId>,
}

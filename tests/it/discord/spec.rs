//! Checks requests and answers against Discord's published description of its API, an `OpenAPI`
//! document. The document is not part of this repository: where it is absent, the checks are
//! skipped and say so once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The parts of the API that the bot and the fake exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    MessageCreateRequest,
    MessageEditRequestPartial,
    CreatePrivateChannelRequest,
    MessageResponse,
    GuildChannelResponse,
    ThreadResponse,
    PrivateChannelResponse,
    GuildMemberResponse,
    UserPIIResponse,
    PrivateApplicationResponse,
    GatewayResponse,
    GatewayBotResponse,
    ApplicationCommandUpdateRequest,
    ApplicationCommandResponse,
    IncomingWebhookRequestPartial,
    IncomingWebhookUpdateRequestPartial,
    CreateMessageInteractionCallbackRequest,
    UpdateMessageInteractionCallbackRequest,
    ApplicationCommandAutocompleteCallbackRequest,
    ModalInteractionCallbackRequest,
    GuildIncomingWebhookResponse,
    ListApplicationEmojisResponse,
    EmojiResponse,
    UpdateThreadRequestPartial,
    CreateTextThreadWithMessageRequest,
    CreateTextThreadWithoutMessageRequest,
    CreateForumThreadRequest,
    CreatedThreadResponse,
    ThreadMemberResponse,
}

const SHAPES: [Shape; 29] = [
    Shape::MessageCreateRequest,
    Shape::MessageEditRequestPartial,
    Shape::CreatePrivateChannelRequest,
    Shape::MessageResponse,
    Shape::GuildChannelResponse,
    Shape::ThreadResponse,
    Shape::PrivateChannelResponse,
    Shape::GuildMemberResponse,
    Shape::UserPIIResponse,
    Shape::PrivateApplicationResponse,
    Shape::GatewayResponse,
    Shape::GatewayBotResponse,
    Shape::ApplicationCommandUpdateRequest,
    Shape::ApplicationCommandResponse,
    Shape::IncomingWebhookRequestPartial,
    Shape::IncomingWebhookUpdateRequestPartial,
    Shape::CreateMessageInteractionCallbackRequest,
    Shape::UpdateMessageInteractionCallbackRequest,
    Shape::ApplicationCommandAutocompleteCallbackRequest,
    Shape::ModalInteractionCallbackRequest,
    Shape::GuildIncomingWebhookResponse,
    Shape::ListApplicationEmojisResponse,
    Shape::EmojiResponse,
    Shape::UpdateThreadRequestPartial,
    Shape::CreateTextThreadWithMessageRequest,
    Shape::CreateTextThreadWithoutMessageRequest,
    Shape::CreateForumThreadRequest,
    Shape::CreatedThreadResponse,
    Shape::ThreadMemberResponse,
];

/// What is wrong with a value, in words; empty when it has the shape or nothing can be checked.
pub(super) fn complaints(shape: Shape, value: &Value) -> Vec<String> {
    static VALIDATORS: OnceLock<BTreeMap<Shape, Validator>> = OnceLock::new();
    let Some(validator) = VALIDATORS.get_or_init(compile).get(&shape) else {
        return Vec::new();
    };
    validator
        .iter_errors(value)
        .filter(|error| !is_attachment_id(error.instance_path().as_str()))
        .map(|error| format!("{shape:?}{}: {error}", error.instance_path()))
        .collect()
}

/// The document wants an attachment's id as a string, but in a request it is the number of the
/// file, and serenity sends it as a number. Discord takes both.
fn is_attachment_id(path: &str) -> bool {
    let path = path.strip_prefix("/data").unwrap_or(path);
    path.starts_with("/attachments/") && path.ends_with("/id")
}

fn compile() -> BTreeMap<Shape, Validator> {
    let Some(document) = read_document() else {
        return BTreeMap::new();
    };
    SHAPES
        .into_iter()
        .map(|shape| {
            // The schemas refer to each other from the root of the document.
            let schema = json!({
                "$ref": format!("#/components/schemas/{shape:?}"),
                "components": document["components"],
            });
            let validator = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .build(&schema)
                .expect("Discord's OpenAPI document contains valid schemas");
            (shape, validator)
        })
        .collect()
}

#[expect(
    clippy::print_stderr,
    reason = "a skipped check must be seen, and the test harness shows what is printed"
)]
fn read_document() -> Option<Value> {
    let path = std::env::var_os("MUMMER_DISCORD_SPEC").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/discord-openapi.json"),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "Discord's OpenAPI document is not at {}: requests are not checked against it",
            path.display()
        );
        return None;
    };
    Some(serde_json::from_str(&text).expect("Discord's OpenAPI document is JSON"))
}

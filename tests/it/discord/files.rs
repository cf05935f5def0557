//! Files that members attach to commands, and that messages came with: they are fetched from where Discord keeps them.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{FakeDiscord, Inner, payloads};

pub(super) async fn fetch(
    Shared(inner): Shared<Arc<Inner>>,
    Path((_, id, _)): Path<(String, u64, String)>,
) -> Result<Vec<u8>, StatusCode> {
    inner.change(|state| {
        state.world.fetched += 1;
        state.world.files.get(&id).cloned().ok_or(StatusCode::NOT_FOUND)
    })
}

impl FakeDiscord {
    /// A file that is attached to a command, to be given as the value of an option.
    pub(crate) fn upload(&self, name: &str, bytes: &[u8]) -> Value {
        self.inner.change(|state| {
            let id = state.world.number();
            state.world.files.insert(id, bytes.to_vec());
            json!({"attachment": payloads::file(&state.world, id, name)})
        })
    }

    /// How many files were asked for so far.
    pub(crate) fn fetched(&self) -> usize {
        self.inner.look(|state| state.world.fetched)
    }
}

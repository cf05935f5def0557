//! The connection under the gateway: carries frames between a websocket and the gateway's state.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State as Shared};
use axum::response::Response;

use super::Inner;
use super::gateway::{LinkId, Outgoing, receive};

/// The route of the websocket.
pub(super) async fn connect(
    Shared(inner): Shared<Arc<Inner>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    if query.is_none_or(|query| !query.split('&').any(|pair| pair == "v=10")) {
        inner.change(|state| {
            let complaint = "the gateway was not asked for version 10".to_owned();
            state.violations.push(complaint);
        });
    }
    upgrade.on_upgrade(move |socket| converse(socket, inner))
}

async fn converse(mut socket: WebSocket, inner: Arc<Inner>) {
    let mut changes = inner.changes();
    let link = inner.change(|state| state.gateway.open_link());
    loop {
        changes.mark_unchanged();
        if !flush(&mut socket, &inner, link).await {
            break;
        }
        tokio::select! {
            woken = changes.changed() => {
                if woken.is_err() {
                    break;
                }
            }
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Text(text))) => {
                    inner.change(|state| receive(state, link, text.as_str()));
                }
                Some(Ok(Frame::Close(farewell))) => {
                    let code = farewell.map_or(1005, |frame| frame.code);
                    inner.change(|state| state.gateway.note_farewell(link, code));
                    // Reading on sends the closing handshake's other half.
                    while socket.recv().await.is_some() {}
                    break;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
    }
    inner.change(|state| state.gateway.close_link(link));
}

/// Sends what is waiting. Returns whether the connection goes on.
async fn flush(socket: &mut WebSocket, inner: &Inner, link: LinkId) -> bool {
    while let Some(outgoing) = inner.look(|state| state.gateway.next_outgoing(link)) {
        let goes_on = match outgoing {
            Outgoing::Text(text) => socket.send(Frame::Text(text.into())).await.is_ok(),
            Outgoing::Close(code) => {
                let reason = "closed by the fake Discord".into();
                let farewell = Frame::Close(Some(CloseFrame { code, reason }));
                let said = socket.send(farewell).await.is_ok();
                while said && matches!(socket.recv().await, Some(Ok(_))) {}
                false
            }
            Outgoing::Vanish => false,
        };
        if !goes_on {
            return false;
        }
        inner.change(|state| state.gateway.mark_sent(link));
    }
    true
}

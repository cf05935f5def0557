//! The buttons under a reply, while it is made and when it is there.

use super::delivering::Delivering;
use super::{Delivery, Outlet};

use crate::chat::buttons::Row;
use crate::chat::history::Part;
use crate::chat::reply::ReplyAction;

impl<O: Outlet> Delivering<'_, O> {
    /// The buttons that are to stand under the last message of the reply, if any are.
    pub(super) fn row_now(&self, growing: bool) -> Option<Row> {
        let turn = self.turn?;
        self.assistant.row_of(&self.live, turn, growing)
    }

    /// Notes where the buttons stand from now on. Returns the message under which they stood.
    pub(super) fn put_row(&self, row: Option<Row>) -> Option<Part> {
        let turn = self.turn?;
        let mut conversation = self.live.lock();
        let elsewhere = conversation.row().and_then(|turn| turn.parts.last().copied());
        if row.is_some() {
            conversation.put_row(turn);
            self.assistant.dressed.insert(self.live.place.channel);
        } else {
            conversation.take_row(turn);
        }
        elsewhere
    }

    /// Under this message no buttons stand any more. Those that do are answered as such; the outlet has logged it.
    pub(super) async fn undress(&mut self, part: Option<Part>) {
        if let Some(Part { message, webhook, .. }) = part {
            let _ = self.outlet.act(ReplyAction::Dress { message, webhook }, None).await;
        }
    }

    /// Puts the right buttons under the last message of the reply, when others or none stand there.
    pub(super) async fn dress(&mut self, growing: bool) {
        let row = self.row_now(growing);
        let last = self.turn.and_then(|turn| self.live.lock().turn(turn)?.parts.last().copied());
        let Some(Part { message, webhook, .. }) = last.filter(|_| row != self.row) else { return };
        let elsewhere = self.put_row(row).filter(|part| part.message != message);
        self.live.save().await;
        if self.outlet.act(ReplyAction::Dress { message, webhook }, row).await == Delivery::Done {
            self.row = row;
        }
        self.undress(elsewhere).await;
    }
}

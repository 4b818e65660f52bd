//! Actions of every kind of resource.

use dewpoint_api::{Action, ActionId};

use crate::{Call, Kept, List, WaitForAction, operations as op};

groups! {
    /// Actions: changes that take time, and how they went.
    Actions;
}

impl Actions {
    /// `GET /v2/actions`: the account's actions, newest first.
    pub fn list(&self) -> List<Action> {
        self.0.list(&op::ACTIONS_LIST, &[])
    }

    /// `GET /v2/actions/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<ActionId>) -> Call<Kept<Action>> {
        self.0.one(&op::ACTIONS_GET, &[&id.into()])
    }

    /// Waits until an action is over.
    pub fn wait(&self, id: impl Into<ActionId>) -> WaitForAction {
        WaitForAction::new(self.0.clone(), id.into())
    }
}

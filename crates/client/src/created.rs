//! What a creation answered: the Droplet, and the action that makes it.

use std::ops::Deref;

use dewpoint_api::{ActionId, ActionLink, ActionLinks, Droplet};

use crate::{Client, Kept, WaitForDroplet, envelope::Envelope};

/// A Droplet that is being made. Derefs to the Droplet as it was when its creation was accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Created {
    /// The Droplet, `new` and without addresses.
    pub droplet: Kept<Droplet>,
    /// Where to watch the action that makes it; `None` when the server did not say.
    pub action: Option<ActionLink>,
}

impl Created {
    /// The number of the action that makes it.
    pub fn action_id(&self) -> Option<ActionId> {
        self.action.as_ref().map(|link| link.id)
    }

    /// Waits until the Droplet is active, then until it is as ready as can be seen from here; see [`WaitForDroplet`].
    pub fn wait_ready(&self, client: &Client) -> WaitForDroplet {
        WaitForDroplet::new(client.clone(), self.droplet.id, self.action_id()).until_ready()
    }

    /// Waits until the Droplet is active.
    pub fn wait_active(&self, client: &Client) -> WaitForDroplet {
        WaitForDroplet::new(client.clone(), self.droplet.id, self.action_id())
    }
}

impl Deref for Created {
    type Target = Kept<Droplet>;
    fn deref(&self) -> &Kept<Droplet> {
        &self.droplet
    }
}

pub(crate) fn one(body: &[u8]) -> Result<Created, String> {
    let envelope = Envelope::open(body)?;
    let links: ActionLinks = envelope.maybe("links");
    Ok(Created { droplet: envelope.one("droplet")?, action: links.actions.into_iter().next() })
}

/// Droplets and actions stand in the order of the names (behaviour rule CRE-1).
pub(crate) fn many(body: &[u8]) -> Result<Vec<Created>, String> {
    let envelope = Envelope::open(body)?;
    let links: ActionLinks = envelope.maybe("links");
    let mut actions = links.actions.into_iter();
    let droplets = envelope.many("droplets")?;
    Ok(droplets.into_iter().map(|droplet| Created { droplet, action: actions.next() }).collect())
}

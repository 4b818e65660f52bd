//! A Droplet's serial console: read by whoever owns it, and typed into.

use dewpoint_api::{AccountId, DropletId};
use dewpoint_engine::{Console, Error as EngineError, MachineId};
use dewpoint_store::Tx;
use tokio::sync::mpsc::error::TrySendError;

use crate::{Control, Error};

/// Most bytes that are typed at once.
pub const TYPED_MOST: usize = 4096;

impl Control {
    /// The serial console of a Droplet; of one that is off, what it wrote. 422 when its engine keeps none.
    pub async fn droplet_console(&self, account: AccountId, id: DropletId) -> Result<Console, Error> {
        self.droplet_get(account, id).await?;
        match self.engine().console(MachineId(id.0)).await {
            Ok(Some(console)) => Ok(console),
            Ok(None) => {
                let engine = self.engine().name();
                Err(Error::invalid(format!("This Droplet has no serial console: the engine {engine} keeps none.")))
            }
            // Its machine is still to be made, or just gone.
            Err(EngineError::NoSuchMachine(_)) => Ok(Console::of_the_past(Vec::new())),
            Err(other) => Err(other.into()),
        }
    }

    /// Types `text` into a Droplet's serial console. What was typed is not kept.
    ///
    /// 422 for a Droplet that is off, or a text that is empty or longer than [`TYPED_MOST`]; 409 when the guest has not taken
    /// what was typed before.
    pub async fn droplet_type(&self, account: AccountId, id: DropletId, text: String) -> Result<(), Error> {
        if text.is_empty() || text.len() > TYPED_MOST {
            return Err(Error::invalid(format!("input is 1 to {TYPED_MOST} bytes.")));
        }
        let console = self.droplet_console(account, id).await?;
        let place = console.input.try_reserve().map_err(|error| match error {
            TrySendError::Closed(()) => Error::invalid("The Droplet is off: nobody would hear what is typed."),
            TrySendError::Full(()) => {
                Error::Conflict("The Droplet does not take what was typed before. Try again when it does.".to_owned())
            }
        })?;
        // That it was asked is written first: a request that is sent again types once, or not at all when the server ended
        // in this very moment.
        self.store().write(|_: &mut dyn Tx| Ok::<_, Error>(())).await?;
        place.send(text.into());
        Ok(())
    }
}

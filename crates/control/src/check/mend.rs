//! Putting right what can be put right without a person. For when no server is at work.

use dewpoint_engine::Engine;
use dewpoint_store::{
    Store, Tx,
    check::row_rules,
    droplets::{self, DropletChange},
    volumes,
};

use super::{Finding, Mend};
use crate::Error;

/// Does what a finding's remedy says; nothing for one that only a person can see to. Doing it twice is harmless.
///
/// Rows of a rule are put right all at once. No server may be at work on this store.
pub async fn mend(store: &Store, engine: &dyn Engine, finding: &Finding) -> Result<(), Error> {
    let Some(mend) = finding.mend.clone() else { return Ok(()) };
    match mend {
        Mend::Machine(id) => Ok(engine.destroy(id).await?),
        Mend::Gpus(id) => Ok(engine.give_back_gpus(id).await.map(drop)?),
        Mend::Image(name) => Ok(engine.remove_image(&name).await?),
        Mend::Volume(id) => {
            if let Some(machine) = engine.observe_volume(id).await?.and_then(|seen| seen.machine) {
                engine.detach(id, machine).await?;
            }
            Ok(engine.remove_volume(id).await?)
        }
        Mend::Rows(_) | Mend::Power(..) | Mend::Place(..) | Mend::Size(..) => {
            store.write(move |tx: &mut dyn Tx| write(tx, &mend)).await
        }
    }
}

fn write(tx: &mut dyn Tx, mend: &Mend) -> Result<(), Error> {
    match mend {
        Mend::Rows(name) => {
            for rule in row_rules().iter().filter(|rule| rule.name == *name) {
                rule.mend(tx)?;
            }
        }
        Mend::Power(id, status) => {
            let change = DropletChange { status: Some(*status), ..DropletChange::default() };
            droplets::droplet_change(tx, *id, &change)?;
        }
        Mend::Place(id, droplet) => volumes::volume_found_at(tx, *id, *droplet)?,
        Mend::Size(id, gib) => volumes::volume_grow(tx, *id, *gib)?,
        Mend::Machine(_) | Mend::Gpus(_) | Mend::Volume(_) | Mend::Image(_) => {}
    }
    Ok(())
}

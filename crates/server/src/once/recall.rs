//! What a server that was killed leaves to its successor: which clients it had not answered.

use std::{io, path::Path};

use dewpoint_store::{Ending, Error as StoreError, Untold, untold};

use super::{
    lost::Lost,
    told::{Told, boot_id},
};
use crate::App;

/// Takes up from the file `path` and from the store which clients a server that was killed had not answered, and keeps it
/// there from now on. Where the system does not say since when it runs, nothing is kept.
pub(crate) async fn recall(app: &App, path: &Path) -> io::Result<()> {
    let Some(boot) = boot_id() else { return Ok(()) };
    let told = Told::open(path, &boot)?;
    let (server, now) = (told.server(), app.control.clock().now());
    let read = app.control.store().write(move |tx| {
        untold::untold_sweep(tx, now)?;
        Ok::<_, StoreError>((untold::untold_last(tx, server)?, untold::untold_list(tx, server, now)?))
    });
    let (last, rows) = read.await.map_err(io::Error::other)?;
    told.start_after(last);
    let untold: Vec<_> = rows.into_iter().filter(|row| !told.was_handed_over(row.request.number)).collect();
    if !untold.is_empty() {
        let count = untold.len();
        tracing::info!(count, "Requests that were done and not answered when the server was killed: {count}");
    }
    for row in untold {
        let Untold { number, fingerprint, expires_at, .. } = row.request;
        app.once.lost.put(fingerprint, Lost { ending: Ending::done(row.made), number: Some(number) }, expires_at);
    }
    // Done once, before anything is served: there is none yet.
    let _ = app.once.told.set(told);
    Ok(())
}

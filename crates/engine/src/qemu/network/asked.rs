//! Machines that ask for their own data: connections accepted inside the network namespace, each with whose link it came by.

use std::{io, sync::Arc};

use dewpoint_network::linux::Wire;
use tokio::net::{TcpListener, TcpStream};

use crate::{MachineId, MetadataListener};

/// Listens inside the network namespace.
#[derive(Debug)]
pub(super) struct Asked {
    wire: Arc<Wire>,
    listener: TcpListener,
}

impl Asked {
    pub(super) fn new(wire: Arc<Wire>, listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { wire, listener: TcpListener::from_std(listener)? })
    }
}

#[async_trait::async_trait]
impl MetadataListener for Asked {
    async fn accept(&self) -> io::Result<(TcpStream, MachineId)> {
        loop {
            let (connection, _) = self.listener.accept().await?;
            // What no machine of the plan asked is closed here.
            if let Some(asker) = self.wire.asker(&connection) {
                return Ok((connection, MachineId(asker.machine)));
            }
        }
    }
}

//! Where an engine's machines ask for their own data (behaviour rules MET-*): connections to 169.254.169.254, each with who asks.

use std::{fmt, io};

use tokio::net::TcpStream;

use crate::MachineId;

/// Connections from machines to the metadata address, made inside the installation's network.
#[async_trait::async_trait]
pub trait MetadataListener: fmt::Debug + Send + Sync {
    /// The next connection, and the machine by whose link it came. That is told by the link and by nothing the machine sends;
    /// a connection whose machine cannot be told is closed and never returned.
    ///
    /// Fails when none can be accepted for now, as without a file descriptor left; a later call may succeed. May be dropped while
    /// it waits without losing a connection.
    async fn accept(&self) -> io::Result<(TcpStream, MachineId)>;
}

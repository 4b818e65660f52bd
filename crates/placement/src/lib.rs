//! Where a machine goes: what hosts have and who has what of it in, a host and its GPUs or the reasons against it out. No I/O.
//!
//! [`Stock`] is the hosts with what is taken of them, and [`Stock::place`] a pure function of it: the same stock and the same
//! wish give the same answer, and a wish that fits anywhere is never refused. Memory is not promised twice, processors up to a
//! ratio, a GPU never to two.

mod choice;
mod reason;
mod stock;

pub use choice::Choice;
pub use reason::{Reason, Refusal, Short};
pub use stock::{Gpu, Host, HostState, Need, Overcommit, Placement, Stock, Taken, Wish};

//! The public API, a file a resource. Each gives its operations; their order is that of the document.

mod regions;
mod sizes;

use crate::Operation;

/// Every operation of the public API that is served.
pub(crate) fn operations() -> Vec<Operation> {
    [regions::operations(), sizes::operations()].into_iter().flatten().collect()
}

//! Domains and their records, as the API shows them.

use dewpoint_api as api;
use dewpoint_control::domains::DomainView;
use dewpoint_store::DomainRecord;

/// A domain.
pub(crate) fn domain(view: DomainView) -> api::Domain {
    api::Domain { name: view.name, ttl: Some(view.ttl), zone_file: view.zone_file }
}

/// A record of one.
pub(crate) fn domain_record(record: DomainRecord) -> api::DomainRecord {
    api::DomainRecord {
        id: record.id,
        kind: record.kind.into(),
        name: record.name,
        data: record.data,
        priority: record.priority,
        port: record.port,
        ttl: record.ttl,
        weight: record.weight,
        flags: record.flags,
        tag: record.tag,
    }
}

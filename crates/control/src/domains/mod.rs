//! Domains: made, listed, deleted (DNS-1). Their records are in `records.rs`; what names and records may be is in `names.rs` and
//! `record.rs`.

mod names;
mod record;
mod records;
pub mod reverse;
pub mod zone;

use std::net::IpAddr;

use dewpoint_api::{AccountId, DomainCreateRequest, DomainRecordId, DomainRecordType as Type, PageRequest};
use dewpoint_store::{
    DomainFilter, DomainRecord, DomainRow, Error as StoreError, Page, Sequence, Tx, Window, counters, domains,
};

use crate::{Control, Error, window};

const EVERY: Window = Window { skip: 0, take: u32::MAX };

/// A domain as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainView {
    /// Its name.
    pub name: String,
    /// The time its start states, in seconds.
    pub ttl: u32,
    /// The domain as a zone file; none in the answer that makes it.
    pub zone_file: Option<String>,
}

/// Reads the names of name servers: at least one, at most 13, as they are kept.
///
/// Fails for what is no name of a host.
pub fn nameservers(names: &[String]) -> Result<Vec<String>, Error> {
    if names.is_empty() || names.len() > 13 {
        return Err(Error::invalid(format!("there are {}: name from 1 to 13 name servers.", names.len())));
    }
    names.iter().map(|name| names::domain(name)).collect()
}

fn find(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<DomainRow, Error> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    domains::domain_get(tx, account, &name)?.ok_or(Error::NotFound)
}

/// A name is one account's, and so is what is below it: nobody answers for a part of another's domain.
fn check_free(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<(), Error> {
    if domains::domain_of_anybody(tx, name)?.is_some() {
        return Err(taken());
    }
    let above = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
    for above in above.filter(|above| above.contains('.')) {
        if domains::domain_of_anybody(tx, above)?.is_some_and(|domain| domain.account != account) {
            return Err(Error::invalid(format!("name {name} is in {above}, a domain of another account.")));
        }
    }
    if domains::domain_is_above_anothers(tx, account, name)? {
        return Err(Error::invalid(format!("name {name} has a domain of another account in it.")));
    }
    Ok(())
}

fn taken() -> Error {
    Error::invalid("name already exists: a domain is of one account, and there once.")
}

fn plain(id: DomainRecordId, kind: Type, data: &str) -> DomainRecord {
    DomainRecord {
        id,
        kind,
        name: "@".to_owned(),
        data: data.to_owned(),
        priority: None,
        port: None,
        ttl: record::TTL,
        weight: None,
        flags: None,
        tag: None,
    }
}

impl Control {
    fn zone_of(&self, tx: &mut dyn Tx, domain: &DomainRow) -> Result<DomainView, Error> {
        let records = domains::domain_record_list(tx, &domain.name, &DomainFilter::default(), EVERY)?.rows;
        let primary = self.inner.config.nameservers.first().map_or("localhost", String::as_str);
        Ok(DomainView {
            name: domain.name.clone(),
            ttl: zone::ttl_of(&records),
            zone_file: Some(zone::zone_file(domain, &records, primary)),
        })
    }

    /// Makes a domain with its SOA and NS records, and an A or AAAA record for an address (DNS-1).
    pub async fn domain_create(&self, account: AccountId, request: DomainCreateRequest) -> Result<DomainView, Error> {
        let name = names::domain(&request.name)?;
        let address = match &request.ip_address {
            None => None,
            Some(text) => match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => Some((Type::A, address.to_string())),
                Ok(IpAddr::V6(address)) => Some((Type::Aaaa, address.to_string())),
                Err(_) => return Err(Error::invalid(format!("ip_address {text:?} is no IP address."))),
            },
        };
        let soa = (Type::Soa, record::TTL.to_string());
        let servers = self.inner.config.nameservers.iter().map(|server| (Type::Ns, server.clone()));
        let records: Vec<(Type, String)> = std::iter::once(soa).chain(servers).chain(address).collect();
        let now = self.clock().now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                check_free(tx, account, &name)?;
                let row = DomainRow { name: name.clone(), account, serial: 0, created_at: now };
                domains::domain_insert(tx, &row).map_err(|error| match error {
                    StoreError::Duplicate => taken(),
                    other => other.into(),
                })?;
                domains::domain_touch(tx, &name, now)?;
                let first = counters::draw(tx, Sequence::DomainRecord, records.len() as u64)?;
                for (id, (kind, data)) in (first..).zip(&records) {
                    domains::domain_record_insert(tx, &name, &plain(DomainRecordId(id), *kind, data))?;
                }
                Ok::<_, Error>(DomainView { name: name.clone(), ttl: record::TTL, zone_file: None })
            })
            .await
    }

    /// The account's domains, oldest first.
    pub async fn domain_list(&self, account: AccountId, page: PageRequest) -> Result<Page<DomainView>, Error> {
        let control = self.clone();
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let Page { rows, total } = domains::domain_list(tx, account, window(page))?;
                let rows = rows.iter().map(|domain| control.zone_of(tx, domain)).collect::<Result<_, _>>()?;
                Ok::<_, Error>(Page { rows, total })
            })
            .await
    }

    /// One domain.
    pub async fn domain_get(&self, account: AccountId, name: String) -> Result<DomainView, Error> {
        let control = self.clone();
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &name)?;
                control.zone_of(tx, &domain)
            })
            .await
    }

    /// Removes a domain and its records.
    pub async fn domain_delete(&self, account: AccountId, name: String) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &name)?;
                domains::domain_delete(tx, account, &domain.name)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

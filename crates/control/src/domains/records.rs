//! Records of a domain: made, listed, changed, deleted (DNS-2).

use dewpoint_api::{AccountId, DomainRecordId, DomainRecordRequest, DomainRecordType as Type, PageRequest};
use dewpoint_store::{DomainFilter, DomainRecord, Made, Page, Sequence, Tx, counters, domains};

use super::{find, names, record};
use crate::{Control, Error, window};

/// Refuses a record that cannot stand beside the others of its name.
fn check_beside(tx: &mut dyn Tx, domain: &str, new: &DomainRecord) -> Result<(), Error> {
    let others = domains::domain_records_of(tx, domain, &new.name)?;
    if others.iter().filter(|other| other.id != new.id).all(|other| record::get_on(new, other)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "name {} of {domain}: a CNAME record stands alone, with no other of its name.",
        new.name
    )))
}

impl Control {
    /// The records of a domain, of one whole name and one type if they are given (DNS-2).
    pub async fn domain_record_list(
        &self,
        account: AccountId,
        domain: String,
        name: Option<String>,
        kind: Option<Type>,
        page: PageRequest,
    ) -> Result<Page<DomainRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &domain)?.name;
                let name = match &name {
                    None => None,
                    Some(name) => {
                        let whole = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                        // A name elsewhere has no records here.
                        let Some(name) = names::below(&domain, &whole) else {
                            return Ok(Page { rows: Vec::new(), total: 0 });
                        };
                        Some(name)
                    }
                };
                Ok::<_, Error>(domains::domain_record_list(tx, &domain, &DomainFilter { name, kind }, window(page))?)
            })
            .await
    }

    /// Adds a record to a domain.
    pub async fn domain_record_create(
        &self,
        account: AccountId,
        domain: String,
        request: DomainRecordRequest,
    ) -> Result<DomainRecord, Error> {
        let now = self.clock().now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &domain)?.name;
                let id = DomainRecordId(counters::draw(tx, Sequence::DomainRecord, 1)?);
                let new = record::changed(&domain, id, None, &request)?;
                check_beside(tx, &domain, &new)?;
                tx.note(Made::DomainRecord(domain.clone(), id));
                domains::domain_record_insert(tx, &domain, &new)?;
                domains::domain_touch(tx, &domain, now)?;
                Ok::<_, Error>(new)
            })
            .await
    }

    /// One record of a domain.
    pub async fn domain_record_get(
        &self,
        account: AccountId,
        domain: String,
        id: DomainRecordId,
    ) -> Result<DomainRecord, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &domain)?.name;
                domains::domain_record_get(tx, &domain, id)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Changes what the request names of a record; of the SOA record the ttl alone (DNS-2).
    pub async fn domain_record_update(
        &self,
        account: AccountId,
        domain: String,
        id: DomainRecordId,
        request: DomainRecordRequest,
    ) -> Result<DomainRecord, Error> {
        let now = self.clock().now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &domain)?.name;
                let old = domains::domain_record_get(tx, &domain, id)?.ok_or(Error::NotFound)?;
                let new = record::changed(&domain, id, Some(&old), &request)?;
                if new == old {
                    return Ok(old);
                }
                check_beside(tx, &domain, &new)?;
                domains::domain_record_update(tx, &domain, &new)?;
                domains::domain_touch(tx, &domain, now)?;
                Ok::<_, Error>(new)
            })
            .await
    }

    /// Removes a record; not the SOA record, which goes with its domain (DNS-2).
    pub async fn domain_record_delete(
        &self,
        account: AccountId,
        domain: String,
        id: DomainRecordId,
    ) -> Result<(), Error> {
        let now = self.clock().now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let domain = find(tx, account, &domain)?.name;
                let old = domains::domain_record_get(tx, &domain, id)?.ok_or(Error::NotFound)?;
                if old.kind == Type::Soa {
                    return Err(Error::invalid("The SOA record cannot be deleted: it goes with its domain."));
                }
                domains::domain_record_delete(tx, &domain, id)?;
                domains::domain_touch(tx, &domain, now)?;
                Ok(())
            })
            .await
    }
}

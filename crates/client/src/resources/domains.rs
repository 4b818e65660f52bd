//! Domains and their records.

use dewpoint_api::{Domain, DomainCreateRequest, DomainRecord, DomainRecordId, DomainRecordRequest, DomainRecordType};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// Domains.
    Domains;
    /// Records of domains.
    DomainRecords;
}

leads! { Domains {
    /// Records of domains.
    records -> DomainRecords;
} }

impl Domains {
    /// `GET /v2/domains`.
    pub fn list(&self) -> List<Domain> {
        self.0.list(&op::DOMAINS_LIST, &[])
    }

    /// `POST /v2/domains`. With an address an A or AAAA record is made at the domain itself.
    pub fn create(&self, name: &str, address: Option<std::net::IpAddr>) -> Call<Kept<Domain>> {
        let ip_address = address.map(|address| address.to_string());
        self.0.one_from(&op::DOMAINS_CREATE, &[], &DomainCreateRequest { name: name.to_owned(), ip_address })
    }

    /// `GET /v2/domains/{name}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, name: &str) -> Call<Kept<Domain>> {
        self.0.one(&op::DOMAINS_GET, &[&name])
    }

    /// `DELETE /v2/domains/{name}`: with its records.
    pub fn delete(&self, name: &str) -> Call<()> {
        self.0.done(&op::DOMAINS_DELETE, &[&name])
    }
}

impl DomainRecords {
    /// `GET /v2/domains/{name}/records`.
    pub fn list(&self, domain: &str) -> List<DomainRecord> {
        self.0.list(&op::DOMAINS_LIST_RECORDS, &[&domain])
    }

    /// `POST /v2/domains/{name}/records`.
    pub fn create(&self, domain: &str, wanted: &DomainRecordRequest) -> Call<Kept<DomainRecord>> {
        self.0.one_from(&op::DOMAINS_CREATE_RECORD, &[&domain], wanted)
    }

    /// `GET /v2/domains/{name}/records/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, domain: &str, id: impl Into<DomainRecordId>) -> Call<Kept<DomainRecord>> {
        self.0.one(&op::DOMAINS_GET_RECORD, &[&domain, &id.into()])
    }

    /// `PATCH /v2/domains/{name}/records/{id}`: what the request does not name stays.
    pub fn patch(
        &self,
        domain: &str,
        id: impl Into<DomainRecordId>,
        wanted: &DomainRecordRequest,
    ) -> Call<Kept<DomainRecord>> {
        self.0.one_from(&op::DOMAINS_PATCH_RECORD, &[&domain, &id.into()], wanted)
    }

    /// `PUT /v2/domains/{name}/records/{id}`.
    pub fn update(
        &self,
        domain: &str,
        id: impl Into<DomainRecordId>,
        wanted: &DomainRecordRequest,
    ) -> Call<Kept<DomainRecord>> {
        self.0.one_from(&op::DOMAINS_UPDATE_RECORD, &[&domain, &id.into()], wanted)
    }

    /// `DELETE /v2/domains/{name}/records/{id}`.
    pub fn delete(&self, domain: &str, id: impl Into<DomainRecordId>) -> Call<()> {
        self.0.done(&op::DOMAINS_DELETE_RECORD, &[&domain, &id.into()])
    }
}

impl List<DomainRecord> {
    /// Only those of a whole name, such as `www.example.com`.
    pub fn name(self, name: &str) -> Self {
        self.query("name", name)
    }

    /// Only those of a sort.
    pub fn of(self, kind: DomainRecordType) -> Self {
        self.query("type", kind)
    }
}

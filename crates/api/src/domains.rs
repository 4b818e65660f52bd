//! Domains and their records, which the name server answers from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DomainRecordId, Resource,
    lenient::{empty_is_none, null_is_default},
    page::{Collection, Single},
    word::{Word, words},
};

/// A domain. Source: public OpenAPI, model `domain`; behaviour rule DNS-1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Domain {
    /// Its name, without a dot at the end.
    pub name: String,
    /// How long its records may be kept by who asked, in seconds, where a record does not say otherwise.
    pub ttl: Option<u32>,
    /// All of it in the form of a zone file (RFC 1035); null in the answer that makes it.
    pub zone_file: Option<String>,
}

impl Resource for Domain {
    const ONE: &'static str = "domain";
    const MANY: &'static str = "domains";
}

/// The answer that holds one domain.
pub type DomainResponse = Single<Domain>;
/// The answer of `GET /v2/domains`.
pub type DomainsResponse = Collection<Domain>;

/// The body of `POST /v2/domains`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DomainCreateRequest {
    /// Its name. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// What the name itself stands for: makes an A record at the apex, or AAAA for an IPv6 address.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

words! {
    /// What sort of record it is (behaviour rule DNS-2).
    pub enum DomainRecordType {
        /// An IPv4 address.
        A = "A",
        /// An IPv6 address.
        Aaaa = "AAAA",
        /// Who may issue certificates.
        Caa = "CAA",
        /// Another name of the same thing.
        Cname = "CNAME",
        /// A mail server.
        Mx = "MX",
        /// A name server.
        Ns = "NS",
        /// The start of the zone: one per domain, made with it.
        Soa = "SOA",
        /// Where a service is.
        Srv = "SRV",
        /// Text.
        Txt = "TXT",
    }
}

/// A record of a domain. Source: public OpenAPI, model `domain_record`; behaviour rule DNS-2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainRecord {
    /// Its number.
    pub id: DomainRecordId,
    /// What sort it is.
    #[serde(rename = "type")]
    pub kind: Word<DomainRecordType>,
    /// Whose record it is, below the domain; `@` is the domain itself.
    pub name: String,
    /// What it says: an address, a name without a dot at the end (`@` for the domain itself), a text.
    pub data: String,
    /// Of MX and SRV: the lower one goes first. Null for others.
    pub priority: Option<u16>,
    /// Of SRV: the port. Null for others.
    pub port: Option<u16>,
    /// How long it may be kept by who asked, in seconds.
    pub ttl: u32,
    /// Of SRV: its share among those of one priority. Null for others.
    pub weight: Option<u16>,
    /// Of CAA: 128 for an issuer that must understand the tag. Null for others.
    pub flags: Option<u8>,
    /// Of CAA: `issue`, `issuewild` or `iodef`. Null for others.
    pub tag: Option<String>,
}

impl Resource for DomainRecord {
    const ONE: &'static str = "domain_record";
    const MANY: &'static str = "domain_records";
}

/// The answer that holds one record.
pub type DomainRecordResponse = Single<DomainRecord>;
/// A page of a domain's records.
pub type DomainRecordsResponse = Collection<DomainRecord>;

/// The body that makes or changes a record. What must be there depends on its type; what does not fit the type is passed over,
/// since clients send zeros for what they have no value for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DomainRecordRequest {
    /// What sort it is. Required for a new one.
    #[serde(rename = "type", deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whose record it is: below the domain, `@` for the domain itself, or whole with a dot at the end.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it says. Names without a dot at the end are below the domain.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Of MX and SRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Of SRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// Of SRV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// Of CAA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<i64>,
    /// Of CAA.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

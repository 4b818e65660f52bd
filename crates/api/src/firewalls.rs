//! Firewalls: what may reach Droplets, and what they may reach. Behaviour rules FW-1 to FW-7.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    DropletId, FirewallId, Resource, TagName,
    lenient::{NumberOrText, null_is_default},
    page::{Collection, Single},
    word::{Word, words},
};

words! {
    /// Whether a firewall is in force as it is written.
    pub enum FirewallStatus {
        /// Not yet: something of it is about to be.
        Waiting = "waiting",
        /// It is.
        Succeeded = "succeeded",
        /// Not yet, and the last attempt failed. It is tried again.
        Failed = "failed",
    }
}

words! {
    /// What a rule is about.
    pub enum FirewallProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP, and on IPv6 ICMPv6.
        Icmp = "icmp",
    }
}

/// A firewall. Source: public OpenAPI, model `firewall`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// Its id.
    pub id: FirewallId,
    /// Its name for people, unique in the account.
    pub name: String,
    /// Whether it is in force as it is written.
    pub status: Word<FirewallStatus>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The Droplets for which it is not yet; empty when it is for all, and without `droplet:read`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub pending_changes: Vec<FirewallPendingChange>,
    /// What may come in to whom it guards.
    #[serde(default, deserialize_with = "null_is_default")]
    pub inbound_rules: Vec<InboundRule>,
    /// What may go out from them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub outbound_rules: Vec<OutboundRule>,
    /// The Droplets it guards that were named one by one; empty without `droplet:read`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub droplet_ids: Vec<DropletId>,
    /// The tags whose Droplets it guards, now and later; empty without `tag:read`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<TagName>,
}

impl Resource for Firewall {
    const ONE: &'static str = "firewall";
    const MANY: &'static str = "firewalls";
}

/// The answer that holds one firewall.
pub type FirewallResponse = Single<Firewall>;
/// A page of firewalls.
pub type FirewallsResponse = Collection<Firewall>;

/// A Droplet for which a firewall is not yet in force as it is written. Source: public OpenAPI, model `firewall`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallPendingChange {
    /// Which Droplet.
    pub droplet_id: DropletId,
    /// Whether the firewall is about to be taken off it.
    pub removing: bool,
    /// `waiting` or `failed`.
    pub status: Word<FirewallStatus>,
}

/// What may come in. Source: public OpenAPI, models `firewall_rules` and `firewall_rule_base`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboundRule {
    /// Of which protocol.
    pub protocol: Word<FirewallProtocol>,
    /// To which ports: one, two with a dash between, or `0` for all of them and always for ICMP (behaviour rule FW-3).
    pub ports: String,
    /// From whom.
    pub sources: FirewallRuleTarget,
}

/// What may go out. Source: public OpenAPI, models `firewall_rules` and `firewall_rule_base`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboundRule {
    /// Of which protocol.
    pub protocol: Word<FirewallProtocol>,
    /// To which ports, as in [`InboundRule::ports`].
    pub ports: String,
    /// To whom.
    pub destinations: FirewallRuleTarget,
}

/// The other side of a rule: any of these. Members that have nothing in them are left out.
/// Source: public OpenAPI, model `firewall_rule_target`; behaviour rule FW-4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirewallRuleTarget {
    /// Addresses and networks, v4 and v6.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Droplets, by any of their addresses.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub droplet_ids: Vec<DropletId>,
    /// Load balancers. Kept and shown; there are none here, so they are nobody.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_uids: Vec<String>,
    /// Kubernetes clusters. Kept and shown; there are none here, so they are nobody.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_ids: Vec<String>,
    /// The Droplets that bear one of these tags. Text, so that what is no tag can be a 422.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The body of `POST /v2/firewalls` and `PUT /v2/firewalls/{id}`, which replaces everything (behaviour rule FW-6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirewallRequest {
    /// Its name. Required; see [`crate::rules::firewall_name`].
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// What may come in. One rule of either sort is required.
    #[serde(deserialize_with = "null_is_default")]
    pub inbound_rules: Vec<InboundRuleRequest>,
    /// What may go out.
    #[serde(deserialize_with = "null_is_default")]
    pub outbound_rules: Vec<OutboundRuleRequest>,
    /// Droplets to guard.
    #[serde(deserialize_with = "null_is_default")]
    pub droplet_ids: Vec<DropletId>,
    /// Tags whose Droplets are to be guarded. They must exist.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
}

/// The body of `POST` and `DELETE /v2/firewalls/{id}/rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirewallRulesRequest {
    /// What may come in, or is to be allowed no more.
    #[serde(deserialize_with = "null_is_default")]
    pub inbound_rules: Vec<InboundRuleRequest>,
    /// What may go out, or is to be allowed no more.
    #[serde(deserialize_with = "null_is_default")]
    pub outbound_rules: Vec<OutboundRuleRequest>,
}

/// The body of `POST` and `DELETE /v2/firewalls/{id}/droplets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirewallDropletsRequest {
    /// Which Droplets. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub droplet_ids: Vec<DropletId>,
}

/// The body of `POST` and `DELETE /v2/firewalls/{id}/tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirewallTagsRequest {
    /// Which tags. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
}

/// A rule about what comes in, as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboundRuleRequest {
    /// `tcp`, `udp` or `icmp`. Text, so that another one can be a 422.
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
    /// One port, two with a dash between, `all` or `0`; a number is taken as well. ICMP needs none.
    #[serde(deserialize_with = "text_of_ports", skip_serializing_if = "String::is_empty")]
    #[schemars(with = "String")]
    pub ports: String,
    /// From whom.
    #[serde(deserialize_with = "null_is_default")]
    pub sources: FirewallRuleTarget,
}

/// A rule about what goes out, as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutboundRuleRequest {
    /// As in [`InboundRuleRequest::protocol`].
    #[serde(deserialize_with = "null_is_default")]
    pub protocol: String,
    /// As in [`InboundRuleRequest::ports`].
    #[serde(deserialize_with = "text_of_ports", skip_serializing_if = "String::is_empty")]
    #[schemars(with = "String")]
    pub ports: String,
    /// To whom.
    #[serde(deserialize_with = "null_is_default")]
    pub destinations: FirewallRuleTarget,
}

fn text_of_ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::<NumberOrText>::deserialize(deserializer)? {
        Some(NumberOrText::Number(number)) => number.to_string(),
        Some(NumberOrText::Text(text)) => text,
        None => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_clients_leave_out_or_send_as_null_reads_as_nothing_pro_5() {
        let body = json!({
            "name": "web", "inbound_rules": [{ "protocol": "icmp", "sources": { "addresses": ["::/0"], "tags": null } }],
            "outbound_rules": null, "droplet_ids": null, "tags": null,
        });
        let read: FirewallRequest = serde_json::from_value(body).expect("it can be read");
        assert_eq!((read.outbound_rules, read.droplet_ids, read.tags), (vec![], vec![], vec![]));
        assert_eq!(
            (&*read.inbound_rules[0].ports, &read.inbound_rules[0].sources.addresses[..]),
            ("", &["::/0".to_owned()][..])
        );
        let number: InboundRuleRequest =
            serde_json::from_value(json!({ "protocol": "tcp", "ports": 22 })).expect("a number");
        assert_eq!(number.ports, "22");
    }

    #[test]
    fn a_target_shows_what_it_has_and_no_more() {
        let target = FirewallRuleTarget { droplet_ids: vec![DropletId(7)], ..FirewallRuleTarget::default() };
        assert_eq!(serde_json::to_value(target).expect("it serializes"), json!({ "droplet_ids": [7] }));
    }
}

//! Firewalls, as the API shows them: what a token may not read is left out, in rules too (AUTH-6).

use dewpoint_api as api;
use dewpoint_api::{FirewallStatus, Scope};
use dewpoint_control::firewalls::FirewallView;
use dewpoint_store::FirewallPeers;

use crate::Caller;

/// A firewall.
pub(crate) fn firewall(caller: &Caller, view: FirewallView) -> api::Firewall {
    let status = view.status();
    let (sees_droplets, sees_tags) = (caller.has(Scope::DropletRead), caller.has(Scope::TagRead));
    let FirewallView { record, pending } = view;
    let target = |peers: FirewallPeers| api::FirewallRuleTarget {
        addresses: peers.addresses,
        droplet_ids: if sees_droplets { peers.droplets } else { Vec::new() },
        load_balancer_uids: peers.load_balancers,
        kubernetes_ids: peers.clusters,
        tags: if sees_tags { peers.tags.iter().map(|tag| tag.as_str().to_owned()).collect() } else { Vec::new() },
    };
    let inbound = record.policy.inbound.into_iter().map(|rule| api::InboundRule {
        protocol: rule.protocol.into(),
        ports: rule.ports,
        sources: target(rule.peers),
    });
    let outbound = record.policy.outbound.into_iter().map(|rule| api::OutboundRule {
        protocol: rule.protocol.into(),
        ports: rule.ports,
        destinations: target(rule.peers),
    });
    let changes = pending.into_iter().flat_map(|pending| pending.droplets).map(|(droplet_id, change)| {
        let status = if change.failed { FirewallStatus::Failed } else { FirewallStatus::Waiting };
        api::FirewallPendingChange { droplet_id, removing: change.removing, status: status.into() }
    });
    api::Firewall {
        id: record.id,
        name: record.name,
        status: status.into(),
        created_at: record.created_at,
        pending_changes: if sees_droplets { changes.collect() } else { Vec::new() },
        inbound_rules: inbound.collect(),
        outbound_rules: outbound.collect(),
        droplet_ids: if sees_droplets { record.droplets.into_iter().collect() } else { Vec::new() },
        tags: if sees_tags { record.tags.into_iter().collect() } else { Vec::new() },
    }
}

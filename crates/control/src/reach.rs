//! Could A reach B: the question of the network's, put for one account and answered in its own names.
//!
//! Another account's Droplets are part of the world: what guards them is not told, and nor is that they are there.

use std::collections::{HashMap, HashSet};

use dewpoint_api::{AccountId, DropletId, VpcId};
pub use dewpoint_network::{
    Direction, Protocol,
    reach::{Answer, Asker, Names, Question, Step, Verdict},
};
use dewpoint_network::{Plan, reach::reach};
use dewpoint_store::{Tx, Window, droplets, vpcs};

use crate::{Control, Error, wire};

const EVERY: Window = Window { skip: 0, take: u32::MAX };

/// An answer, and what its machines and VPCs are called.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The answer.
    pub answer: Answer,
    /// Whether links are real here: where they are not, this is what the rows say.
    pub is_real: bool,
    droplets: HashMap<DropletId, String>,
    vpcs: HashMap<VpcId, String>,
}

impl Reached {
    /// Hands the names to whoever puts the answer into words.
    pub fn with_names<T>(&self, say: impl FnOnce(&Names<'_>) -> T) -> T {
        let machine = |id: u64| match self.droplets.get(&DropletId(id)) {
            Some(name) => format!("Droplet {id} ({name})"),
            None => format!("Droplet {id}"),
        };
        let vpc = |id: uuid::Uuid| match self.vpcs.get(&VpcId(id)) {
            Some(name) => format!("VPC {name}"),
            None => format!("VPC {id}"),
        };
        say(&Names { machine: &machine, vpc: &vpc })
    }
}

/// What of the plan is this account's, as if there were no other.
fn own(mut plan: Plan, droplets: &HashMap<DropletId, String>, vpcs: &HashMap<VpcId, String>) -> Plan {
    let machines: HashSet<u64> = droplets.keys().map(|id| id.0).collect();
    plan.vpcs.retain(|vpc| vpcs.contains_key(&VpcId(vpc.id)));
    plan.peerings.retain(|peering| vpcs.contains_key(&VpcId(peering.between.0)));
    plan.links.retain(|link| machines.contains(&link.machine));
    plan.reserved.retain(|reserved| machines.contains(&reserved.machine));
    plan.firewalls.retain(|firewall| firewall.machines.iter().any(|machine| machines.contains(machine)));
    plan
}

impl Control {
    /// Whether `question.from` reaches `question.to`, as the account sees the network. [`Error::NotFound`] when it has no such
    /// Droplet.
    pub async fn reach(&self, account: AccountId, question: Question) -> Result<Reached, Error> {
        let (public, is_real) = (self.inner.public_v4, self.inner.engine.has_network());
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let droplets = droplets::droplet_names(tx, account)?;
                if let Asker::Machine(id) = question.from
                    && !droplets.contains_key(&DropletId(id))
                {
                    return Err(Error::NotFound);
                }
                let vpcs = vpcs::vpc_list(tx, account, EVERY)?.rows.into_iter().map(|vpc| (vpc.id, vpc.name)).collect();
                let plan = own(wire::plan(tx, public)?, &droplets, &vpcs);
                Ok::<_, Error>(Reached { answer: reach(&plan, &question), is_real, droplets, vpcs })
            })
            .await
    }
}

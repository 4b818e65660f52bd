//! What must be true of the store's own rows, and how what is not can be put right. The rules are SQL: a query that finds what
//! breaks them, and where that is safe, statements after which nothing does.
//!
//! For SQLite: these are looked at where a store is one file. An action in progress excuses what it is about.

use std::collections::HashSet;

use dewpoint_api::{ActionStatus, ImageId, ImageStatus, ResourceType, VolumeSnapshotId};

use crate::{
    ActionRecord, DropletRecord, Error, TeardownPart, Tx, VolumeRecord, actions, droplets, hosts,
    hosts::HostRecord,
    row::corrupt,
    stock::{self, Holding},
    volumes,
};

/// A rule about rows.
#[derive(Clone, Debug)]
pub struct RowRule {
    /// Its name, for programs: `droplet-lock`.
    pub name: String,
    /// What is wrong; `{}` stands for what the query found.
    pub what: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What putting it right does, or what a person should do.
    pub remedy: &'static str,
    /// Finds what breaks the rule: one text a row.
    find: String,
    /// Puts it right; nothing when only a person can.
    mend: Vec<String>,
}

impl RowRule {
    fn new(name: &str, what: &'static str, why: &'static str, find: impl Into<String>) -> Self {
        Self { name: name.to_owned(), what, why, remedy: "", find: find.into(), mend: Vec::new() }
    }

    fn mended_by(mut self, remedy: &'static str, statements: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.remedy = remedy;
        self.mend = statements.into_iter().map(Into::into).collect();
        self
    }

    fn by_hand(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }

    /// Whether it can be put right without a person.
    pub fn is_mendable(&self) -> bool {
        !self.mend.is_empty()
    }

    /// What breaks the rule.
    pub fn find(&self, tx: &mut dyn Tx) -> Result<Vec<String>, Error> {
        tx.query_all(&self.find, &[], |row| row.next())
    }

    /// Puts right what breaks it.
    pub fn mend(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        self.mend.iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop))
    }
}

/// Every rule about rows, in the order in which they are to be mended: the counts come last.
pub fn row_rules() -> Vec<RowRule> {
    let mut rules = locks();
    rules.extend(half_made());
    rules.extend(dangling());
    rules.extend(addresses());
    rules.extend(strays());
    rules.extend(counters());
    rules.push(list_counts());
    rules
}

/// What `sql` calls `x.running_action` is no action in progress.
const NOT_RUNNING: &str =
    "NOT EXISTS (SELECT 1 FROM actions a WHERE a.id = x.running_action AND a.status = 'in-progress')";

fn locks() -> Vec<RowRule> {
    let why = "every change to it is refused with `pending event`, for good";
    let find = |id: &str, table: &str| {
        format!("SELECT {id} FROM {table} x WHERE x.running_action IS NOT NULL AND {NOT_RUNNING} ORDER BY 1")
    };
    let free = |table: &str, more: &str| {
        [format!(
            "UPDATE {table} AS x SET running_action = NULL{more} WHERE x.running_action IS NOT NULL AND {NOT_RUNNING}"
        )]
    };
    vec![
        RowRule::new(
            "droplet-lock",
            "Droplet {} is locked by an action that is not in progress",
            why,
            find("CAST(id AS TEXT)", "droplets"),
        )
        .mended_by("frees it", free("droplets", "")),
        RowRule::new(
            "volume-lock",
            "volume {} is locked by an action that is not in progress",
            why,
            find("id", "volumes"),
        )
        .mended_by("frees it", free("volumes", "")),
        RowRule::new(
            "reserved-ip-lock",
            "reserved IP {} is locked by an action that is not in progress",
            why,
            find("address", "reserved_ips"),
        )
        .mended_by("frees it", free("reserved_ips", "")),
        RowRule::new(
            "teardown-lock",
            "the teardown of Droplet {} waits for an action that is not in progress",
            "its status says `in progress` for good, and it cannot be tried again",
            find("CAST(droplet_id AS TEXT)", "teardowns"),
        )
        .mended_by(
            "ends it, so that it can be tried again",
            free("teardowns", ", completed_at = COALESCE(completed_at, started_at)"),
        ),
    ]
}

fn half_made() -> Vec<RowRule> {
    vec![
        RowRule::new(
            "droplet-half-made",
            "Droplet {} is `new`, and no action is making it",
            "it never becomes active",
            "SELECT CAST(id AS TEXT) FROM droplets WHERE status = 'new' AND running_action IS NULL ORDER BY id",
        )
        .by_hand("delete it and create it again"),
        RowRule::new(
            "next-image",
            "Droplet {} is marked as being rebuilt, and no action rebuilds it",
            "the image it was to be rebuilt from cannot be deleted",
            "SELECT CAST(id AS TEXT) FROM droplets WHERE next_image_id IS NOT NULL AND running_action IS NULL ORDER BY id",
        )
        .mended_by("takes the mark away", ["UPDATE droplets SET next_image_id = NULL WHERE next_image_id IS NOT NULL AND running_action IS NULL"]),
        RowRule::new(
            "volume-unmarked",
            "volume {} was made, and its row says that it never was",
            "it may be taken for one whose making failed, and be forgotten with its content",
            format!("SELECT id FROM volumes x WHERE {UNMARKED} ORDER BY 1"),
        )
        .mended_by("writes down that it was made", [format!("UPDATE volumes AS x SET made = TRUE WHERE {UNMARKED}")]),
        RowRule::new(
            "snapshot-half-made",
            "snapshot {} of a volume is not made, and no action is making it",
            "it can never be used and is never listed as available",
            format!("SELECT id FROM volume_snapshots x WHERE {HALF_SNAPSHOT} ORDER BY 1"),
        )
        .mended_by("removes its row", [format!("DELETE FROM volume_snapshots AS x WHERE {HALF_SNAPSHOT}")]),
    ]
}

const UNMARKED: &str = "NOT x.made AND x.running_action IS NULL AND EXISTS
    (SELECT 1 FROM actions a WHERE a.resource_uuid = x.id AND a.resource_type = 'volume' AND a.type = 'create'
     AND a.status = 'completed')";

const HALF_SNAPSHOT: &str = "NOT x.available AND NOT EXISTS
    (SELECT 1 FROM actions a WHERE a.status = 'in-progress' AND a.resource_uuid IN (x.id, x.volume_id))";

/// Rows that belong to rows that are gone: `(name, what, table, which, condition)`.
const DANGLING: &[(&str, &str, &str, &str, &str)] = &[
    ("orphan-seed", "keys and user data of Droplet {}, which is gone", "droplet_seeds", "CAST(droplet_id AS TEXT)",
     "droplet_id NOT IN (SELECT id FROM droplets)"),
    ("orphan-password", "a password of Droplet {}, which is gone", "passwords", "CAST(droplet_id AS TEXT)",
     "droplet_id NOT IN (SELECT id FROM droplets)"),
    ("orphan-droplet-tag", "a tag on Droplet {}, which is gone", "tag_resources", "resource_id",
     "resource_type = 'droplet' AND resource_number NOT IN (SELECT id FROM droplets)"),
    ("orphan-image-tag", "a tag on image {}, which is gone", "tag_resources", "resource_id",
     "resource_type = 'image' AND resource_number NOT IN (SELECT id FROM images WHERE deleted_at IS NULL)"),
    ("orphan-volume-tag", "a tag on volume {}, which is gone", "tag_resources", "resource_id",
     "resource_type = 'volume' AND resource_id NOT IN (SELECT id FROM volumes)"),
    ("orphan-snapshot-tag", "a tag on the volume snapshot {}, which is gone", "tag_resources", "resource_id",
     "resource_type = 'volume_snapshot' AND resource_id NOT IN (SELECT id FROM volume_snapshots)"),
    ("unknown-tag", "something has the tag {}, which does not exist", "tag_resources", "tag",
     "NOT EXISTS (SELECT 1 FROM tags t WHERE t.account_id = tag_resources.account_id AND t.name = tag_resources.tag)"),
    ("orphan-project-entry", "{} is in a project that is gone", "project_resources", "urn",
     "project_id NOT IN (SELECT id FROM projects)"),
    ("orphan-project-droplet", "{} is in a project, and is gone", "project_resources", "urn",
     "urn LIKE 'do:droplet:%' AND urn NOT IN (SELECT 'do:droplet:' || CAST(id AS TEXT) FROM droplets)"),
    ("orphan-project-volume", "{} is in a project, and is gone", "project_resources", "urn",
     "urn LIKE 'do:volume:%' AND urn NOT IN (SELECT 'do:volume:' || id FROM volumes)"),
    ("orphan-firewall-party", "a Droplet or tag of firewall {}, which is gone", "firewall_parties", "firewall_id",
     "firewall_id NOT IN (SELECT id FROM firewalls)"),
    ("orphan-firewall-change", "something waits to be in force of firewall {}, which is gone", "firewall_changes", "firewall_id",
     "firewall_id NOT IN (SELECT id FROM firewalls)"),
    ("orphan-firewall-droplet", "firewall {} guards a Droplet that is gone", "firewall_parties", "firewall_id",
     "guarded = TRUE AND droplet_id > 0 AND droplet_id NOT IN (SELECT id FROM droplets)"),
    ("orphan-firewall-tag", "firewall {} guards by a tag that is gone", "firewall_parties", "firewall_id",
     "guarded = TRUE AND droplet_id = 0 AND NOT EXISTS
      (SELECT 1 FROM tags t WHERE t.account_id = firewall_parties.account_id AND t.name = firewall_parties.tag)"),
    ("orphan-project-reserved-ip", "{} is in a project, and is gone", "project_resources", "urn",
     "urn LIKE 'do:floatingip:%' AND urn NOT IN (SELECT 'do:floatingip:' || address FROM reserved_ips)"),
    ("orphan-reserved-address", "the address of number {} is held for a reserved IP, which is gone", "addresses", "CAST(position AS TEXT)",
     "pool = 'reserved-v4' AND freed_at IS NULL AND position NOT IN (SELECT number FROM reserved_ips WHERE NOT is_v6)
      AND position NOT IN (SELECT resource_id FROM actions WHERE resource_type = 'reserved_ip' AND status = 'in-progress')"),
    ("orphan-peering", "peering {} is of a VPC that is gone", "vpc_peerings", "id",
     "first_vpc NOT IN (SELECT id FROM vpcs) OR second_vpc NOT IN (SELECT id FROM vpcs)"),
    ("orphan-address", "an address is held by Droplet {}, which is gone", "addresses", "DISTINCT CAST(droplet_id AS TEXT)",
     "droplet_id IS NOT NULL AND droplet_id NOT IN (SELECT id FROM droplets)
      AND droplet_id NOT IN (SELECT resource_id FROM actions WHERE resource_type = 'droplet' AND status = 'in-progress')"),
    ("orphan-holding", "Droplet {}, which is gone, has room on a host", "holdings", "CAST(droplet_id AS TEXT)",
     "droplet_id NOT IN (SELECT id FROM droplets)
      AND droplet_id NOT IN (SELECT resource_id FROM actions WHERE resource_type = 'droplet' AND status = 'in-progress')"),
    ("orphan-gpu", "GPU {} is held by a Droplet that has no room on its host", "held_gpus", "host || ':' || CAST(place AS TEXT)",
     "droplet_id NOT IN (SELECT droplet_id FROM holdings)"),
];

fn dangling() -> Vec<RowRule> {
    let rules = DANGLING.iter().map(|(name, what, table, which, condition)| {
        let why = match *table {
            "addresses" | "holdings" | "held_gpus" => "nobody else can be given it",
            "passwords" | "droplet_seeds" => "a secret is kept that nobody needs",
            _ => "it is counted and listed though nothing is there",
        };
        let find = format!("SELECT {which} FROM {table} WHERE {condition} ORDER BY 1");
        RowRule::new(name, what, why, find)
            .mended_by("removes the row", [format!("DELETE FROM {table} WHERE {condition}")])
    });
    let detached = "droplet_id IS NOT NULL AND running_action IS NULL AND droplet_id NOT IN (SELECT id FROM droplets)";
    let attachment = RowRule::new(
        "orphan-attachment",
        "volume {} is attached to a Droplet that is gone",
        "it can be attached to no other, and cannot be deleted",
        format!("SELECT id FROM volumes WHERE {detached} ORDER BY 1"),
    );
    let attachment = attachment.mended_by(
        "marks it as attached to nothing",
        [format!("UPDATE volumes SET droplet_id = NULL WHERE {detached}")],
    );
    let named = RowRule::new(
        "firewall-names-nobody",
        "a rule of firewall {} names a Droplet or a tag that is gone",
        "it cannot be replaced by what is read of it: the Droplet or tag is refused as unknown",
        "SELECT DISTINCT firewall_id FROM firewall_parties p WHERE p.guarded = FALSE
         AND ((p.droplet_id > 0 AND p.droplet_id NOT IN (SELECT id FROM droplets))
              OR (p.droplet_id = 0 AND NOT EXISTS
                  (SELECT 1 FROM tags t WHERE t.account_id = p.account_id AND t.name = p.tag))) ORDER BY 1",
    );
    let named = named.by_hand("replace its rules, without the one that is gone");
    let led = "droplet_id IS NOT NULL AND running_action IS NULL AND droplet_id NOT IN (SELECT id FROM droplets)";
    let lead = RowRule::new(
        "orphan-reserved-ip",
        "reserved IP {} leads to a Droplet that is gone",
        "whoever calls it is not answered",
        format!("SELECT address FROM reserved_ips WHERE {led} ORDER BY 1"),
    );
    let lead =
        lead.mended_by("marks it as unassigned", [format!("UPDATE reserved_ips SET droplet_id = NULL WHERE {led}")]);
    rules.chain([attachment, named, lead]).collect()
}

fn addresses() -> Vec<RowRule> {
    let double = |name: &str, what: &'static str, columns: &str, condition: &str| {
        let find = format!(
            "SELECT CAST(x.id AS TEXT) || ' and ' || CAST(y.id AS TEXT) FROM droplets x JOIN droplets y ON x.id < y.id AND {columns}
             WHERE {condition} ORDER BY x.id, y.id"
        );
        RowRule::new(name, what, "each answers for the other, and neither is reached for sure", find)
            .by_hand("delete one of them, and create it again")
    };
    vec![
        double("address-double", "Droplets {} have the same public IPv4 address", "x.public_v4 = y.public_v4", "x.public_v4 IS NOT NULL"),
        double("private-address-double", "Droplets {} have the same address in one VPC", "x.vpc_id = y.vpc_id AND x.private_v4 = y.private_v4", "TRUE"),
        double("ipv6-double", "Droplets {} have the same IPv6 address", "x.public_v6 = y.public_v6", "x.public_v6 IS NOT NULL"),
        RowRule::new(
            "address-not-held",
            "Droplet {} shows addresses that it does not hold, or holds others",
            "the pool may give its address to another Droplet",
            "SELECT CAST(id AS TEXT) FROM droplets d
             WHERE (SELECT COUNT(*) FROM addresses a WHERE a.droplet_id = d.id) <> 1 + (CASE WHEN d.public_networking THEN 1 ELSE 0 END)
             ORDER BY id",
        )
        .by_hand("take a snapshot of it, delete it, and create it again from that"),
        RowRule::new(
            "reserved-not-held",
            "reserved IP {} is not held in its pool",
            "the pool may give it to somebody else too",
            format!("SELECT address FROM reserved_ips WHERE {NOT_HELD} ORDER BY 1"),
        )
        .mended_by(
            "holds it",
            [format!(
                "INSERT INTO addresses (pool, position) SELECT 'reserved-v4', number FROM reserved_ips WHERE {NOT_HELD}
                 ON CONFLICT (pool, position) DO UPDATE SET freed_at = NULL"
            )],
        ),
        RowRule::new(
            "reserved-no-link",
            "reserved IP {} leads to a Droplet that has no address of its own of that kind",
            "it leads nowhere",
            "SELECT r.address FROM reserved_ips r JOIN droplets d ON d.id = r.droplet_id
             WHERE r.running_action IS NULL AND (CASE WHEN r.is_v6 THEN d.public_v6 IS NULL ELSE d.public_v4 IS NULL END) ORDER BY 1",
        )
        .by_hand("unassign it"),
        RowRule::new(
            "address-flag",
            "Droplet {} has no address of a kind it asked for, or one it did not",
            "clients are told of an address that is not there, or not told of one that is",
            "SELECT CAST(id AS TEXT) FROM droplets
             WHERE (public_v4 IS NOT NULL) <> public_networking OR (running_action IS NULL AND (public_v6 IS NOT NULL) <> ipv6) ORDER BY id",
        )
        .by_hand("take a snapshot of it, delete it, and create it again from that"),
    ]
}

/// Which reserved IPv4 addresses nobody holds.
const NOT_HELD: &str =
    "NOT is_v6 AND number NOT IN (SELECT position FROM addresses WHERE pool = 'reserved-v4' AND freed_at IS NULL)";

/// Tables whose rows belong to an account.
const OF_ACCOUNTS: [(&str, &str); 13] = [
    ("droplets", "CAST(id AS TEXT)"),
    ("volumes", "id"),
    ("images", "CAST(id AS TEXT)"),
    ("volume_snapshots", "id"),
    ("tokens", "id"),
    ("model_keys", "id"),
    ("models", "name"),
    ("ssh_keys", "CAST(id AS TEXT)"),
    ("vpcs", "id"),
    ("firewalls", "id"),
    ("projects", "id"),
    ("reserved_ips", "address"),
    ("vpc_peerings", "id"),
];

fn strays() -> Vec<RowRule> {
    let mut rules: Vec<RowRule> = OF_ACCOUNTS
        .iter()
        .map(|(table, id)| {
            let find = format!(
                "SELECT '{table} ' || {id} FROM {table} WHERE account_id NOT IN (SELECT id FROM accounts) ORDER BY 1"
            );
            RowRule::new(
                "no-account",
                "{} belongs to an account that does not exist",
                "nobody can see it or remove it",
                find,
            )
            .by_hand("restore the store from a backup: an account is never removed")
        })
        .collect();
    rules.push(
        RowRule::new(
            "no-vpc",
            "Droplet {} is in a VPC that does not exist",
            "its network cannot be told, and its address may be given again",
            "SELECT CAST(id AS TEXT) FROM droplets WHERE vpc_id NOT IN (SELECT id FROM vpcs) ORDER BY id",
        )
        .by_hand("take a snapshot of it, delete it, and create it again from that"),
    );
    let off = "(backups IS NULL) <> (backup_due_at IS NULL)";
    rules.push(
        RowRule::new(
            "backup-due",
            "Droplet {} has backups and no time for the next, or a time and no backups",
            "its backups are never made, or made though they are off",
            format!("SELECT CAST(id AS TEXT) FROM droplets WHERE running_action IS NULL AND {off} ORDER BY id"),
        )
        .mended_by(
            "sets the next one to the present or the next window, or takes the time away",
            [format!(
                "UPDATE droplets SET backup_due_at = (CASE WHEN backups IS NULL THEN NULL ELSE 0 END) WHERE running_action IS NULL AND {off}"
            )],
        ),
    );
    rules
}

/// Sequences and the largest number that was given from each.
const COUNTERS: [(&str, &str); 9] = [
    ("action", "SELECT MAX(id) AS n FROM actions"),
    (
        "droplet",
        "SELECT MAX(number) AS n FROM (SELECT id AS number FROM droplets
         UNION ALL SELECT resource_id FROM actions WHERE resource_type = 'droplet') AS given",
    ),
    ("ssh_key", "SELECT MAX(id) AS n FROM ssh_keys"),
    ("account", "SELECT MAX(id) AS n FROM accounts"),
    ("image", "SELECT MAX(id) AS n FROM images"),
    ("volume_snapshot", "SELECT MAX(number) AS n FROM volume_snapshots"),
    ("audit", "SELECT MAX(id) AS n FROM audit"),
    ("firewall_change", "SELECT MAX(number) AS n FROM firewall_changes"),
    (
        "reserved_ipv6",
        "SELECT MAX(number) AS n FROM (SELECT number FROM reserved_ips WHERE is_v6
         UNION ALL SELECT resource_id FROM actions WHERE resource_type = 'reserved_ipv6') AS given",
    ),
];

fn counters() -> Vec<RowRule> {
    let rules = COUNTERS.iter().map(|(name, largest)| {
        let find = format!(
            "SELECT '{name}' FROM ({largest}) AS l
             WHERE n > COALESCE((SELECT value FROM counters WHERE name = '{name}'), 0)"
        );
        let mend = format!(
            "INSERT INTO counters (name, value) SELECT '{name}', n FROM ({largest}) AS l WHERE n IS NOT NULL
             ON CONFLICT (name) DO UPDATE SET value = CASE WHEN counters.value < excluded.value THEN excluded.value
                                                           ELSE counters.value END"
        );
        let what = "the counter `{}` is behind the largest number there is";
        RowRule::new("counter", what, "a number is given twice, and creates fail", find)
            .mended_by("moves it up", [mend])
    });
    rules.collect()
}

/// What the maintained counts should be: `list, bucket, count`.
const COUNTED: &str = "
    SELECT list, bucket, COUNT(*) AS count FROM (
        SELECT 'actions:' || CAST(account_id AS TEXT) AS list, id / 1024 AS bucket FROM actions
        UNION ALL SELECT (CASE WHEN gpu THEN 'gpus:' ELSE 'droplets:' END) || CAST(account_id AS TEXT), id / 1024 FROM droplets
        UNION ALL SELECT 'images:' || CAST(account_id AS TEXT), id / 1024 FROM images WHERE deleted_at IS NULL
        UNION ALL SELECT 'images:' || CAST(account_id AS TEXT) || ':' || kind, id / 1024 FROM images WHERE deleted_at IS NULL
        UNION ALL SELECT 'volume_snapshots:' || CAST(account_id AS TEXT), number / 1024 FROM volume_snapshots
    ) AS rows_of_lists GROUP BY list, bucket";

fn list_counts() -> RowRule {
    let counted = format!(
        "SELECT list, bucket, count FROM ({COUNTED}) AS b UNION ALL SELECT list, -1, SUM(count) FROM ({COUNTED}) AS t GROUP BY list"
    );
    let find = format!(
        "SELECT DISTINCT list FROM (
             SELECT list, bucket, count FROM ({counted}) AS now
             UNION ALL SELECT list, bucket, -count FROM list_counts
         ) AS compared GROUP BY list, bucket HAVING SUM(count) <> 0 ORDER BY 1"
    );
    RowRule::new(
        "list-count",
        "the length kept for the list {} is not how long it is",
        "totals and deep pages of that list are wrong",
        find,
    )
    .mended_by(
        "counts all lists anew",
        ["DELETE FROM list_counts".to_owned(), format!("INSERT INTO list_counts (list, bucket, count) {counted}")],
    )
}

/// What the store says there is: what an engine is compared with.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Every Droplet.
    pub droplets: Vec<DropletRecord>,
    /// Every volume.
    pub volumes: Vec<VolumeRecord>,
    /// Every image that is not deleted.
    pub images: Vec<(ImageId, ImageStatus)>,
    /// Every snapshot of a volume, and whether it is made.
    pub snapshots: Vec<(VolumeSnapshotId, bool)>,
    /// Every action in progress.
    pub actions: Vec<ActionRecord>,
    /// The hosts that are counted: the declared ones where any are, or else those the engine tells of.
    pub hosts: Vec<HostRecord>,
    /// What each Droplet has of its host.
    pub holdings: Vec<Holding>,
    /// What a teardown in progress is about, as ids.
    pub being_torn_down: HashSet<String>,
}

impl Books {
    /// Reads all of it in one snapshot of the store.
    pub fn read(tx: &mut dyn Tx) -> Result<Self, Error> {
        let ids = volumes::volume_ids_of_all(tx)?;
        let volumes =
            ids.into_iter().filter_map(|id| volumes::volume_any(tx, id).transpose()).collect::<Result<_, _>>()?;
        let images = "SELECT id, status FROM images WHERE deleted_at IS NULL ORDER BY id";
        let snapshots = "SELECT id, available FROM volume_snapshots ORDER BY number";
        let torn =
            "SELECT t.parts FROM teardowns t JOIN actions a ON a.id = t.running_action WHERE a.status = 'in-progress'";
        let parts: Vec<String> = tx.query_all(torn, &[], |row| row.next())?;
        let mut being_torn_down = HashSet::new();
        for text in parts {
            let parts: Vec<TeardownPart> = serde_json::from_str(&text).map_err(|e| corrupt("list of parts", &e))?;
            being_torn_down.extend(parts.into_iter().map(|part| part.id));
        }
        let mut running = Vec::new();
        for kind in [
            ResourceType::Droplet,
            ResourceType::Image,
            ResourceType::Volume,
            ResourceType::VolumeSnapshot,
            ResourceType::ReservedIp,
            ResourceType::ReservedIpv6,
        ] {
            running.extend(actions::action_in_progress_on(tx, kind)?);
        }
        let declared = stock::stock_declared(tx)?.is_some();
        debug_assert!(running.iter().all(|action| action.status == ActionStatus::InProgress));
        Ok(Self {
            droplets: droplets::droplet_page_of_all(tx, dewpoint_api::DropletId(0), u32::MAX)?,
            volumes,
            images: tx.query_all(images, &[], |row| Ok((row.next()?, row.next()?)))?,
            snapshots: tx.query_all(snapshots, &[], |row| Ok((row.next()?, row.next()?)))?,
            actions: running,
            hosts: hosts::host_list(tx, declared)?,
            holdings: stock::holding_list(tx)?,
            being_torn_down,
        })
    }
}

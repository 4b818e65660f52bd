//! Every inconsistency there is a rule for: made behind the product's back, found, explained, put right where that is safe.

use std::collections::BTreeSet;

use dewpoint_control::check;
use dewpoint_engine::{Engine as _, ImageName, MachineId, Power, Storage as _, VolumeId, VolumeSpec};
use dewpoint_store::{Error as StoreError, Tx, check::row_rules};
use dewpoint_testkit::TestApp;
use serde_json::json;
use uuid::Uuid;

use crate::{droplet, volume_id};

/// A Dewpoint with two Droplets, a tagged one with backups and a volume; a free volume, snapshots of both kinds, a project.
struct Scene {
    app: TestApp,
    first: u64,
    second: u64,
    volume: String,
    free: String,
}

impl Scene {
    async fn make() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin();
        let mut droplets = Vec::new();
        for more in [json!({ "tags": ["blue"], "backups": true, "ipv6": true }), json!({ "name": "web-2" })] {
            let made = admin.post("/v2/droplets", droplet(more)).await.expect(202);
            droplets.push(made["droplet"]["id"].as_u64().expect("a number"));
        }
        let (first, second) = (droplets[0], droplets[1]);
        app.run_actions_to_end().await;
        let mut ids = Vec::new();
        for name in ["data", "free"] {
            ids.push(volume_id(&admin, json!({ "name": name, "size_gigabytes": 5, "tags": ["blue"] })).await);
        }
        app.run_actions_to_end().await;
        let body = json!({ "type": "attach", "droplet_id": first, "region": "nyc3" });
        admin.post(&format!("/v2/volumes/{}/actions", ids[0]), body).await.expect(202);
        admin.post(&format!("/v2/volumes/{}/snapshots", ids[1]), json!({ "name": "s" })).await.expect(201);
        app.run_actions_to_end().await;
        admin
            .post(&format!("/v2/droplets/{second}/actions"), json!({ "type": "snapshot", "name": "i" }))
            .await
            .expect(201);
        app.run_actions_to_end().await;
        let project = json!({ "name": "p", "purpose": "tests", "environment": "Development" });
        let project = admin.post("/v2/projects", project).await.expect(201)["project"]["id"].clone();
        let ip = admin.post("/v2/reserved_ips", json!({ "droplet_id": first })).await.expect(202);
        let ip = ip["reserved_ip"]["ip"].as_str().expect("an address").to_owned();
        admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201);
        app.run_actions_to_end().await;
        let mut vpcs = Vec::new();
        for name in ["a", "b"] {
            let made = admin.post("/v2/vpcs", json!({ "name": name, "region": "fra1" })).await.expect(201);
            vpcs.push(made["vpc"]["id"].clone());
        }
        admin.post("/v2/vpc_peerings", json!({ "name": "p", "vpc_ids": vpcs })).await.expect(202);
        app.run_actions_to_end().await;
        let resources = [format!("do:droplet:{first}"), format!("do:volume:{}", ids[1]), format!("do:floatingip:{ip}")];
        let resources = json!({ "resources": resources });
        let path = format!("/v2/projects/{}/resources", project.as_str().expect("an id"));
        admin.post(&path, resources).await.expect(200);
        let target = json!({ "droplet_ids": [first], "addresses": ["::/0"] });
        let wall = json!({
            "name": "wall", "droplet_ids": [second], "tags": ["blue"],
            "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": target }],
        });
        admin.post("/v2/firewalls", wall).await.expect(202);
        app.run_actions_to_end().await;
        app.books_balance().await;
        let free = ids.pop().expect("two volumes");
        let volume = ids.pop().expect("two volumes");
        Self { app, first, second, volume, free }
    }

    async fn sql(&self, text: &str) {
        let filled = text
            .replace("{first}", &self.first.to_string())
            .replace("{second}", &self.second.to_string())
            .replace("{volume}", &self.volume)
            .replace("{free}", &self.free);
        let done = self.app.store().write(move |tx: &mut dyn Tx| tx.execute(&filled, &[])).await;
        assert!(done.expect("the store can be written") > 0, "{text} changes nothing");
    }

    /// Puts right what can be, and returns what is left.
    async fn repair(&self) -> Vec<check::Finding> {
        // What is put right may show what was hidden by it.
        for _ in 0..3 {
            for finding in self.app.findings().await {
                check::mend(self.app.store(), self.app.sim(), &finding).await.expect("it can be put right");
            }
        }
        self.app.findings().await
    }
}

/// Row by row: what breaks it, the rule that finds it, and whether it can be put right without a person.
const BY_SQL: &[(&str, &str, bool)] = &[
    ("UPDATE droplets SET running_action = 999 WHERE id = {first}", "droplet-lock", true),
    ("UPDATE droplets SET running_action = (SELECT MIN(id) FROM actions) WHERE id = {first}", "droplet-lock", true),
    ("UPDATE volumes SET running_action = 999 WHERE id = '{volume}'", "volume-lock", true),
    ("UPDATE reserved_ips SET running_action = 999 WHERE NOT is_v6", "reserved-ip-lock", true),
    (
        "UPDATE project_resources SET urn = 'do:floatingip:192.0.2.1' WHERE urn LIKE 'do:floatingip:%'",
        "orphan-project-reserved-ip",
        true,
    ),
    ("INSERT INTO addresses (pool, position) VALUES ('reserved-v4', 7)", "orphan-reserved-address", true),
    ("UPDATE reserved_ips SET droplet_id = 77 WHERE NOT is_v6", "orphan-reserved-ip", true),
    ("UPDATE addresses SET freed_at = 1 WHERE pool = 'reserved-v4'", "reserved-not-held", true),
    ("UPDATE reserved_ips SET droplet_id = {second} WHERE is_v6", "reserved-no-link", false),
    (
        "INSERT INTO teardowns (droplet_id, account_id, droplet_name, parts, running_action, started_at)
         VALUES ({first}, 1, 'web-1', '[]', 999, 1)",
        "teardown-lock",
        true,
    ),
    ("UPDATE droplets SET status = 'new' WHERE id = {first}", "droplet-half-made", false),
    ("UPDATE droplets SET next_image_id = 5 WHERE id = {first}", "next-image", true),
    ("UPDATE volumes SET made = FALSE WHERE id = '{free}'", "volume-unmarked", true),
    ("UPDATE volume_snapshots SET available = FALSE", "snapshot-half-made", true),
    ("INSERT INTO droplet_seeds (droplet_id, ssh_keys) VALUES (77, '[]')", "orphan-seed", true),
    ("INSERT INTO passwords (droplet_id, password, set_at) VALUES (77, 'x', 1)", "orphan-password", true),
    (
        "INSERT INTO tag_resources (account_id, tag, resource_type, resource_id, resource_number, tagged_at)
         VALUES (1, 'blue', 'droplet', '77', 77, 1)",
        "orphan-droplet-tag",
        true,
    ),
    (
        "INSERT INTO tag_resources (account_id, tag, resource_type, resource_id, resource_number, tagged_at)
         VALUES (1, 'blue', 'image', '77', 77, 1)",
        "orphan-image-tag",
        true,
    ),
    (
        "INSERT INTO tag_resources (account_id, tag, resource_type, resource_id, resource_number, tagged_at)
         VALUES (1, 'blue', 'volume', 'gone', 0, 1)",
        "orphan-volume-tag",
        true,
    ),
    (
        "INSERT INTO tag_resources (account_id, tag, resource_type, resource_id, resource_number, tagged_at)
         VALUES (1, 'blue', 'volume_snapshot', 'gone', 0, 1)",
        "orphan-snapshot-tag",
        true,
    ),
    ("DELETE FROM tags", "unknown-tag", true),
    ("DELETE FROM projects WHERE name = 'p'", "orphan-project-entry", true),
    (
        "UPDATE project_resources SET urn = 'do:droplet:77' WHERE urn LIKE 'do:droplet:%'",
        "orphan-project-droplet",
        true,
    ),
    ("UPDATE project_resources SET urn = 'do:volume:gone' WHERE urn LIKE 'do:volume:%'", "orphan-project-volume", true),
    ("INSERT INTO addresses (pool, position, droplet_id) VALUES ('public-v4', 9999, 77)", "orphan-address", true),
    (
        "INSERT INTO holdings (droplet_id, host, vcpus, memory_mib, gpus) VALUES (77, 'h1', 1, 1024, '')",
        "orphan-holding",
        true,
    ),
    ("INSERT INTO held_gpus (host, place, droplet_id) VALUES ('h1', 0, 77)", "orphan-gpu", true),
    ("UPDATE volumes SET droplet_id = 77 WHERE id = '{free}'", "orphan-attachment", true),
    (
        "UPDATE droplets SET public_v4 = (SELECT public_v4 FROM droplets WHERE id = {first}) WHERE id = {second}",
        "address-double",
        false,
    ),
    (
        "UPDATE droplets SET private_v4 = (SELECT private_v4 FROM droplets WHERE id = {first}) WHERE id = {second}",
        "private-address-double",
        false,
    ),
    (
        "UPDATE droplets SET ipv6 = TRUE, public_v6 = (SELECT public_v6 FROM droplets WHERE id = {first}) WHERE id = {second}",
        "ipv6-double",
        false,
    ),
    ("DELETE FROM addresses WHERE droplet_id = {first} AND pool = 'public-v4'", "address-not-held", false),
    ("UPDATE droplets SET ipv6 = FALSE WHERE id = {first}", "address-flag", false),
    ("UPDATE droplets SET account_id = 77 WHERE id = {first}", "no-account", false),
    ("DELETE FROM firewalls", "orphan-firewall-party", true),
    (
        "INSERT INTO firewall_changes (firewall_id, droplet_id, account_id, removing, failed, number)
         VALUES ('gone', 0, 1, FALSE, FALSE, 1)",
        "orphan-firewall-change",
        true,
    ),
    (
        "UPDATE firewall_parties SET droplet_id = 77 WHERE guarded = TRUE AND droplet_id = {second}",
        "orphan-firewall-droplet",
        true,
    ),
    ("UPDATE firewall_parties SET tag = 'green' WHERE guarded = TRUE AND tag = 'blue'", "orphan-firewall-tag", true),
    (
        "UPDATE firewall_parties SET droplet_id = 77 WHERE guarded = FALSE AND droplet_id = {first}",
        "firewall-names-nobody",
        false,
    ),
    ("UPDATE firewalls SET account_id = 77", "no-account", false),
    (
        "INSERT INTO firewall_changes (firewall_id, droplet_id, account_id, removing, failed, number)
         SELECT id, 0, 1, FALSE, FALSE, 99 FROM firewalls",
        "counter",
        true,
    ),
    ("DELETE FROM vpcs WHERE id IN (SELECT vpc_id FROM droplets)", "no-vpc", false),
    ("DELETE FROM vpcs WHERE id NOT IN (SELECT vpc_id FROM droplets)", "orphan-peering", true),
    ("UPDATE droplets SET backup_due_at = NULL WHERE id = {first}", "backup-due", true),
    ("UPDATE counters SET value = value - 1 WHERE name = 'droplet'", "counter", true),
    ("UPDATE list_counts SET count = count + 1 WHERE list LIKE 'droplets:%' AND bucket = -1", "list-count", true),
    ("UPDATE droplets SET status = 'off' WHERE id = {first}", "power", true),
    ("UPDATE droplets SET vcpus = 3 WHERE id = {first}", "machine-differs", false),
    ("UPDATE volumes SET size_gib = 4 WHERE id = '{free}'", "volume-size", true),
    ("UPDATE volumes SET size_gib = 6 WHERE id = '{free}'", "volume-size", false),
    ("UPDATE volumes SET droplet_id = {second} WHERE id = '{volume}'", "attachment", true),
];

#[tokio::test]
async fn every_inconsistency_of_rows_is_found_and_put_right_where_that_is_safe() {
    let mut tried = BTreeSet::new();
    for &(sql, rule, repairable) in BY_SQL {
        let scene = Scene::make().await;
        scene.sql(sql).await;

        let found = scene.app.findings().await;

        let named = found.iter().find(|finding| finding.rule == rule);
        let named = named.unwrap_or_else(|| panic!("{sql}: {rule} is not found: {found:?}"));
        assert_eq!(named.repairable, repairable, "{named:?}");
        for text in [&named.subject, &named.what, &named.why, &named.remedy] {
            assert!(!text.is_empty() && !text.contains("{}"), "{named:?}");
        }
        let left = scene.repair().await;
        assert!(left.iter().all(|finding| !finding.repairable), "{sql}: {left:?}");
        assert_eq!(left.iter().any(|finding| finding.rule == rule), !repairable, "{sql}: {left:?}");
        if repairable {
            assert_eq!(left, [], "{sql}");
            serves(scene.app).await;
        }
        tried.insert(rule);
    }
    let rules: BTreeSet<String> = row_rules().into_iter().map(|rule| rule.name).collect();
    let untried: Vec<_> = rules.iter().filter(|rule| !tried.contains(rule.as_str())).collect();
    assert_eq!(untried, Vec::<&String>::new(), "rules that nothing breaks here");
    eprintln!("{} inconsistencies of {} kinds found", BY_SQL.len(), tried.len());
}

/// Starts again on what is there, and makes one more of everything.
async fn serves(mut app: TestApp) {
    app.restart().await;
    let id = app.admin().create_droplet("after").await;
    app.run_actions_to_end().await;
    assert_eq!(app.admin().get(&format!("/v2/droplets/{id}")).await.expect(200)["droplet"]["status"], "active");
    app.books_balance().await;
}

async fn one(scene: &Scene, rule: &str, repairable: bool) {
    let found = scene.app.findings().await;
    let rules: Vec<&str> = found.iter().map(|finding| finding.rule.as_str()).collect();
    assert!(rules.contains(&rule), "{rule}: {found:?}");
    assert!(found.iter().any(|finding| finding.rule == rule && finding.repairable == repairable), "{found:?}");
    let left = scene.repair().await;
    assert_eq!(left.iter().any(|finding| finding.rule == rule), !repairable, "{left:?}");
    if repairable {
        assert_eq!(left, []);
    }
}

#[tokio::test]
async fn machines_that_are_missing_or_too_many_are_found() {
    let scene = Scene::make().await;
    scene.app.sim().vanish(MachineId(scene.first)).await.expect("gone");
    one(&scene, "machine-missing", false).await;

    let scene = Scene::make().await;
    let spec = scene.app.sim().spec(MachineId(scene.first)).await.expect("a spec").expect("a machine");
    scene.app.sim().ensure(MachineId(77), &spec).await.expect("made");
    one(&scene, "machine-ownerless", true).await;
    serves(scene.app).await;

    let scene = Scene::make().await;
    scene.app.sim().power(MachineId(scene.first), Power::Off).await.expect("off");
    one(&scene, "power", true).await;
    serves(scene.app).await;
}

#[tokio::test]
async fn volumes_that_are_missing_or_too_many_or_elsewhere_are_found() {
    let id = |text: &str| VolumeId(Uuid::parse_str(text).expect("a uuid"));
    let scene = Scene::make().await;
    scene.app.sim().remove_volume(id(&scene.free)).await.expect("gone");
    one(&scene, "volume-missing", false).await;

    let scene = Scene::make().await;
    let spec = VolumeSpec { name: "stray".to_owned(), size_gib: 1, filesystem: None, source: None };
    scene.app.sim().ensure_volume(VolumeId(Uuid::from_u128(7)), &spec).await.expect("made");
    scene.app.sim().attach(VolumeId(Uuid::from_u128(7)), MachineId(scene.first)).await.expect("attached");
    one(&scene, "volume-ownerless", true).await;
    serves(scene.app).await;

    let scene = Scene::make().await;
    scene.app.sim().detach(id(&scene.volume), MachineId(scene.first)).await.expect("detached");
    one(&scene, "attachment", true).await;
    serves(scene.app).await;
}

#[tokio::test]
async fn images_that_are_missing_or_too_many_are_found() {
    let scene = Scene::make().await;
    for image in scene.app.sim().images().await.expect("a list") {
        scene.app.sim().remove_image(&image).await.expect("gone");
    }
    one(&scene, "image-missing", false).await;

    let scene = Scene::make().await;
    let stray = ImageName::own("image-77").expect("a name");
    scene.app.sim().import(&stray, "http://images.example/x").await.expect("made");
    one(&scene, "image-ownerless", true).await;
    serves(scene.app).await;
}

#[tokio::test]
async fn what_an_action_is_at_is_no_finding() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/droplets", droplet(json!({ "name": "coming" }))).await.expect(202);
    volume_id(&admin, json!({})).await;
    assert_eq!(app.findings().await, [], "rows are there and nothing is made yet");
    app.run_actions_to_end().await;
    let read = app.store().read(|tx: &mut dyn Tx| Ok::<_, StoreError>(check::books(tx)?.actions.len())).await;
    assert_eq!(read.expect("the store can be read"), 0);
    app.books_balance().await;
}

//! What there is, as clients see it and without what differs from run to run: two worlds are the same or they are not.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_testkit::TestApp;
use serde_json::Value;

/// One line a thing.
pub(super) type World = BTreeSet<String>;

fn count(value: &Value) -> usize {
    value.as_array().map(Vec::len).unwrap_or_default()
}

/// The sorted words of a list.
fn words(value: &Value) -> String {
    let words: BTreeSet<String> = value.as_array().into_iter().flatten().map(ToString::to_string).collect();
    words.into_iter().collect::<Vec<_>>().join(",")
}

fn droplet(shown: &Value) -> String {
    format!(
        "Droplet {} {} {} {}/{}/{} of {} with {} tags {} volumes {} snapshots {} backups {} addresses {}+{}",
        shown["name"],
        shown["status"],
        shown["size_slug"],
        shown["vcpus"],
        shown["memory"],
        shown["disk"],
        shown["image"]["name"],
        words(&shown["features"]),
        words(&shown["tags"]),
        count(&shown["volume_ids"]),
        count(&shown["snapshot_ids"]),
        count(&shown["backup_ids"]),
        count(&shown["networks"]["v4"]),
        count(&shown["networks"]["v6"]),
    )
}

fn image(shown: &Value) -> String {
    // A backup's name has its time in it.
    let name = if shown["type"] == "backup" { &Value::Null } else { &shown["name"] };
    let sizes = (&shown["min_disk_size"], &shown["size_gigabytes"]);
    format!("image {name} {} {} in {} {sizes:?}", shown["type"], shown["status"], words(&shown["regions"]))
}

/// What there is now. Whatever else is wrong with it, such as locks, is for the books to find.
pub(super) async fn world(app: &TestApp) -> World {
    let admin = app.admin();
    let mut lines = World::new();
    // Things of the same looks are told apart by a number.
    let mut add = |line: String| (1..).map(|nth| format!("{line} #{nth}")).find(|line| lines.insert(line.clone()));
    for list in ["/v2/droplets?type=droplets", "/v2/droplets?type=gpus"] {
        admin.all(list, "droplets").await.iter().for_each(|shown| drop(add(droplet(shown))));
    }
    for shown in admin.all("/v2/volumes", "volumes").await {
        let (size, at) = (&shown["size_gigabytes"], count(&shown["droplet_ids"]));
        add(format!("volume {} of {size} GiB at {at} tags {}", shown["name"], words(&shown["tags"])));
    }
    for shown in admin.all("/v2/images?private=true", "images").await {
        // An import that came to nothing is a message, not an image.
        if shown["status"] != "deleted" {
            add(image(&shown));
        }
    }
    for shown in admin.all("/v2/snapshots?resource_type=volume", "snapshots").await {
        add(format!("snapshot {} of a volume of {} GiB", shown["name"], shown["min_disk_size"]));
    }
    for (list, key) in [("/v2/reserved_ips", "reserved_ips"), ("/v2/reserved_ipv6", "reserved_ipv6s")] {
        for shown in admin.all(list, key).await {
            add(format!("{key} at {}", shown["droplet"]["name"]));
        }
    }
    let held = app.addresses().await.iter().filter(|(.., holder)| holder.is_some()).count();
    add(format!("{held} addresses held, {} passwords waiting", app.rows("passwords").await));
    let stock = admin.get("/dew/v1/stock").await.expect(200);
    for host in stock["hosts"].as_array().into_iter().flatten() {
        let held = host["devices"].as_array().into_iter().flatten().filter(|gpu| !gpu["droplet_id"].is_null());
        add(format!("{} GPUs of host {} held", held.count(), host["name"]));
    }
    lines
}

/// Whatever can be deleted, under a name that is the same in every run, with the path that deletes it.
pub(super) async fn deletable(app: &TestApp) -> BTreeMap<String, String> {
    let admin = app.admin();
    let mut found = BTreeMap::new();
    for (list, key, what, path) in [
        ("/v2/droplets?type=droplets", "droplets", "Droplet", "/v2/droplets"),
        ("/v2/droplets?type=gpus", "droplets", "Droplet", "/v2/droplets"),
        ("/v2/volumes", "volumes", "volume", "/v2/volumes"),
        ("/v2/images?private=true", "images", "image", "/v2/images"),
        ("/v2/snapshots?resource_type=volume", "snapshots", "snapshot", "/v2/volumes/snapshots"),
        ("/v2/reserved_ips", "reserved_ips", "reserved", "/v2/reserved_ips"),
        ("/v2/reserved_ipv6", "reserved_ipv6s", "reserved", "/v2/reserved_ipv6"),
    ] {
        for shown in admin.all(list, key).await {
            let named = |name: &'static str| shown[name].as_str();
            let name = if shown["type"] == "backup" { "backup" } else { named("name").unwrap_or("ip") };
            let id = named("id").or(named("ip")).map_or_else(|| shown["id"].to_string(), str::to_owned);
            found.insert(format!("{what} {name}"), format!("{path}/{id}"));
        }
    }
    found
}

//! Of what and where: image, size, region, VPC, volumes (CRE-5 to CRE-8, CRE-13, CRE-14).

use std::time::Duration;

use dewpoint_api::AccountId;
use dewpoint_engine::{Host, HostGpus, ImageName, sim::Equipment};
use dewpoint_store::{Error as StoreError, Tx, VpcRecord, vpcs};
use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::droplet;

async fn created(client: &Client<'_>, changes: Value) -> Value {
    client.post("/v2/droplets", droplet(changes)).await.expect(202)["droplet"].clone()
}

async fn refused(client: &Client<'_>, changes: Value) -> String {
    client.post("/v2/droplets", droplet(changes)).await.invalid()
}

async fn volume(client: &Client<'_>, name: &str, region: &str) -> String {
    let body = json!({ "name": name, "region": region, "size_gigabytes": 10 });
    client.post("/v2/volumes", body).await.expect(201)["volume"]["id"].as_str().expect("an id").to_owned()
}

/// A VPC that is not its region's default: they cannot be made through the API yet.
async fn vpc(app: &TestApp, account: AccountId, region: &str, range: &str) -> String {
    let id = dewpoint_api::VpcId(Uuid::new_v4());
    let record = VpcRecord {
        id,
        region: region.into(),
        name: format!("mine-{region}"),
        description: String::new(),
        ip_range: range.to_owned(),
        is_default: false,
        created_at: app.now(),
    };
    let inserted = app.store().write(move |tx: &mut dyn Tx| vpcs::vpc_insert(tx, account, &record));
    inserted.await.map_err(|error: StoreError| error).expect("a VPC can be added");
    id.to_string()
}

#[tokio::test]
async fn an_image_is_named_by_number_digits_or_slug_in_any_case_cre_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let images = admin.all("/v2/images", "images").await;
    let image = images.iter().find(|image| image["slug"] == "ubuntu-22-04-x64").expect("the image");
    for named in
        [image["id"].clone(), json!(image["id"].to_string()), json!("ubuntu-22-04-x64"), json!("Ubuntu-22-04-x64")]
    {
        assert_eq!(created(&admin, json!({ "image": named })).await["image"], *image, "{named}");
    }
    for unknown in [json!("ubuntu-99"), json!(1), json!(9_223_372_036_854_775_808_u64), json!("99999999999999999999")] {
        let message = refused(&admin, json!({ "image": unknown })).await;
        assert_eq!(message, "You specified an invalid image for Droplet creation.", "{unknown}");
    }
}

#[tokio::test]
async fn an_image_must_fit_the_disk_of_the_size_cre_5() {
    const CATALOGUE: &str = r#"
        [[images]]
        id = 900
        slug = "huge-x64"
        name = "Huge"
        distribution = "Ubuntu"
        min_disk_gib = 60
        size_gigabytes = 50.0
        kind = "distribution"
        created_at = "2026-01-01T00:00:00Z"
    "#;
    let app = TestApp::start_with(|setup| setup.catalogue = Some(CATALOGUE)).await;
    let message = refused(&app.admin(), json!({ "image": "huge-x64" })).await;
    assert!(message.contains("60 GB") && message.contains("25 GB"), "{message}");
    created(&app.admin(), json!({ "image": "huge-x64", "size": "s-2vcpu-2gb" })).await;
}

#[tokio::test]
async fn an_image_that_is_not_on_this_host_is_refused_with_the_command_that_brings_it() {
    let missing = ImageName::new("ubuntu-24-04-x64").expect("a name");
    let equipment = Equipment { missing_images: vec![missing], ..Equipment::default() };
    let app = TestApp::start_with(|setup| setup.equipment = equipment).await;
    let message = refused(&app.admin(), json!({})).await;
    assert!(message.contains("not on this host") && message.contains("dew image add ubuntu-24-04-x64"), "{message}");
    created(&app.admin(), json!({ "image": "ubuntu-22-04-x64" })).await;
}

#[tokio::test]
async fn a_size_must_exist_and_be_sold_in_the_region_cre_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    assert_eq!(created(&admin, json!({ "size": "S-1VCPU-1GB" })).await["size_slug"], "s-1vcpu-1gb", "PRO-9");
    let message = refused(&admin, json!({ "size": "s-1vcpu-1tb" })).await;
    assert_eq!(message, "You specified an invalid size for Droplet creation.");
    let message = refused(&admin, json!({ "size": "gpu-h100x1-80gb", "region": "fra1" })).await;
    assert_eq!(message, "Size is not available in this region.", "ERR-6");
}

#[tokio::test]
async fn a_gpu_size_where_the_host_has_no_gpu_is_not_available_cre_6() {
    let host = Host { name: "plain".into(), vcpus: 4, memory_mib: 8192, gpus: HostGpus::NONE };
    let equipment = Equipment { hosts: vec![host], ..Equipment::default() };
    let app = TestApp::start_with(|setup| setup.equipment = equipment).await;
    let admin = app.admin();
    let message = refused(&admin, json!({ "size": "gpu-h100x1-80gb", "region": "nyc2" })).await;
    assert!(message.contains("gpu-h100x1-80gb is not available"), "{message}");
    refused(&admin, json!({ "size": "s-8vcpu-16gb" })).await;
    created(&admin, json!({ "size": "s-4vcpu-8gb" })).await;
    let sizes = admin.all("/v2/sizes", "sizes").await;
    let available = |slug: &str| sizes.iter().find(|size| size["slug"] == slug).expect(slug)["available"].clone();
    assert_eq!(
        [available("s-4vcpu-8gb"), available("s-8vcpu-16gb"), available("gpu-h100x1-80gb")],
        [true, false, false]
    );
}

#[tokio::test]
async fn a_region_is_a_slug_a_prefix_or_none_at_all_cre_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let region = async |changes| created(&admin, changes).await["region"]["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(region(json!({ "region": "NYC3" })).await, "nyc3", "PRO-9");
    assert!(["nyc1", "nyc2", "nyc3"].contains(&region(json!({ "region": "nyc" })).await.as_str()));
    assert!(!region(json!({ "region": null })).await.is_empty());
    assert!(!region(json!({ "region": "" })).await.is_empty());
    let gpu = json!({ "region": null, "size": "gpu-h100x1-80gb" });
    assert!(["nyc2", "tor1", "atl1"].contains(&region(gpu).await.as_str()), "only where the size is sold");
    assert_eq!(region(json!({ "region": "nyc", "size": "gpu-h100x1-80gb" })).await, "nyc2");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_region_that_is_unknown_or_closed_is_refused_cre_7_reg_1() {
    let app = TestApp::start().await;
    for unknown in ["xyz5", "foo", "n", "nyc33", "nyc3 "] {
        let message = refused(&app.admin(), json!({ "region": unknown })).await;
        assert_eq!(message, "You specified an invalid region for Droplet creation.", "{unknown:?}");
    }
    assert_eq!(refused(&app.admin(), json!({ "region": "ams1" })).await, "Region is not available");
    let open = created(&app.admin(), json!({ "region": "ams" })).await;
    assert_eq!(open["region"]["slug"], "ams3", "the one that is open");
}

#[tokio::test]
async fn a_vpc_decides_the_region_and_contradictions_are_refused_cre_8_cre_14() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mine = vpc(&app, app.account().await, "tor1", "10.10.10.0/24").await;
    for region in [json!(null), json!("tor"), json!("tor1")] {
        let made = created(&admin, json!({ "region": region, "vpc_uuid": mine })).await;
        assert_eq!((&made["region"]["slug"], &made["vpc_uuid"]), (&json!("tor1"), &json!(mine)), "{region}");
    }
    let message = refused(&admin, json!({ "vpc_uuid": mine })).await;
    assert!(message.contains("tor1"), "{message}");
    for bad in ["no-uuid", "760e09ef-dc84-11e8-981e-3cfdfeaae000"] {
        assert!(refused(&admin, json!({ "vpc_uuid": bad })).await.contains("vpc_uuid"), "{bad}");
    }
    let message = refused(&app.other_account().await, json!({ "region": "tor1", "vpc_uuid": mine })).await;
    assert!(message.contains("vpc_uuid"), "another account's VPC is unknown: {message}");
    app.run_actions_to_end().await;
    let v4 = app.admin().get("/v2/droplets").await.expect(200)["droplets"][0]["networks"]["v4"].clone();
    assert_eq!((&v4[1]["ip_address"], &v4[1]["netmask"]), (&json!("10.10.10.2"), &json!("255.255.255.0")));
}

#[tokio::test]
async fn without_a_vpc_the_regions_default_one_is_used_and_made_once_cre_14() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let first = created(&admin, json!({})).await["vpc_uuid"].clone();
    assert_eq!(created(&admin, json!({})).await["vpc_uuid"], first);
    app.clock().advance(std::time::Duration::from_secs(1));
    let elsewhere = created(&admin, json!({ "region": "fra1" })).await["vpc_uuid"].clone();
    assert_ne!(elsewhere, first);
    let vpcs = admin.all("/v2/vpcs", "vpcs").await;
    assert_eq!(vpcs.iter().map(|vpc| &vpc["name"]).collect::<Vec<_>>(), ["default-nyc3", "default-fra1"]);
    assert!(vpcs.iter().all(|vpc| vpc["default"] == true));
    assert_ne!(vpcs[0]["ip_range"], vpcs[1]["ip_range"]);
    assert_eq!(vpcs[0]["id"], first);
}

#[tokio::test]
async fn volumes_are_named_by_id_or_by_name_in_every_form_cre_13() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut volumes = Vec::new();
    for name in ["bare", "by-id", "by-name"] {
        volumes.push(volume(&admin, name, "nyc3").await);
    }
    let asked = json!([volumes[0], { "id": volumes[1] }, { "name": "by-name" }]);
    let made = created(&admin, json!({ "volumes": asked })).await;
    let id = made["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let mut attached: Vec<_> =
        app.admin().droplet(id).await["volume_ids"].as_array().expect("a list").iter().map(Value::to_string).collect();
    attached.sort();
    let mut expected: Vec<_> = volumes.iter().map(|volume| json!(volume).to_string()).collect();
    expected.sort();
    assert_eq!(attached, expected);
    let shown = admin.get(&format!("/v2/volumes/{}", volumes[0])).await.expect(200);
    assert_eq!(shown["volume"]["droplet_ids"], json!([id]), "VOL-4");
}

#[tokio::test]
async fn volumes_decide_the_region_cre_8() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let here = volume(&admin, "here", "lon1").await;
    volume(&admin, "there", "fra1").await;
    let made = created(&admin, json!({ "region": null, "volumes": [here] })).await;
    assert_eq!(made["region"]["slug"], "lon1");
    assert_eq!(
        created(&admin, json!({ "region": null, "volumes": [{ "name": "there" }] })).await["region"]["slug"],
        "fra1"
    );
}

#[tokio::test]
async fn a_free_volume_is_found_by_name_though_another_of_that_name_is_in_use_cre_13() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for region in ["ams3", "sgp1"] {
        volume(&admin, "data", region).await;
    }
    let named = json!({ "region": null, "volumes": [{ "name": "data" }] });
    let first = created(&admin, named.clone()).await["region"]["slug"].clone();
    let second = created(&admin, named).await["region"]["slug"].clone();
    assert_ne!(first, second);
}

#[tokio::test]
async fn volumes_that_cannot_be_had_refuse_the_create_cre_13() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (here, taken) = (volume(&admin, "here", "nyc3").await, volume(&admin, "taken", "nyc3").await);
    let elsewhere = volume(&admin, "elsewhere", "fra1").await;
    created(&admin, json!({ "volumes": [taken] })).await;
    let sixteen: Vec<String> = (0..16).map(|_| Uuid::new_v4().to_string()).collect();
    let foreign = volume(&app.other_account().await, "foreign", "nyc3").await;
    let bad = [
        json!([taken]),
        json!([elsewhere]),
        json!([here, elsewhere]),
        json!([here, here]),
        json!([here, { "name": "here" }]),
        json!([foreign]),
        json!(["no-uuid"]),
        json!([{ "name": "unknown" }]),
        json!(["00000000-0000-0000-0000-000000000000"]),
        json!(sixteen),
    ];
    for volumes in bad {
        let message = refused(&admin, json!({ "volumes": volumes })).await;
        assert_eq!(message, "Invalid volume allocations", "{volumes}");
    }
    let several = json!({ "name": null, "names": ["a"], "volumes": [here] });
    assert_eq!(refused(&admin, several).await, "Invalid volume allocations", "not with names");
    let shown = admin.get(&format!("/v2/volumes/{here}")).await.expect(200);
    assert_eq!(shown["volume"]["droplet_ids"], json!([]), "ERR-8");
}

#[tokio::test]
async fn fifteen_volumes_are_not_too_many_cre_13() {
    let app = TestApp::start().await;
    let mut volumes = Vec::new();
    for number in 0..15 {
        volumes.push(volume(&app.admin(), &format!("v{number}"), "nyc3").await);
    }
    let made = created(&app.admin(), json!({ "volumes": volumes })).await;
    assert_eq!(
        app.admin().droplet(made["id"].as_u64().expect("a number")).await["volume_ids"].as_array().map(Vec::len),
        Some(15)
    );
}

#[tokio::test]
async fn an_exhausted_address_pool_is_a_refusal_that_leaves_nothing() {
    // Five addresses: eight less network, gateway and broadcast.
    let pool = (std::net::Ipv4Addr::new(192, 0, 2, 0), 29);
    let app = TestApp::start_with(|setup| setup.control.public_v4_pool = Some(pool)).await;
    let admin = app.admin();
    let names = |count: usize| json!({ "name": null, "names": vec!["a"; count] });
    admin.post("/v2/droplets", droplet(names(3))).await.expect(202);
    let message = refused(&admin, names(3)).await;
    assert!(message.contains("public IPv4 address"), "{message}");
    assert_eq!((app.rows("droplets").await, app.rows("addresses").await), (3, 6));
    admin.post("/v2/droplets", droplet(names(2))).await.expect(202);
    refused(&admin, json!({})).await;
    created(&admin, json!({ "public_networking": false })).await;
    app.run_actions_to_end().await;
    app.books_balance().await;
    let first = app.droplet_records().await[0].id;
    admin.delete(&format!("/v2/droplets/{first}")).await.expect(204);
    refused(&admin, json!({})).await;
    app.run_actions_to_end().await;
    // Who had the address may still be looked for there.
    app.clock().advance(app.control().config().address_quarantine - Duration::from_millis(1));
    let message = refused(&admin, json!({})).await;
    assert!(message.ends_with("1 were given back a moment ago and still rest: try again in a while."), "{message}");
    app.clock().advance(Duration::from_millis(1));
    created(&admin, json!({ "name": "after" })).await;
}

#[tokio::test]
async fn a_full_vpc_is_a_refusal_that_leaves_nothing_cre_14() {
    let app = TestApp::start().await;
    let mine = vpc(&app, app.account().await, "nyc3", "10.1.2.0/30").await;
    created(&app.admin(), json!({ "vpc_uuid": mine })).await;
    let message = refused(&app.admin(), json!({ "vpc_uuid": mine })).await;
    assert!(message.contains("private address"), "{message}");
    assert_eq!((app.rows("droplets").await, app.rows("addresses").await), (1, 2));
}

//! Regions, sizes and images as they are listed (REG-1, SIZ-1, SIZ-2, IMG-1 to IMG-3, PRO-7).

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

fn find<'v>(all: &'v [Value], slug: &str) -> &'v Value {
    all.iter().find(|one| one["slug"] == slug).unwrap_or_else(|| panic!("no {slug}"))
}

#[tokio::test]
async fn closed_regions_are_listed_and_not_available_reg_1() {
    let app = TestApp::start().await;
    let regions = app.admin().all("/v2/regions", "regions").await;
    for slug in ["nyc1", "nyc3", "atl1", "tor1", "fra1", "ric1"] {
        let region = find(&regions, slug);
        assert_eq!(region["available"], true, "{slug}");
        assert!(region["sizes"].as_array().is_some_and(|sizes| sizes.contains(&json!("s-1vcpu-1gb"))), "{slug}");
        assert!(region["features"].as_array().is_some_and(|features| features.contains(&json!("ipv6"))), "{slug}");
        assert!(region["name"].is_string());
    }
    for slug in ["ams1", "ams2", "sfo1"] {
        assert_eq!(find(&regions, slug)["available"], false, "{slug}");
    }
}

#[tokio::test]
async fn sizes_have_exact_prices_and_throughput_siz_1_pro_7() {
    let app = TestApp::start().await;
    let answer = app.admin().get("/v2/sizes?per_page=200").await;
    assert!(answer.text.contains("\"price_hourly\":0.00893"), "no widened float");
    let sizes = app.admin().all("/v2/sizes", "sizes").await;
    let size = find(&sizes, "s-1vcpu-1gb");
    assert_eq!((size["price_monthly"].as_f64(), size["price_hourly"].as_f64()), (Some(6.0), Some(0.00893)));
    assert_eq!((&size["memory"], &size["vcpus"], &size["disk"]), (&json!(1024), &json!(1), &json!(25)));
    assert_eq!((&size["networking_throughput"], &size["available"]), (&json!(2000), &json!(true)));
    assert!(size.get("gpu_info").is_none());
    let gpu = find(&sizes, "gpu-h100x8-640gb");
    assert_eq!(
        gpu["gpu_info"],
        json!({ "count": 8, "model": "nvidia_h100", "vram": { "amount": 640, "unit": "gib" } })
    );
    assert_eq!(gpu["regions"], json!(["nyc2", "tor1", "atl1"]));
    let shared = find(&sizes, "gpu-mi350x8-2304gb");
    assert_eq!(shared["gpu_info"]["supported_partition_modes"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn sizes_fill_more_than_one_page_siz_2() {
    let app = TestApp::start().await;
    let body = app.admin().get("/v2/sizes").await.expect(200);
    assert_eq!(body["sizes"].as_array().map(Vec::len), Some(20));
    assert!(body["meta"]["total"].as_u64() > Some(20));
    assert!(body["links"]["pages"]["last"].is_string(), "PAG-6");
}

#[tokio::test]
async fn images_are_filtered_by_kind_of_public_image_img_1_img_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let all = admin.all("/v2/images", "images").await;
    let distributions = admin.all("/v2/images?type=distribution", "images").await;
    let applications = admin.all("/v2/images?type=application", "images").await;
    assert_eq!(all.len(), distributions.len() + applications.len());
    find(&distributions, "ubuntu-22-04-x64");
    find(&applications, "gpu-h100x1-base");
    assert!(
        all.iter().all(|image| image["type"] == "base" && image["public"] == true && image["status"] == "available")
    );
    for own in ["?private=true", "?tag_name=web", "?private=true&type=distribution"] {
        assert_eq!(admin.get(&format!("/v2/images{own}")).await.expect(200)["meta"]["total"], 0, "{own}");
    }
    assert_eq!(admin.get("/v2/images?private=false").await.expect(200)["meta"]["total"], all.len());
    admin.get("/v2/images?type=base").await.invalid();
}

#[tokio::test]
async fn an_image_is_found_by_number_or_slug_img_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let by_slug = admin.get("/v2/images/ubuntu-20-04-x64").await.expect(200)["image"].clone();
    let by_number = admin.get(&format!("/v2/images/{}", by_slug["id"])).await.expect(200)["image"].clone();
    assert_eq!(by_slug, by_number);
    assert_eq!((&by_slug["name"], &by_slug["distribution"]), (&json!("20.04 (LTS) x64"), &json!("Ubuntu")));
    assert_eq!(admin.get("/v2/images/Ubuntu-20-04-x64").await.expect(200)["image"], by_slug);
    for unknown in ["1", "ubuntu", "ubuntu-20-04-x64%20", "9223372036854775808", "99999999999999999999999", "-1"] {
        admin.get(&format!("/v2/images/{unknown}")).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn the_images_clients_expect_are_there() {
    let app = TestApp::start().await;
    let images = app.admin().all("/v2/images", "images").await;
    for slug in
        ["ubuntu-24-04-x64", "ubuntu-22-04-x64", "ubuntu-20-04-x64", "debian-12-x64", "micro-x64", "gpu-amd-base"]
    {
        let image = find(&images, slug);
        assert!(image["min_disk_size"].as_u64().is_some_and(|size| size <= 25), "{slug}");
        assert!(image["id"].is_u64() && image["regions"].as_array().is_some_and(|regions| !regions.is_empty()));
    }
}

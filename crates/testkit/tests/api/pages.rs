//! Pages of collections, through the router (PAG-1 to PAG-9).

use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::{droplet, ids};

async fn droplets(app: &TestApp, count: usize) -> Vec<u64> {
    let mut made = Vec::new();
    for first in (0..count).step_by(10) {
        let names: Vec<String> = (first..count.min(first + 10)).map(|number| format!("d{number}")).collect();
        let body =
            app.admin().post("/v2/droplets", droplet(json!({ "name": null, "names": names, "tags": ["t"] }))).await;
        made.extend(ids(&body.expect(202)["droplets"]));
    }
    made
}

#[tokio::test]
async fn twenty_are_on_a_page_unless_asked_otherwise_pag_1_pag_3() {
    let app = TestApp::start().await;
    let made = droplets(&app, 45).await;
    let body = app.admin().get("/v2/droplets").await.expect(200);
    assert_eq!((ids(&body["droplets"]), &body["meta"]["total"]), (made[..20].to_vec(), &json!(45)));
    let body = app.admin().get("/v2/droplets?per_page=7&page=7").await.expect(200);
    assert_eq!((ids(&body["droplets"]), &body["meta"]["total"]), (made[42..].to_vec(), &json!(45)));
    let body = app.admin().get("/v2/droplets?per_page=200").await.expect(200);
    assert_eq!((ids(&body["droplets"]), &body["links"]), (made, &json!({})));
}

#[tokio::test]
async fn bounds_are_cut_and_nonsense_is_a_400_pag_2() {
    let app = TestApp::start().await;
    let made = droplets(&app, 3).await;
    assert_eq!(ids(&app.admin().get("/v2/droplets?per_page=1000").await.expect(200)["droplets"]), made);
    for bad in
        ["page=0", "page=-1", "page=x", "per_page=0", "per_page=1.5", "page=99999999999999999999", "per_page=%00"]
    {
        for path in ["/v2/droplets", "/v2/actions", "/v2/tags", "/v2/sizes", "/v2/images", "/v2/volumes", "/v2/vpcs"] {
            app.admin().get(&format!("{path}?{bad}")).await.refusal(400, "bad_request");
        }
    }
    for page in ["2", "4294967295"] {
        let past = app.admin().get(&format!("/v2/droplets?page={page}")).await.expect(200);
        assert_eq!((&past["droplets"], &past["meta"]["total"]), (&json!([]), &json!(3)), "past the end");
    }
    assert_eq!(ids(&app.admin().get("/v2/droplets?page=&per_page=").await.expect(200)["droplets"]), made);
}

#[tokio::test]
async fn links_lead_from_page_to_page_and_keep_the_filters_pag_4_pag_5_pag_6() {
    let app = TestApp::start().await;
    let made = droplets(&app, 25).await;
    let mut path = "/v2/droplets?tag_name=t&per_page=10".to_owned();
    let mut seen = Vec::new();
    for page in 1.. {
        let body = app.admin().get(&path).await.expect(200);
        seen.extend(ids(&body["droplets"]));
        let pages = &body["links"]["pages"];
        let here = |name: &str| pages[name].as_str().map(str::to_owned);
        assert_eq!((here("first").is_some(), here("prev").is_some()), (page > 1, page > 1), "page {page}");
        assert_eq!((here("next").is_some(), here("last").is_some()), (page < 3, page < 3), "page {page}");
        assert_eq!(body["meta"]["total"], 25);
        let Some(next) = here("next") else { break };
        assert!(here("last").is_some_and(|last| last.contains("page=3") && last.contains("tag_name=t")));
        path = next.strip_prefix("http://dew.test").expect("absolute, on the host that was called: PAG-8").to_owned();
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_configured_public_url_begins_every_link_pag_8() {
    let url = dewpoint_server::PublicUrl::parse("https://cloud.example.com/dew").expect("an address");
    let app = TestApp::start_with(|setup| setup.server.public_url = Some(url)).await;
    let body =
        app.admin().post("/v2/droplets", droplet(json!({ "name": null, "names": ["a", "b"] }))).await.expect(202);
    let link = body["links"]["actions"][0]["href"].as_str().expect("an address");
    assert!(link.starts_with("https://cloud.example.com/dew/v2/actions/"), "{link}");
    let next = app.admin().get("/v2/droplets?per_page=1").await.expect(200)["links"]["pages"]["next"].clone();
    assert_eq!(next, "https://cloud.example.com/dew/v2/droplets?per_page=1&page=2");
}

#[tokio::test]
async fn deep_pages_and_totals_stay_true_when_droplets_come_and_go_pag_3_pag_9() {
    let app = TestApp::start().await;
    let mut left = droplets(&app, 60).await;
    app.run_actions_to_end().await;
    for at in [55, 40, 39, 38, 20, 0] {
        let id = left.remove(at);
        app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    }
    app.run_actions_to_end().await;
    for per_page in [1, 7, 13, 200] {
        let mut seen = Vec::new();
        for page in 1..=left.len().div_ceil(per_page) {
            let path = format!("/v2/droplets?page={page}&per_page={per_page}");
            let body = app.admin().get(&path).await.expect(200);
            assert_eq!(body["meta"]["total"], left.len());
            seen.extend(ids(&body["droplets"]));
        }
        assert_eq!(seen, left, "{per_page} a page");
    }
    let mut actions = Vec::new();
    for page in 1..=7 {
        let body = app.admin().get(&format!("/v2/actions?page={page}&per_page=10")).await.expect(200);
        assert_eq!(body["meta"]["total"], 66);
        actions.extend(ids(&body["actions"]));
    }
    assert_eq!(actions.len(), 66);
    assert!(actions.is_sorted_by(|newer, older| newer > older), "newest first, none twice: {actions:?}");
    app.books_balance().await;
}

#[tokio::test]
async fn policies_are_paged_by_droplet() {
    let app = TestApp::start().await;
    let made = droplets(&app, 3).await;
    let body = app.admin().get("/v2/droplets/backups/policies?per_page=2&page=2").await.expect(200);
    let keys: Vec<&String> = body["policies"].as_object().expect("an object").keys().collect();
    assert_eq!((keys, &body["meta"]["total"]), (vec![&made[2].to_string()], &json!(3)));
    assert!(body["links"]["pages"]["prev"].is_string());
}

#[tokio::test]
async fn every_collection_has_links_and_a_total_pag_3() {
    let app = TestApp::start().await;
    let collections = [
        ("/v2/droplets", "droplets"),
        ("/v2/actions", "actions"),
        ("/v2/account/keys", "ssh_keys"),
        ("/v2/images", "images"),
        ("/v2/regions", "regions"),
        ("/v2/sizes", "sizes"),
        ("/v2/tags", "tags"),
        ("/v2/volumes", "volumes"),
        ("/v2/vpcs", "vpcs"),
        ("/dew/v1/tokens", "tokens"),
        ("/dew/v1/models", "models"),
        ("/v2/gen-ai/models", "models"),
        ("/v2/gen-ai/models/api_keys", "api_key_infos"),
    ];
    for (path, key) in collections {
        let body = app.admin().get(&format!("{path}?per_page=200")).await.expect(200);
        let items = body[key].as_array().unwrap_or_else(|| panic!("{path} has no {key}"));
        assert_eq!((&body["meta"]["total"], &body["links"]), (&json!(items.len()), &json!({})), "{path}");
    }
}

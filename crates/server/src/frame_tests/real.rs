//! What needs no resource: probes, metrics, the document and its page; and the catalogue.

use std::sync::Arc;

use super::Server;
use crate::{Probes, Sample, ServerConfig};

async fn server() -> Server {
    Server::serving(crate::operations(), ServerConfig::default(), Probes::default()).await
}

#[tokio::test]
async fn regions_are_shown_and_their_sizes_only_to_who_may_see_sizes_auth_6() {
    let server = server().await;
    let answer = server.get("/v2/regions?per_page=200", "read").await.json();
    let regions = answer["regions"].as_array().expect("a list");
    assert_eq!(answer["meta"]["total"].as_u64().map(|total| total as usize), Some(regions.len()));
    let nyc3 = regions.iter().find(|region| region["slug"] == "nyc3").expect("nyc3");
    assert_eq!((nyc3["name"].as_str(), nyc3["available"].as_bool()), (Some("New York 3"), Some(true)));
    assert!(nyc3["sizes"].as_array().is_some_and(|sizes| sizes.iter().any(|size| size == "s-1vcpu-1gb")));

    let only_regions = server.new_token("regions:read").await;
    let regions = server.get("/v2/regions?per_page=200", &only_regions).await.json();
    assert!(
        regions["regions"].as_array().expect("a list").iter().all(|region| region["sizes"] == serde_json::json!([]))
    );
    server.get("/v2/regions", "keys").await.is_error(403, "forbidden");
    server.get("/v2/regions", "").await.is_error(401, "unauthorized");
}

#[tokio::test]
async fn sizes_come_in_pages_with_exact_prices_pro_7() {
    let server = server().await;
    let page = server.get("/v2/sizes?per_page=2&page=2", "read").await.json();
    assert_eq!(page["sizes"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["links"]["pages"]["next"], "http://localhost/v2/sizes?per_page=2&page=3");
    let all = server.get("/v2/sizes?per_page=200", "read").await;
    let size =
        all.json()["sizes"].as_array().expect("a list").iter().find(|size| size["slug"] == "s-1vcpu-1gb").cloned();
    let size = size.expect("the smallest size");
    assert_eq!((size["price_hourly"].to_string(), size["price_monthly"].as_f64()), ("0.00893".into(), Some(6.0)));
    let only_sizes = server.new_token("sizes:read").await;
    server.get("/v2/sizes", &only_sizes).await.is_error(403, "forbidden");
}

#[tokio::test]
async fn probes_need_no_token_and_readiness_says_what_is_missing() {
    let server = server().await;
    assert_eq!(server.send("GET /healthz", &[], "").await.status, 200);
    assert_eq!(server.send("GET /readyz", &[], "").await.status, 200);

    let probes =
        Probes { ready: Arc::new(|| Err("The engine is still looking for its machines.".into())), ..Probes::default() };
    let waiting = Server::serving(crate::operations(), ServerConfig::default(), probes).await;
    let answer = waiting.send("GET /readyz", &[], "").await;
    answer.is_error(503, "service_unavailable");
    assert_eq!(answer.json()["message"], "The engine is still looking for its machines.");
    assert_eq!(waiting.send("GET /healthz", &[], "").await.status, 200);
}

#[tokio::test]
async fn metrics_count_requests_and_show_what_the_program_adds() {
    let sample = Sample { name: "dewpoint_store_commits_total", help: "Commits.", is_counter: true, value: 7 };
    let probes = Probes { samples: Arc::new(move || vec![sample.clone()]), ..Probes::default() };
    let server = Server::serving(crate::operations(), ServerConfig::default(), probes).await;
    server.send("GET /v2/regions", &[], "").await;
    let answer = server.send("GET /metrics", &[], "").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        answer.text.contains("dewpoint_requests_total{operation=\"regions_list\",status=\"401\"} 1"),
        "{}",
        answer.text
    );
    assert!(answer.text.contains("dewpoint_store_commits_total 7"));
}

#[tokio::test]
async fn the_document_is_openapi_and_names_what_is_served() {
    let answer = server().await.send("GET /dew/v1/openapi.json", &[], "").await;
    let document = answer.json();
    assert_eq!((answer.status, document["openapi"].as_str()), (200, Some("3.1.0")));
    assert_eq!(document["paths"]["/v2/regions"]["get"]["operationId"], "regions_list");
}

#[tokio::test]
async fn the_docs_page_loads_nothing_from_elsewhere() {
    let server = server().await;
    let page = server.send("GET /docs", &[], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'; "));
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "no address of another host");
    for asset in page.text.split('"').filter(|text| text.starts_with("/docs/")) {
        assert_eq!(server.send(&format!("GET {asset}"), &[], "").await.status, 200, "{asset}");
    }
}

#[tokio::test]
async fn the_viewer_is_sent_once() {
    let server = server().await;
    let path = "GET /docs/rapidoc-9.3.8.min.js";
    let first = server.send(path, &[], "").await;
    assert_eq!((first.status, first.text.len() > 100_000), (200, true));
    let again = server.send(path, &[&format!("if-none-match: {}", first.header("etag"))], "").await;
    assert_eq!((again.status, again.text.as_str(), again.header("content-type")), (304, "", ""));
}

#[tokio::test]
async fn no_operation_but_the_open_ones_answers_without_a_token() {
    let server = server().await;
    for operation in crate::operations() {
        let path: String = operation.path().replace(['{', '}'], "");
        let answer = server.send(&format!("{} {path}", operation.method()), &[], "").await;
        let is_open = *operation.access() == crate::Access::Open;
        assert_eq!(answer.status == 401, !is_open, "{operation:?} answered {}", answer.status);
    }
}

#[tokio::test]
async fn without_the_simulator_nothing_is_steered_and_the_answer_says_why() {
    let server = server().await;
    for what in ["/dew/v1/clock", "/dew/v1/requests", "/dew/v1/faults", "/dew/v1/delays", "/dew/v1/snapshots"] {
        let answer = server.get(what, "full").await;
        answer.is_error(409, "conflict");
        assert!(answer.json()["message"].as_str().is_some_and(|text| text.contains("simulator's alone")), "{what}");
    }
}

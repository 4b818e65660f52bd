//! Reserved IPv6 (RIP-5), and reserved IPs where other things are looked at: projects (RIP-7), scopes, Droplets that go.

use super::*;

#[tokio::test]
async fn reserved_ipv6_has_its_own_group_and_keys_rip_5() {
    let app = wired().await;
    let admin = app.admin();
    let made =
        admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201)["reserved_ipv6"].clone();
    assert_eq!((&made["region_slug"], &made["droplet"]), (&json!("nyc3"), &json!(null)));
    assert_eq!(made["reserved_at"], "2026-11-21T10:00:00Z");
    let ip = made["ip"].as_str().expect("an address").to_owned();
    let path = format!("/v2/reserved_ipv6/{ip}");
    assert_eq!(admin.get(&path).await.expect(200)["reserved_ipv6"], made);
    assert_eq!(admin.get("/v2/reserved_ipv6").await.expect(200)["reserved_ipv6s"], json!([made]));
    for bad in [json!({}), json!({ "region": "nyc3" }), json!({ "region_slug": "mars1" })] {
        admin.post("/v2/reserved_ipv6", bad).await.invalid();
    }
    let second =
        admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201)["reserved_ipv6"].clone();
    assert_ne!(second["ip"], made["ip"]);

    let plain = admin.active_droplet("plain").await;
    let said = admin.post(&format!("{path}/actions"), json!({ "type": "assign", "droplet_id": plain })).await.invalid();
    assert!(said.contains("enable IPv6 first"), "{said}");
    let id = admin.post("/v2/droplets", droplet(json!({ "ipv6": true }))).await.expect(202)["droplet"]["id"].clone();
    app.run_actions_to_end().await;
    let action =
        admin.post(&format!("{path}/actions"), json!({ "type": "assign", "droplet_id": id })).await.expect(201);
    assert_eq!(
        (&action["action"]["type"], &action["action"]["resource_type"]),
        (&json!("assign_ip"), &json!("reserved_ipv6"))
    );
    assert!(action["action"]["resource_id"].is_u64());
    app.run_actions_to_end().await;
    let number = id.as_u64().expect("a number");
    assert_eq!(admin.get(&path).await.expect(200)["reserved_ipv6"]["droplet"], admin.droplet(number).await);
    assert_eq!(leads(&app), [(ip.clone(), number)]);
    // One of each family, and not two of one.
    let both = reserve(&admin, json!({ "droplet_id": id })).await;
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), [(both, number), (ip, number)]);
    let second = format!("/v2/reserved_ipv6/{}/actions", second["ip"].as_str().expect("text"));
    admin.post(&second, json!({ "type": "assign", "droplet_id": id })).await.invalid();

    admin.post(&format!("{path}/actions"), json!({ "type": "unassign" })).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(leads(&app).len(), 1);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refusal(404, "not_found");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn in_projects_it_has_two_names_and_shows_one_rip_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let project = json!({ "name": "p", "purpose": "Testing" });
    let project =
        admin.post("/v2/projects", project).await.expect(201)["project"]["id"].as_str().expect("an id").to_owned();
    let made = admin.post("/v2/reserved_ips", json!({ "region": "nyc3", "project_id": project })).await.expect(202);
    let ip = made["reserved_ip"]["ip"].as_str().expect("an address").to_owned();
    assert_eq!(made["reserved_ip"]["project_id"], project);
    let urn = format!("do:floatingip:{ip}");
    let resources = format!("/v2/projects/{project}/resources");
    let listed = admin.get(&resources).await.expect(200)["resources"].clone();
    assert_eq!(each(&listed, "urn"), [urn.as_str()]);
    assert_eq!(listed[0]["links"]["self"], format!("http://dew.test/v2/reserved_ips/{ip}"));

    for name in [urn.clone(), format!("do:reservedip:{ip}")] {
        let moved = admin.post("/v2/projects/default/resources", json!({ "resources": [name] })).await.expect(200);
        assert_eq!(
            (&moved["resources"][0]["urn"], &moved["resources"][0]["status"]),
            (&json!(urn), &json!("assigned"))
        );
        assert_ne!(shown(&admin, &ip).await["project_id"], project);
        admin.post(&resources, json!({ "resources": [name] })).await.expect(200);
        assert_eq!(shown(&admin, &ip).await["project_id"], project);
    }
    let lost = json!({ "resources": ["do:reservedip:192.0.2.1", "do:floatingip:anything"] });
    let lost = admin.post(&resources, lost).await.expect(200);
    assert_eq!(each(&lost["resources"], "status"), ["not_found", "not_found"]);
    admin.delete(&format!("/v2/projects/{project}")).await.refusal(412, "precondition_failed");
    admin.delete(&format!("/v2/reserved_ips/{ip}")).await.expect(204);
    assert_eq!(admin.get(&resources).await.expect(200)["resources"], json!([]));
    admin.delete(&format!("/v2/projects/{project}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_token_sees_of_it_what_it_may_auth_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let ip = reserve(&admin, json!({ "droplet_id": id })).await;
    app.run_actions_to_end().await;
    let whole = shown(&admin, &ip).await;
    let some = app.token_with(&["reserved_ip:read"]).await;
    let seen = shown(&some, &ip).await;
    assert_eq!((&seen["droplet"], seen.get("project_id"), &seen["ip"]), (&json!(null), None, &whole["ip"]));
    let more = app.token_with(&["reserved_ip:read", "droplet:read"]).await;
    assert_eq!(shown(&more, &ip).await["droplet"]["id"], id);
    assert!(shown(&more, &ip).await["droplet"]["vpc_uuid"].is_null(), "nor more of that than it may");
}

#[tokio::test]
async fn it_is_destroyed_with_its_droplet_when_that_is_asked_del_5_del_6() {
    let app = wired().await;
    let admin = app.admin();
    for named in [None, Some("reserved_ips"), Some("floating_ips")] {
        let id = admin.active_droplet("web-1").await;
        let ip = reserve(&admin, json!({ "droplet_id": id })).await;
        app.run_actions_to_end().await;
        let path = format!("/v2/droplets/{id}/destroy_with_associated_resources");
        let listed = admin.get(&path).await.expect(200);
        assert_eq!(listed["reserved_ips"], json!([{ "id": ip, "name": ip, "cost": "5.00" }]));
        assert_eq!(listed["floating_ips"], listed["reserved_ips"]);
        match named {
            None => {
                let request = http::Request::builder().method("DELETE").uri(format!("{path}/dangerous"));
                let request = request.header("host", "dew.test").header("x-dangerous", "true");
                admin.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(202);
            }
            Some(name) => {
                admin.delete_with(&format!("{path}/selective"), json!({ name: ["192.0.2.1"] })).await.invalid();
                admin.delete_with(&format!("{path}/selective"), json!({ name: [ip] })).await.expect(202);
            }
        }
        assert_eq!(assign(&admin, &ip, id).await.invalid(), BUSY);
        app.run_actions_to_end().await;
        let told = admin.get(&format!("{path}/status")).await.expect(200);
        assert!(told["resources"]["reserved_ips"][0]["destroyed_at"].is_string(), "{told}");
        assert_eq!(told["resources"]["floating_ips"], told["resources"]["reserved_ips"]);
        admin.get(&format!("/v2/reserved_ips/{ip}")).await.refusal(404, "not_found");
        assert_eq!(leads(&app), []);
        app.books_balance().await;
    }
}

#[tokio::test]
async fn what_is_not_named_is_kept_when_its_droplet_is_destroyed_del_6() {
    let app = wired().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let ip = reserve(&admin, json!({ "droplet_id": id })).await;
    app.run_actions_to_end().await;
    admin.delete(&format!("/v2/droplets/{id}/destroy_with_associated_resources/selective")).await.expect(202);
    app.run_actions_to_end().await;
    let kept = shown(&admin, &ip).await;
    assert_eq!((&kept["droplet"], &kept["locked"], leads(&app)), (&json!(null), &json!(false), vec![]));
    app.books_balance().await;
}

#[tokio::test]
async fn an_address_held_for_nothing_is_given_back_by_the_next_start() {
    let mut app = wired().await;
    let ip = reserve(&app.admin(), json!({ "region": "nyc3" })).await;
    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 1, for_good));
    app.admin().delete(&format!("/v2/reserved_ips/{ip}")).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!(newest_status(&app).await, "errored");
    let held = |findings: Vec<dewpoint_control::check::Finding>| {
        findings.iter().any(|one| one.rule == "orphan-reserved-address")
    };
    assert!(held(app.findings().await), "nobody knows whether it still leads somewhere");
    app.restart().await;
    app.books_balance().await;
}

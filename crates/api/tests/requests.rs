//! Requests as the real clients write them (behaviour rules PRO-5, CRE-5, CRE-9, CRE-13), and wrong ones.

use dewpoint_api::*;
use serde_json::{Value, json};

fn create(body: Value) -> DropletCreateRequest {
    serde_json::from_value(body).expect("a readable request")
}

#[test]
fn a_create_as_godo_sends_it_pro_5() {
    let request = create(json!({
        "name": "web-1", "region": "", "size": "S-1VCPU-1GB", "image": 4711, "ssh_keys": null, "backups": false,
        "ipv6": false, "private_networking": false, "monitoring": true, "tags": null, "vpc_uuid": "",
        "volumes": [{"id": "9d2f5a36-1f0c-4d63-8f0e-2a4a4d1d9b11"}, {"name": "data"}, {"id": "", "name": "logs"}],
    }));
    assert_eq!(
        request,
        DropletCreateRequest {
            name: Some("web-1".to_owned()),
            size: Some("s-1vcpu-1gb".into()),
            image: Some(ImageIdOrSlug::Id(ImageId(4711))),
            monitoring: true,
            volumes: vec![
                VolumeReference::Id { id: "9d2f5a36-1f0c-4d63-8f0e-2a4a4d1d9b11".to_owned() },
                VolumeReference::Name { name: "data".to_owned() },
                VolumeReference::Name { name: "logs".to_owned() },
            ],
            ..Default::default()
        }
    );
}

#[test]
fn a_create_as_the_python_sdk_sends_it() {
    let request = create(json!({
        "name": "web-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-20-04-x64",
        "ssh_keys": [289_794, "289794", "c1:27:9f:0e:44:5b:61:d8:3a:90:7c:12:ee:05:b6:4d"], "backups": true,
        "backup_policy": {"plan": "weekly", "weekday": "SUN", "hour": 4}, "ipv6": true, "monitoring": true,
        "tags": ["env:prod", "web"], "user_data": "#cloud-config\n", "volumes": ["not-a-uuid"],
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000", "with_droplet_agent": true, "public_networking": false,
        "gpu_partition_mode": "PARTITION_MODE_SPX_NPS1", "a_member_of_the_future": {"deep": [1]},
    }));
    assert_eq!(request.image, Some(ImageIdOrSlug::Slug("ubuntu-20-04-x64".into())));
    let known = SshKeyIdOrFingerprint::Id(SshKeyId(289_794));
    let fingerprint = SshKeyIdOrFingerprint::Fingerprint("c1:27:9f:0e:44:5b:61:d8:3a:90:7c:12:ee:05:b6:4d".to_owned());
    assert_eq!(request.ssh_keys, [known.clone(), known, fingerprint]);
    assert_eq!(request.volumes, [VolumeReference::Bare("not-a-uuid".to_owned())]);
    assert_eq!((request.with_droplet_agent, request.public_networking), (Some(true), Some(false)));
    let policy = request.backup_policy.expect("given").checked().expect("as offered");
    assert_eq!((policy.plan, policy.weekday, policy.hour), (BackupPlan::Weekly, Some(Weekday::Sunday), Some(4)));
}

#[test]
fn null_missing_and_empty_are_one() {
    let bare = create(json!({}));
    let nulls = create(json!({
        "name": null, "names": null, "region": null, "size": null, "image": null, "ssh_keys": null, "backups": null,
        "backup_policy": null, "ipv6": null, "monitoring": null, "private_networking": null, "public_networking": null,
        "tags": null, "user_data": null, "volumes": null, "vpc_uuid": null, "with_droplet_agent": null,
        "gpu_partition_mode": null,
    }));
    let empties = create(json!({
        "region": "", "size": "", "image": "", "ssh_keys": [], "tags": [], "user_data": "", "volumes": [], "vpc_uuid": "",
        "gpu_partition_mode": "",
    }));
    assert_eq!(nulls, bare);
    assert_eq!(empties, bare);
}

#[test]
fn an_image_is_a_number_or_a_text_of_digits_or_a_slug_cre_5() {
    let image = |value: Value| create(json!({ "image": value })).image;
    assert_eq!(image(json!(111)), Some(ImageIdOrSlug::Id(ImageId(111))));
    assert_eq!(image(json!("111")), Some(ImageIdOrSlug::Id(ImageId(111))));
    assert_eq!(image(json!("Debian-12-x64")), Some(ImageIdOrSlug::Slug("debian-12-x64".into())));
}

#[test]
fn a_wrong_type_fails_the_body_and_a_wrong_word_does_not() {
    for wrong in [
        json!({"name": 5}),
        json!({"names": "web"}),
        json!({"names": [1]}),
        json!({"size": ["s-1vcpu-1gb"]}),
        json!({"image": {"id": 1}}),
        json!({"image": -1}),
        json!({"image": 1.5}),
        json!({"ssh_keys": "all"}),
        json!({"ssh_keys": [null]}),
        json!({"ipv6": "yes"}),
        json!({"tags": "web"}),
        json!({"volumes": [{}]}),
        json!({"volumes": [7]}),
        json!("web"),
        json!({"backup_policy": "daily"}),
    ] {
        assert!(serde_json::from_value::<DropletCreateRequest>(wrong.clone()).is_err(), "{wrong}");
    }
    create(
        json!({"size": "huge", "region": "atlantis", "image": "beos", "vpc_uuid": "x", "backup_policy": {"plan": "never"}}),
    );
}

#[test]
fn a_body_is_an_object_and_nothing_else() {
    let read = |body: &[u8]| read_object::<DropletCreateRequest>(body);
    assert_eq!(read(b" \n{\"name\": \"web\"}").expect("an object").name.as_deref(), Some("web"));
    for wrong in
        [&b""[..], b"  ", b"[]", b"[\"web\"]", b"null", b"\"web\"", b"5", b"{", b"{} {}", b"{\"name\": \"\xff\"}"]
    {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_create_request_reads_back_what_it_writes() {
    let request = create(json!({
        "names": ["a", "b"], "size": "s-1vcpu-1gb", "image": 111, "ssh_keys": [31, "c1:27"], "tags": ["web"],
        "volumes": ["v", {"id": "w"}, {"name": "x"}],
    }));
    let written = serde_json::to_value(&request).expect("plain data");
    assert_eq!(create(written), request);
}

#[test]
fn a_droplet_action_has_the_members_of_every_type_in_one() {
    let action = |body: Value| serde_json::from_value::<DropletActionRequest>(body).expect("a readable request");
    let resize = action(json!({"type": "resize", "disk": true, "size": "s-2vcpu-2gb"}));
    assert_eq!((resize.kind.as_str(), resize.disk, resize.size), ("resize", true, Some("s-2vcpu-2gb".into())));
    assert_eq!(
        action(json!({"type": "rebuild", "image": "debian-12-x64"})).image,
        Some("debian-12-x64".to_owned().into())
    );
    assert_eq!(action(json!({"type": "restore", "image": 4700})).image, Some(ImageIdOrSlug::Id(ImageId(4700))));
    assert_eq!(action(json!({"type": "rename", "name": ""})).name.as_deref(), Some(""));
    assert_eq!(action(json!({"type": "no_such_thing"})).kind, "no_such_thing");
    assert_eq!(action(json!({})).kind, "");
}

#[test]
fn volumes_and_tags_are_read_as_godo_sends_them() {
    let volume: VolumeCreateRequest = serde_json::from_value(json!({
        "region": "NYC3", "name": "data", "description": "", "size_gigabytes": 10, "snapshot_id": "",
        "filesystem_type": "", "filesystem_label": "", "tags": null,
    }))
    .expect("a readable request");
    assert_eq!((volume.region, volume.snapshot_id, volume.size_gigabytes), (Some("nyc3".into()), None, Some(10)));
    assert_eq!(rules::filesystem(volume.filesystem_type.as_deref(), volume.filesystem_label.as_deref()), Ok(None));

    let tagged: TagResourcesRequest = serde_json::from_value(json!({
        "resources": [{"resource_id": "1042", "resource_type": "droplet"}, {"resource_id": 1043, "resource_type": "droplet"}],
    }))
    .expect("a readable request");
    let ids: Vec<&str> = tagged.resources.iter().map(|resource| resource.resource_id.as_str()).collect();
    assert_eq!(ids, ["1042", "1043"]);
}

#[test]
fn a_token_is_not_in_what_is_logged_of_its_answer() {
    let answer: TokenCreateResponse = serde_json::from_value(json!({
        "token": "dop_v1_secret", "id": "3c1e9b52-9d0c-4f7a-8c39-1a5e8d7f6b20", "name": "ci", "scopes": ["read"],
        "created_at": "2026-11-20T08:00:00Z", "expires_at": null,
    }))
    .expect("a token");
    assert!(!format!("{answer:?}").contains("secret"));
}

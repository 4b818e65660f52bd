//! Paths that a guest asks its metadata service for.

use std::sync::LazyLock;

use dewpoint_api::DropletId;
use dewpoint_control::metadata::Metadata;
use dewpoint_engine::{Ipv4Link, Ipv6Link, MacAddress, Nic, NicKind};
use dewpoint_server::metadata::tree::{Answer, answer, answer_at_either};

static FACTS: LazyLock<Metadata> = LazyLock::new(|| {
    let link = |kind, last| Nic {
        kind,
        mac: MacAddress([6, 1, 0, 0, 0, last]),
        ipv4: Some(Ipv4Link {
            address: [192, 0, 2, last].into(),
            netmask: [255, 255, 255, 0].into(),
            gateway: Some([192, 0, 2, 1].into()),
        }),
        ipv6: Some(Ipv6Link {
            address: [0, 0, 0, 0, 0, 0, 0, 7].into(),
            prefix: 64,
            gateway: [0, 0, 0, 0, 0, 0, 0, 1].into(),
        }),
    };
    Metadata {
        id: DropletId(7),
        hostname: "web-1".to_owned(),
        user_data: Some("SECRET OF THE DROPLET".to_owned()),
        public_keys: vec!["ssh-ed25519 AAAA one".to_owned()],
        region: "nyc3".parse().expect("a slug"),
        links: vec![link(NicKind::Public, 7), link(NicKind::Private, 8)],
        nameservers: vec![[192, 0, 2, 53].into()],
        reserved_v4: Some([198, 51, 100, 4].into()),
        reserved_v6: None,
        tags: vec!["web".parse().expect("a tag")],
    }
});

/// A path leads to something in one spelling alone; what moves is there with a slash; user data is where it is said to be; and every
/// entry of an index leads on.
pub(crate) fn path(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let found = answer(&FACTS, path);
    if found != Answer::Nothing {
        assert!(path.starts_with("/metadata") && path.is_ascii() && path.len() < 64, "{path:?} is {found:?}");
        assert!(!path.contains("//") && !path.contains('%') && !path.contains(".."), "{path:?} is {found:?}");
    }
    match &found {
        Answer::Moved => {
            let there = answer(&FACTS, &format!("{path}/"));
            let Answer::Text(index) = &there else { panic!("{path:?} moves to {there:?}") };
            assert_eq!(answer_at_either(&FACTS, path), there);
            let is_index = !path.ends_with("/tags");
            for entry in index.lines().filter(|_| is_index) {
                assert!(
                    !matches!(answer(&FACTS, &format!("{path}/{entry}")), Answer::Nothing | Answer::Moved),
                    "{path}/{entry}"
                );
            }
        }
        Answer::Text(text) => {
            assert_eq!(text.contains("SECRET"), path == "/metadata/v1/user-data", "{path:?}");
            assert_eq!(answer_at_either(&FACTS, path), found);
        }
        Answer::Json(all) => assert_eq!((path, &all["droplet_id"]), ("/metadata/v1.json", &serde_json::json!(7))),
        Answer::Nothing => {}
    }
}

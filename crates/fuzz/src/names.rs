//! Packets to the name server, over a domain with a record of every type.

use std::cell::RefCell;

use dewpoint_dns::{Names, Transport};
use dewpoint_testkit::TestApp;
use hickory_proto::op::{Message, ResponseCode};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

struct Zone {
    runtime: Runtime,
    names: Names,
    _app: TestApp,
}

thread_local! {
    static ZONE: RefCell<Option<Zone>> = const { RefCell::new(None) };
}

impl Zone {
    fn open() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (names, app) = runtime.block_on(async {
            let app = TestApp::start().await;
            let admin = app.admin();
            admin.post("/v2/domains", json!({ "name": "example.com", "ip_address": "192.0.2.1" })).await.expect(201);
            for record in [
                json!({ "type": "A", "name": "*", "data": "192.0.2.1" }),
                json!({ "type": "AAAA", "name": "a.b", "data": "2001:db8::1" }),
                json!({ "type": "CNAME", "name": "c", "data": "d" }),
                json!({ "type": "CNAME", "name": "d", "data": "c" }),
                json!({ "type": "MX", "name": "@", "data": "@", "priority": 1 }),
                json!({ "type": "NS", "name": "n", "data": "a.n" }),
                json!({ "type": "A", "name": "a.n", "data": "192.0.2.2" }),
                json!({ "type": "TXT", "name": "t", "data": "x".repeat(4000) }),
                json!({ "type": "SRV", "name": "_s", "data": "@", "priority": 1, "weight": 1, "port": 1 }),
                json!({ "type": "CAA", "name": "@", "data": ";", "flags": 255, "tag": "issue" }),
            ] {
                admin.post("/v2/domains/example.com/records", record).await.expect(201);
            }
            (Names::new(app.control().clone()), app)
        });
        Self { runtime, names, _app: app }
    }
}

/// A packet: a question is answered, with its number, within its size, over UDP as over TCP unless that is too large; and nothing
/// that may be asked is our fault.
pub(crate) fn packet(data: &[u8]) {
    let (udp, tcp) = ZONE.with_borrow_mut(|zone| {
        let zone = zone.get_or_insert_with(Zone::open);
        zone.runtime.block_on(async {
            (zone.names.answer(data, Transport::Udp).await, zone.names.answer(data, Transport::Tcp).await)
        })
    });
    let is_question = data.len() >= 12 && data[2] & 0x80 == 0;
    assert_eq!(
        (udp.is_some(), tcp.is_some()),
        (is_question, is_question),
        "an answer to all questions and to nothing else"
    );
    assert_eq!(Names::put_off(data).is_some(), is_question);
    let (Some(udp), Some(tcp)) = (udp, tcp) else { return };
    assert!(udp.len() <= 1232, "{} bytes over UDP", udp.len());
    let (short, whole) = (Message::from_vec(&udp).expect("a message"), Message::from_vec(&tcp).expect("a message"));
    assert_eq!(short.metadata.id.to_be_bytes(), data[..2]);
    assert_eq!((short.metadata.response_code, &short.queries), (whole.metadata.response_code, &whole.queries));
    assert_ne!(whole.metadata.response_code, ResponseCode::ServFail, "{whole:?}");
    assert!(!whole.metadata.truncation && !whole.metadata.recursion_available, "{whole:?}");
    if short.metadata.truncation {
        assert!(short.answers.is_empty() && tcp.len() > 512);
    } else {
        assert_eq!(short.answers, whole.answers);
    }
}

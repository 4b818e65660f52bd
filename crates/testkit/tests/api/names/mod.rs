//! What the name server tells of domains (DNS-1, DNS-2) and of Droplets' addresses (CRE-4).

mod reverse;
mod sockets;
mod zones;

use dewpoint_dns::{Names, Transport};
use dewpoint_testkit::TestApp;
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, Record, RecordType},
};

/// A question, as a resolver of ours sends it.
fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, kind));
    message
}

/// Asks over TCP, in process, which has room for every answer.
async fn ask(app: &TestApp, name: &str, kind: RecordType) -> Message {
    let asked = question(name, kind);
    let names = Names::new(app.control().clone());
    let packet = names.answer(&asked.to_vec().expect("it encodes"), Transport::Tcp).await.expect("an answer");
    let said = Message::from_vec(&packet).expect("a message");
    assert_eq!((said.metadata.id, &said.queries), (asked.metadata.id, &asked.queries));
    said
}

/// Records as text, in order: owner, time, type, data.
fn texts(records: &[Record]) -> Vec<String> {
    let one = |record: &Record| format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data);
    records.iter().map(one).collect()
}

/// The answers to a question that has some.
async fn answers(app: &TestApp, name: &str, kind: RecordType) -> Vec<String> {
    let said = ask(app, name, kind).await;
    assert_eq!(said.metadata.response_code, ResponseCode::NoError, "{said:?}");
    assert!(said.metadata.authoritative && said.authorities.is_empty(), "{said:?}");
    texts(&said.answers)
}

/// Checks that there is nothing, and that the start of the zone says for how long that may be remembered.
async fn nothing(app: &TestApp, name: &str, kind: RecordType, code: ResponseCode) {
    let said = ask(app, name, kind).await;
    assert_eq!((said.metadata.response_code, said.answers.len()), (code, 0), "{name} {kind}: {said:?}");
    assert!(said.metadata.authoritative, "{said:?}");
    let [start] = &said.authorities[..] else { panic!("{name} {kind}: {said:?}") };
    assert_eq!(start.record_type(), RecordType::SOA);
}

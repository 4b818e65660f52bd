//! Packets in and out: what is a question, and how an answer is put. Pure.

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, Record, RecordType},
};

use crate::Transport;

/// The most that goes over UDP, whatever the asker would take: what is not cut up on the way (the flag day of 2020).
const UDP_MOST: u16 = 1232;
/// The most that goes over UDP to an asker who does not say (RFC 1035).
const UDP_PLAIN: u16 = 512;
/// The length of a message's head.
const HEAD: usize = 12;

/// What a packet is.
#[derive(Debug)]
pub(crate) enum Read {
    /// No question, so that there is no answer: too short, or an answer itself.
    Nothing,
    /// A question that is not looked up.
    Refused(Reply),
    /// A question.
    Asked(Question),
}

/// One question, of class IN.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    query: Query,
    head: Metadata,
    edns: Option<Edns>,
}

/// What was found for a question.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Whether the name is not there at all; a name without records of the type is no error.
    pub(crate) no_such_name: bool,
    /// Whether others are to be asked: what is told is where.
    pub(crate) referred: bool,
    /// What was asked for.
    pub(crate) answers: Vec<Record>,
    /// Who answers for it, or the start of the zone where there is nothing.
    pub(crate) authorities: Vec<Record>,
    /// Addresses of those.
    pub(crate) additionals: Vec<Record>,
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Reply {
    message: Message,
    /// The most its asker takes over UDP.
    udp_most: u16,
}

/// Reads a packet.
pub(crate) fn read(packet: &[u8]) -> Read {
    // The first bit of the third byte is set in answers: who answers those may talk to itself for ever.
    if packet.len() < HEAD || packet[2] & 0x80 != 0 {
        return Read::Nothing;
    }
    let id = u16::from_be_bytes([packet[0], packet[1]]);
    let op = OpCode::from_u8((packet[2] >> 3) & 0x0f);
    let bare = |code| {
        let mut head = Metadata::new(id, MessageType::Query, op);
        head.recursion_desired = packet[2] & 1 != 0;
        Read::Refused(Reply::new(&head, None, None, code))
    };
    if op != OpCode::Query {
        return bare(ResponseCode::NotImp);
    }
    let Ok(mut message) = Message::from_vec(packet) else { return bare(ResponseCode::FormErr) };
    let (Some(query), true) = (message.queries.pop(), message.queries.is_empty()) else {
        return bare(ResponseCode::FormErr);
    };
    let question = Question { query, head: message.metadata, edns: message.edns };
    if question.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return Read::Refused(question.reply(ResponseCode::BADVERS));
    }
    match (question.query.query_class(), question.query.query_type()) {
        // A whole zone is for nobody: others' records are in it, and there is no second name server to bring it to.
        (_, RecordType::AXFR | RecordType::IXFR) => Read::Refused(question.refused()),
        (DNSClass::IN, _) => Read::Asked(question),
        _ => Read::Refused(question.refused()),
    }
}

impl Question {
    /// The name that is asked for, as it was written.
    pub(crate) fn name(&self) -> &Name {
        self.query.name()
    }

    /// The type of records that is asked for.
    pub(crate) fn kind(&self) -> RecordType {
        self.query.query_type()
    }

    /// We answer for our own domains, and look up nothing for anybody.
    pub(crate) fn refused(&self) -> Reply {
        self.reply(ResponseCode::Refused)
    }

    /// Our own fault; asked again it may work.
    pub(crate) fn failed(&self) -> Reply {
        self.reply(ResponseCode::ServFail)
    }

    /// Nothing but the wish to be asked over TCP.
    pub(crate) fn put_off(&self) -> Reply {
        let mut reply = self.reply(ResponseCode::NoError);
        reply.message.metadata.truncation = true;
        reply
    }

    /// What was found.
    pub(crate) fn told(&self, told: Told) -> Reply {
        let code = if told.no_such_name { ResponseCode::NXDomain } else { ResponseCode::NoError };
        let mut reply = self.reply(code);
        reply.message.metadata.authoritative = !told.referred;
        reply.message.answers = told.answers;
        reply.message.authorities = told.authorities;
        reply.message.additionals = told.additionals;
        reply
    }

    fn reply(&self, code: ResponseCode) -> Reply {
        Reply::new(&self.head, Some(self.query.clone()), self.edns.as_ref(), code)
    }
}

impl Reply {
    fn new(head: &Metadata, query: Option<Query>, edns: Option<&Edns>, code: ResponseCode) -> Self {
        let mut message = Message::response(head.id, head.op_code);
        message.metadata = Metadata::response_from_request(head);
        message.metadata.response_code = code;
        message.queries.extend(query);
        let udp_most = edns.map_or(UDP_PLAIN, |edns| edns.max_payload().clamp(UDP_PLAIN, UDP_MOST));
        if edns.is_some() {
            let mut own = Edns::new();
            own.set_max_payload(UDP_MOST);
            message.edns = Some(own);
        }
        Self { message, udp_most }
    }

    /// The message as it goes out. What does not fit over UDP is left out whole, and the asker told to come over TCP.
    pub(crate) fn encode(&self, transport: Transport) -> Vec<u8> {
        let most = match transport {
            Transport::Udp => usize::from(self.udp_most),
            Transport::Tcp => usize::from(u16::MAX),
        };
        match self.message.to_vec() {
            Ok(packet) if packet.len() <= most => packet,
            Ok(_) => self.message.truncate().to_vec().unwrap_or_else(|_| self.bare_failure()),
            // A record that the store should not have, such as one larger than a message.
            Err(error) => {
                tracing::warn!(%error, "An answer could not be put: {error}");
                self.bare_failure()
            }
        }
    }

    fn bare_failure(&self) -> Vec<u8> {
        let head = &self.message.metadata;
        let [id, id_] = head.id.to_be_bytes();
        let flags = 0x80 | u8::from(head.recursion_desired);
        vec![id, id_, flags, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        message
    }

    fn refusal(packet: &[u8]) -> Message {
        match read(packet) {
            Read::Refused(reply) => Message::from_vec(&reply.encode(Transport::Udp)).expect("a message"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        assert!(matches!(read(b""), Read::Nothing));
        assert!(matches!(read(&[0; 11]), Read::Nothing));
        let mut answer = query("example.com.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        assert!(matches!(read(&answer.to_vec().expect("encodes")), Read::Nothing));
    }

    #[test]
    fn what_is_not_looked_up_is_refused_by_its_code() {
        let mut update = query("example.com.", RecordType::SOA);
        update.metadata.op_code = OpCode::Update;
        let mut two = query("example.com.", RecordType::A);
        two.add_query(two.queries[0].clone());
        let mut chaos = query("version.bind.", RecordType::TXT);
        chaos.queries[0].set_query_class(DNSClass::CH);
        let mut newer = query("example.com.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        newer.set_edns(edns);
        let mut empty = query("example.com.", RecordType::A);
        empty.queries.clear();
        let cases = [
            (update, ResponseCode::NotImp),
            (two, ResponseCode::FormErr),
            (empty, ResponseCode::FormErr),
            (chaos, ResponseCode::Refused),
            (query("example.com.", RecordType::AXFR), ResponseCode::Refused),
            (query("example.com.", RecordType::IXFR), ResponseCode::Refused),
            (newer, ResponseCode::BADVERS),
        ];
        for (message, code) in cases {
            let said = refusal(&message.to_vec().expect("encodes"));
            // One number has two meanings, and the name of the other.
            assert_eq!(u16::from(said.metadata.response_code), u16::from(code), "{message:?}");
            assert_eq!(said.metadata.id, message.metadata.id);
        }
        let mut broken = query("example.com.", RecordType::A).to_vec().expect("encodes");
        broken.truncate(20);
        assert_eq!(refusal(&broken).metadata.response_code, ResponseCode::FormErr);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_the_asker_told() {
        let mut asked = query("example.com.", RecordType::TXT);
        let large = || Told {
            answers: (0..100)
                .map(|number| {
                    let data = hickory_proto::rr::rdata::A::new(192, 0, 2, number);
                    Record::from_rdata(asked.queries[0].name().clone(), 60, hickory_proto::rr::RData::A(data))
                })
                .collect(),
            ..Told::default()
        };
        let tell = |message: &Message, transport| match read(&message.to_vec().expect("encodes")) {
            Read::Asked(question) => question.told(large()).encode(transport),
            other => panic!("{other:?}"),
        };
        let plain = tell(&asked, Transport::Udp);
        let said = Message::from_vec(&plain).expect("a message");
        assert!(plain.len() <= 512 && said.metadata.truncation && said.answers.is_empty());
        assert_eq!(said.queries, asked.queries);
        let whole = Message::from_vec(&tell(&asked, Transport::Tcp)).expect("a message");
        assert!(!whole.metadata.truncation && whole.answers.len() == 100);
        for (takes, most) in [(100, 512), (1000, 1000), (65_535, 1232)] {
            let mut edns = Edns::new();
            edns.set_max_payload(takes);
            asked.set_edns(edns);
            match read(&asked.to_vec().expect("encodes")) {
                Read::Asked(question) => assert_eq!(question.refused().udp_most, most),
                other => panic!("{other:?}"),
            }
        }
    }
}

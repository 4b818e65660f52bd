//! One create at a time, and a kill at a chosen moment of it.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Dice,
    asking::{Asked, KINDS, Kind, Seen},
    rounds,
    support::{Answer, DEADLINE, Server, all, eventually, machines},
};

/// When the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Before it has the last byte of the request.
    Cut,
    /// When it has it.
    Sent,
    /// When the store's log has begun to grow.
    Writing,
    /// When a commit has become durable.
    Committed,
    /// When its answer has come; the client has it, or it is lost on its way.
    Answered,
    /// Any time in twice the time that a create takes here.
    Whenever,
}

const MOMENTS: [Moment; 6] =
    [Moment::Cut, Moment::Sent, Moment::Writing, Moment::Committed, Moment::Answered, Moment::Whenever];
/// Rounds of each moment with each kind of client.
const ROUNDS: u64 = 2;
/// So many creates fit into the store's log before it begins from its start again and no longer grows.
const LIFE: u64 = 10;

/// What was seen of kills.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    replies_lost: u64,
    /// By moment: nothing was done, it was done and not answered, it was answered.
    nothing: BTreeMap<Moment, u64>,
    unanswered: BTreeMap<Moment, u64>,
    answered: BTreeMap<Moment, u64>,
    /// Noted as handed over, and killed before it was.
    between: u64,
}

/// Waits for the moment; whatever it waits for, an answer ends it.
fn wait_for(moment: Moment, asked: &Asked, seen: &Seen, (log, commits): (u64, u32), span: Duration) {
    let began = Instant::now();
    // Looking for an answer takes longer than what is waited for, so it is done now and then.
    let until = |reached: &dyn Fn() -> bool| {
        for look in 1_u64.. {
            if reached() || (look % 32 == 0 && asked.has_come()) {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "neither {moment:?} nor an answer");
        }
    };
    match moment {
        Moment::Cut | Moment::Sent => {}
        Moment::Writing => until(&|| seen.log_length() > log),
        Moment::Committed => until(&|| seen.commits() != commits),
        Moment::Answered => until(&|| false),
        Moment::Whenever => until(&|| began.elapsed() >= span),
    }
}

/// Sends a create and kills the server at the moment. The answer, if all of it came; whether it was noted as handed over.
fn ask_and_kill(
    server: Server,
    data_dir: &Path,
    (kind, name, attempt): (Kind, &str, u32),
    moment: Moment,
    span: Duration,
) -> (Option<Answer>, bool) {
    let seen = Seen::new(data_dir);
    let (before, handed_over) = ((seen.log_length(), seen.commits()), seen.handed_over());
    let asked = kind.ask(server.address(), name, attempt, moment == Moment::Cut).expect("a connection");
    wait_for(moment, &asked, &seen, before, span);
    server.kill();
    (asked.answer(), seen.handed_over() != handed_over)
}

/// The numbers of the Droplets of this name.
fn named(server: &Server, name: &str) -> Vec<u64> {
    let found =
        all(server.client(), "/v2/droplets", "droplets").into_iter().filter(|droplet| droplet["name"] == json!(name));
    found.map(|droplet| droplet["id"].as_u64().expect("a number")).collect()
}

/// The number of the Droplet that an answer shows.
fn shown(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.body["droplet"]["id"].as_u64().expect("a number")
}

/// How long a create takes from its last byte to its answer: the median of nine.
fn span_of_create(data_dir: &Path) -> Duration {
    let server = Server::start(data_dir);
    let mut spans: Vec<_> = (0..9)
        .map(|number| {
            let asked = Kind::Key.ask(server.address(), &format!("span-{number}"), 0, false).expect("a connection");
            let began = Instant::now();
            shown(&asked.answer().expect("an answer"));
            began.elapsed()
        })
        .collect();
    spans.sort_unstable();
    spans[4]
}

/// Waits until nothing is in progress, so that the next commit is that of the next create.
fn until_idle(server: &Server) {
    server.until_ready();
    eventually("end of every action", || {
        all(server.client(), "/v2/actions", "actions").iter().all(|action| action["status"] != "in-progress")
    });
}

/// Any part of twice this span.
fn some_of(span: Duration, dice: &mut Dice) -> Duration {
    Duration::from_nanos(dice.roll(u64::try_from(span.as_nanos() * 2).expect("seconds").max(1)))
}

/// Asks, kills at the moment, and starts the next server; the answer, if it came, and whether only the client knows that
/// it did not: the server was killed between its note of handing it over and doing so.
fn killed(
    (data_dir, server): (&Path, Server),
    asked: (Kind, &str, u32),
    (moment, span): (Moment, Duration),
    tally: &mut Tally,
) -> (Server, Option<Answer>, bool) {
    let (answer, handed_over) = ask_and_kill(server, data_dir, asked, moment, span);
    let between = handed_over && answer.is_none();
    tally.kills += 1;
    tally.replies_lost += u64::from(answer.is_some());
    tally.between += u64::from(between);
    (Server::start(data_dir), answer, between)
}

/// One create: killed at `moment`, and perhaps once more at its retry, then asked until it is answered.
fn round(
    data_dir: &Path,
    (kind, name): (Kind, &str),
    (moment, span): (Moment, Duration),
    dice: &mut Dice,
    tally: &mut Tally,
) {
    let server = Server::start(data_dir);
    until_idle(&server);
    let (mut server, first, between) =
        killed((data_dir, server), (kind, name, 0), (moment, some_of(span, dice)), tally);
    let done = named(&server, name);
    let class = match (&first, done.len()) {
        (Some(answer), _) => {
            assert_eq!(done, [shown(answer)], "what was answered is there");
            &mut tally.answered
        }
        (None, 0) => &mut tally.nothing,
        (None, _) => &mut tally.unanswered,
    };
    *class.entry(moment).or_default() += 1;
    assert!(moment != Moment::Cut || done.is_empty(), "half a request has done something");

    // To the server it is answered, though its client may not have it: a silent client's next request is a new one.
    let mut given = usize::from(between || first.is_some());
    let mut attempt = 1;
    if first.is_none() && dice.roll(3) == 0 {
        let at = MOMENTS[1 + usize::try_from(dice.roll(5)).expect("small")];
        let (next, second, between) = killed((data_dir, server), (kind, name, 1), (at, some_of(span, dice)), tally);
        given += usize::from(between || second.is_some());
        (server, attempt) = (next, 2);
    }
    let last = kind.ask(server.address(), name, attempt, false).expect("a connection").answer().expect("an answer");
    let there = named(&server, name);
    let expected = if kind == Kind::Silent { 1 + given } else { 1 };
    assert!(there.contains(&shown(&last)), "{last:?}");
    assert_eq!(there.len(), expected, "{name}: {there:?}");
    // It is answered now: the same once more, by a client that means it, is another Droplet.
    if kind != Kind::Key {
        let honest = kind.ask(server.address(), name, 0, false).expect("a connection").answer().expect("an answer");
        assert!(!there.contains(&shown(&honest)), "{name}: two honest creates stay two");
    }
    assert!(server.terminate().success());
}

/// Everything asked for is there and nothing else: every action ended well, and each Droplet has its machine.
fn check(data_dir: &Path) {
    let server = Server::start(data_dir);
    until_idle(&server);
    for action in all(server.client(), "/v2/actions", "actions") {
        assert_eq!(action["status"], "completed", "{action}");
    }
    let droplets = all(server.client(), "/v2/droplets", "droplets");
    let droplets: Vec<u64> = droplets.iter().map(|droplet| droplet["id"].as_u64().expect("a number")).collect();
    assert!(server.terminate().success());
    assert_eq!(machines(data_dir), droplets.into_iter().collect(), "a machine for each Droplet, and none without");
}

#[test]
fn a_create_has_one_effect_wherever_in_it_the_server_is_killed() {
    let (mut tally, mut dice) = (Tally::default(), Dice(0x00D0_5EED));
    let (mut dir, mut life) = (tempfile::tempdir().expect("a directory"), 0);
    let span = span_of_create(dir.path());
    let least = rounds(ROUNDS);
    // Of each chosen moment there are so many, and as many more as it takes to have hit the narrow one: done, not answered.
    for number in 0.. {
        let hit: u64 = tally.unanswered.values().sum();
        if number >= least && hit >= least {
            break;
        }
        assert!(number < least + 100, "no kill between commit and answer: {tally:?}");
        for moment in MOMENTS.into_iter().filter(|moment| number < least || *moment == Moment::Committed) {
            for kind in KINDS {
                if life == LIFE {
                    check(dir.path());
                    (dir, life) = (tempfile::tempdir().expect("a directory"), 0);
                }
                let name = format!("{kind:?}-{moment:?}-{number}").to_lowercase();
                round(dir.path(), (kind, &name), (moment, span), &mut dice, &mut tally);
                life += 1;
            }
        }
    }
    check(dir.path());
    let Tally { kills, replies_lost, between, .. } = tally;
    eprintln!(
        "{kills} kills around creates, {replies_lost} of them after a reply that was lost, {between} in between: {tally:?}"
    );
}

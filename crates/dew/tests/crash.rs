//! A server that is killed in the middle of creates and deletes, again and again, keeps every word it gave.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::{Arc, Mutex, mpsc},
};

use serde_json::{Value, json};
use support::{Client, DEADLINE, Server, all, create, eventually, machines};

/// How often the server is killed; DEW_TEST_ROUNDS says otherwise.
const ROUNDS: u64 = 5;
const CREATORS: u64 = 4;
/// In a round the server is killed after this many answers at most.
const ANSWERS: u64 = 60;

/// What clients were told, over all rounds.
#[derive(Debug, Default)]
struct Told {
    /// Creates answered with 202: Droplet to name and action.
    created: BTreeMap<u64, (String, u64)>,
    /// Creates that were sent and never answered, by their names: all of one are there, or none.
    unanswered: Vec<Vec<String>>,
    /// Droplets whose delete was answered with 204.
    deleted: BTreeSet<u64>,
    /// Droplets whose delete was sent and never answered.
    maybe_deleted: BTreeSet<u64>,
}

/// Numbers that look random and are the same in every run (xorshift64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn every_create_that_was_answered_is_carried_out_wherever_the_server_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let told = Arc::new(Mutex::new(Told::default()));
    let mut dice = Dice(0x005E_ED0F_DEAD);

    let rounds = std::env::var("DEW_TEST_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    for round in 0..rounds {
        let server = Server::start(&data_dir);
        let (answered, answers) = mpsc::channel();
        let creators: Vec<_> = (0..CREATORS)
            .map(|creator| {
                let (client, told, answered) = (server.client(), Arc::clone(&told), answered.clone());
                let dice = Dice(0xD1CE + round * CREATORS + creator);
                std::thread::spawn(move || create_until_it_dies(client, &told, &answered, dice, round, creator))
            })
            .collect();
        for _ in 0..=dice.roll(ANSWERS) {
            answers.recv_timeout(DEADLINE).expect("creators go on until the server is gone");
        }
        server.kill();
        creators.into_iter().for_each(|creator| creator.join().expect("creators do not panic"));
    }

    let server = Server::start(&data_dir);
    server.until_ready();
    let told = told.lock().expect("nobody panicked with it");
    assert!(told.created.len() > 20, "the test did something: {}", told.created.len());
    let left = check(server.client(), &told);
    assert!(server.terminate().success(), "SIGTERM is an end in order");
    assert_eq!(machines(&data_dir), left, "a machine for each Droplet, and none without");
    let answered = told.created.len() + told.deleted.len();
    // Past the capture of the test's output, for docs/sure.md.
    let _ =
        writeln!(std::io::stderr(), "kills survived: {rounds}; creates and deletes answered, none lost: {answered}");
}

/// Creates Droplets, one or three at a time, and deletes some, until the server does not answer any more.
fn create_until_it_dies(
    client: Client,
    told: &Mutex<Told>,
    answered: &mpsc::Sender<()>,
    mut dice: Dice,
    round: u64,
    creator: u64,
) {
    let mut mine = Vec::new();
    for number in 0.. {
        let names: Vec<String> = match dice.roll(4) {
            0 => (0..3).map(|nth| format!("r{round}-c{creator}-n{number}-{nth}")).collect(),
            _ => vec![format!("r{round}-c{creator}-n{number}")],
        };
        let mut body = create(&names[0]);
        if names.len() > 1 {
            body.as_object_mut().expect("an object").remove("name");
            body["names"] = json!(names);
        }
        let Ok(answer) = client.send("POST", "/v2/droplets", Some(&body)) else {
            return told.lock().expect("nobody panics with it").unanswered.push(names);
        };
        assert_eq!(answer.status, 202, "{}", answer.body);
        let droplets = match &answer.body["droplets"] {
            Value::Array(droplets) => droplets.clone(),
            _ => vec![answer.body["droplet"].clone()],
        };
        assert_eq!(droplets.len(), names.len());
        for ((droplet, name), action) in
            droplets.iter().zip(names).zip(answer.body["links"]["actions"].as_array().expect("links"))
        {
            let id = number_of(&droplet["id"]);
            let before =
                told.lock().expect("nobody panics with it").created.insert(id, (name, number_of(&action["id"])));
            assert!(before.is_none(), "the number {id} was given twice");
            mine.push(id);
        }
        if dice.roll(3) == 0 && mine.len() > 4 {
            let id = mine.remove(0);
            match client.send("DELETE", &format!("/v2/droplets/{id}"), None).map(|answer| answer.status) {
                Ok(204) => drop(told.lock().expect("nobody panics with it").deleted.insert(id)),
                // Its create still runs.
                Ok(422) => {}
                Ok(status) => panic!("a delete was answered with {status}"),
                Err(_) => drop(told.lock().expect("nobody panics with it").maybe_deleted.insert(id)),
            }
        }
        // The test's own thread stops listening once it has seen enough.
        let _ = answered.send(());
    }
}

/// Holds what the server shows against what clients were told. Answers the Droplets there are.
fn check(client: Client, told: &Told) -> BTreeSet<u64> {
    eventually("end of every action", || {
        all(client, "/v2/actions", "actions").iter().all(|action| action["status"] != "in-progress")
    });
    for action in all(client, "/v2/actions", "actions") {
        assert_eq!(action["status"], "completed", "a killed server alone fails no action: {action}");
    }
    for (id, (name, action)) in &told.created {
        let seen = client.get(&format!("/v2/actions/{action}"));
        assert_eq!(seen.body["action"]["resource_id"], json!(id));
        assert_eq!(seen.body["action"]["status"], "completed");
        let droplet = client.get(&format!("/v2/droplets/{id}"));
        if told.deleted.contains(id) {
            assert_eq!(droplet.status, 404, "{name} was deleted");
        } else if droplet.status != 404 || !told.maybe_deleted.contains(id) {
            assert_eq!(droplet.body["droplet"]["status"], "active", "{name}: {}", droplet.body);
            assert_eq!(
                (&droplet.body["droplet"]["name"], &droplet.body["droplet"]["locked"]),
                (&json!(name), &json!(false))
            );
        }
    }

    let droplets = all(client, "/v2/droplets", "droplets");
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let mut addresses = BTreeSet::new();
    for droplet in &droplets {
        *names.entry(droplet["name"].as_str().expect("a name")).or_default() += 1;
        for network in droplet["networks"]["v4"].as_array().expect("networks") {
            assert!(addresses.insert(network["ip_address"].to_string()), "{network} is given twice");
        }
        let known = told.created.contains_key(&number_of(&droplet["id"]));
        let maybe = told.unanswered.iter().flatten().any(|name| droplet["name"] == json!(name));
        assert!(known || maybe, "nobody asked for {droplet}");
    }
    assert!(names.values().all(|count| *count == 1), "doubled: {names:?}");
    for batch in &told.unanswered {
        let there = batch.iter().filter(|name| names.contains_key(name.as_str())).count();
        assert!(there == 0 || there == batch.len(), "half of a create: {batch:?}");
    }
    droplets.iter().map(|droplet| number_of(&droplet["id"])).collect()
}

fn number_of(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

//! GPUs on their way to machines and back, on recorded hosts with a kernel that only pretends.

use std::path::Path;

use dewpoint_clock::Timestamp;
use dewpoint_gpu::{
    Error, GpuHost, PciAddress, Seen, State,
    recorded::{RecordedHost, Step},
};

const NOW: Timestamp = Timestamp::from_millis(0);

struct Bench {
    host: RecordedHost,
    gpus: GpuHost,
    data: tempfile::TempDir,
}

fn bench(name: &str) -> Bench {
    let (host, data) = (RecordedHost::new(name), tempfile::tempdir().expect("a directory"));
    Bench { gpus: host.gpus(data.path()), host, data }
}

fn at(text: &str) -> PciAddress {
    text.parse().expect("an address")
}

impl Bench {
    fn seen(&self, address: &str) -> Seen {
        let all = self.gpus.look().expect("a look");
        all.into_iter().find(|seen| seen.gpu.address == at(address)).expect("the GPU")
    }

    /// The drivers of everything on the host.
    fn drivers(&self) -> Vec<(PciAddress, Option<String>)> {
        let mut drivers = Vec::new();
        for entry in std::fs::read_dir(self.host.root().join("sys/bus/pci/devices")).expect("devices") {
            let entry = entry.expect("an entry");
            let driver = std::fs::read_link(entry.path().join("driver")).ok();
            let driver = driver.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned());
            drivers.push((at(&entry.file_name().to_string_lossy()), driver));
        }
        drivers.sort();
        drivers
    }

    fn driver(&self, address: &str) -> Option<String> {
        self.drivers().into_iter().find(|(found, _)| *found == at(address)).expect("the function").1
    }

    fn overridden(&self, address: &str) -> String {
        let path = self.host.root().join("sys/bus/pci/devices").join(address).join("driver_override");
        std::fs::read_to_string(path).expect("a file").trim().to_owned()
    }
}

const CARD: &str = "0000:41:00.0";
const SOUND: &str = "0000:41:00.1";

#[test]
fn a_card_goes_to_its_machine_with_all_its_functions_and_comes_back_to_its_drivers() {
    let bench = bench("two_rtx");
    let before = bench.drivers();
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    for function in [CARD, SOUND] {
        assert_eq!(bench.driver(function).as_deref(), Some("vfio-pci"), "{function}");
    }
    let seen = bench.seen(CARD);
    assert_eq!((seen.state, seen.machine), (State::Ready, Some(7)));
    let others = |drivers: &[(PciAddress, Option<String>)]| {
        drivers.iter().filter(|(at, _)| !at.same_device(self::at(CARD))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&bench.drivers()), others(&before), "nothing else was touched");

    assert_eq!(bench.gpus.give_back(7, NOW).expect("given back"), []);
    assert_eq!(bench.drivers(), before);
    assert_eq!((bench.overridden(CARD), bench.overridden(SOUND)), ("(null)".to_owned(), "(null)".to_owned()));
    assert_eq!(bench.seen(CARD).machine, None);
    let done = bench.host.kernel().done();
    let (reset, taken_back) = (
        done.iter().position(|step| *step == (Step::Reset, Some(at(CARD)))).expect("it was reset"),
        done.iter().rposition(|step| *step == (Step::Probe, Some(at(CARD)))).expect("it was offered"),
    );
    assert!(reset < taken_back, "it is reset before its driver has it again: {done:?}");
}

#[test]
fn taking_and_giving_back_may_be_done_twice() {
    let bench = bench("two_rtx");
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    bench.host.kernel().done();
    bench.gpus.take(7, &[at(CARD)]).expect("it has it already");
    assert_eq!(bench.host.kernel().done(), [], "and nothing is done to it");
    bench.gpus.give_back(7, NOW).expect("given back");
    bench.host.kernel().done();
    assert_eq!(bench.gpus.give_back(7, NOW).expect("it has none"), []);
    assert_eq!(bench.gpus.give_back(99, NOW).expect("it never had"), []);
    assert_eq!(bench.host.kernel().done(), []);
}

#[test]
fn whatever_step_fails_everything_is_as_it_was() {
    let functions = [at(CARD), at(SOUND)];
    for step in [Step::LoadVfio, Step::Override, Step::Unbind, Step::Probe] {
        for function in functions {
            let bench = bench("two_rtx");
            let before = bench.drivers();
            let at_which = (step != Step::LoadVfio).then_some(function);
            bench.host.kernel().fail(step, at_which, 1);
            let refused = bench.gpus.take(7, &[at(CARD)]).expect_err("it is not taken").to_string();
            assert!(refused.contains("Input/output error"), "{step:?} of {function}: {refused}");
            assert!(!refused.contains("not undone"), "{refused}");
            assert_eq!(bench.drivers(), before, "{step:?} of {function}");
            assert_eq!(bench.overridden(CARD), "(null)", "{step:?} of {function}");
            assert_eq!(bench.seen(CARD).machine, None, "{step:?} of {function}");
            bench.gpus.take(8, &[at(CARD)]).expect("another machine has it then");
        }
    }
}

#[test]
fn a_driver_that_takes_what_is_not_its_own_to_take_is_a_failure() {
    let bench = bench("two_rtx");
    let before = bench.drivers();
    bench.host.kernel().deafen("vfio-pci");
    let refused = bench.gpus.take(7, &[at(CARD)]).expect_err("it is not taken").to_string();
    assert!(refused.contains("0000:41:00.0 is not taken by vfio-pci: the kernel's log says why"), "{refused}");
    assert_eq!(bench.drivers(), before);
}

#[test]
fn what_cannot_be_undone_is_said() {
    let bench = bench("two_rtx");
    bench.host.kernel().fail(Step::Probe, Some(at(SOUND)), 2);
    let refused = bench.gpus.take(7, &[at(CARD)]).expect_err("it is not taken").to_string();
    assert!(refused.contains("not undone: 0000:41:00.1 was not taken back by snd_hda_intel"), "{refused}");
}

#[test]
fn the_consoles_gpu_is_never_touched_nor_one_in_use_nor_one_of_a_shared_group() {
    let cases = [("two_rtx", "0000:01:00.0", "console"), ("shared_group", "0000:03:00.0", "holds something else")];
    for (name, gpu, why) in cases {
        let bench = bench(name);
        let refused = bench.gpus.take(7, &[at(gpu)]).expect_err("it stays the host's");
        assert!(matches!(&refused, Error::Unusable { gpu: at, .. } if *at == self::at(gpu)), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(bench.host.kernel().done(), [], "{name}");
    }
    let lines = format!("{}process python3 (9) /dev/dri/renderD130\n", dewpoint_gpu::recorded::lines("mi300x"));
    let host = RecordedHost::of(&lines);
    let data = tempfile::tempdir().expect("a directory");
    let refused = host.gpus(data.path()).take(7, &[at("0000:05:00.0"), at("0000:46:00.0")]).expect_err("in use");
    assert!(refused.to_string().contains("python3 (9)"), "{refused}");
    assert_eq!(host.kernel().done(), [], "nor the free one beside it");
}

#[test]
fn a_gpu_is_one_machines_and_no_other_gets_it() {
    let bench = bench("hgx_h100");
    let (first, second) = (at("0000:18:00.0"), at("0000:2a:00.0"));
    bench.gpus.take(7, &[first]).expect("taken");
    let refused = bench.gpus.take(8, &[second, first]).expect_err("it is another's");
    assert!(matches!(refused, Error::Taken { gpu, machine: 7 } if gpu == first), "{refused:?}");
    assert_eq!(bench.seen("0000:2a:00.0").machine, None, "all or nothing");
    let refused = bench.gpus.take(7, &[second]).expect_err("it has another");
    assert!(matches!(refused, Error::HasOthers(7)), "{refused:?}");
    let refused = bench.gpus.take(8, &[at("0000:77:00.0")]).expect_err("there is none");
    assert!(refused.to_string().contains("this host has none of that address"), "{refused}");
}

#[test]
fn whoever_has_all_eight_has_the_switches_too() {
    let bench = bench("hgx_h100");
    let before = bench.drivers();
    let all: Vec<PciAddress> = bench.gpus.look().expect("a look").iter().map(|seen| seen.gpu.address).collect();
    bench.gpus.take(7, &all[..7]).expect("seven");
    assert_eq!(bench.driver("0000:05:00.0").as_deref(), Some("nvidia-nvswitch"));
    bench.gpus.give_back(7, NOW).expect("given back");
    bench.host.kernel().groups();
    bench.gpus.take(7, &all).expect("eight");
    assert_eq!(bench.driver("0000:05:00.0").as_deref(), Some("vfio-pci"));
    assert_eq!(bench.gpus.hand_over(7, Some(1_900_000_007)).expect("handed").len(), 12);
    let given = bench.host.kernel().groups();
    assert_eq!(given.len(), 12);
    assert!(given.iter().all(|(_, user)| *user == 1_900_000_007), "{given:?}");
    bench.gpus.give_back(7, NOW).expect("given back");
    assert_eq!(bench.drivers(), before);
    let given = bench.host.kernel().groups();
    assert!(
        given.len() == 12 && given.iter().all(|(_, user)| *user == 0),
        "nobody else opens them any more: {given:?}"
    );
}

#[test]
fn a_gpu_that_cannot_be_reset_is_parked_over_restarts_until_it_is_put_back() {
    let bench = bench("two_rtx");
    let before = bench.drivers();
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    bench.host.kernel().fail(Step::Reset, None, 3);
    let parked = bench.gpus.give_back(7, NOW).expect("the machine has it no more");
    assert_eq!(parked.len(), 1);
    assert!(parked[0].why.contains("0000:41:00.0 was not reset: Input/output error"), "{}", parked[0].why);
    assert_eq!(bench.driver(CARD).as_deref(), Some("vfio-pci"), "no driver of the host's gets it");

    let again = GpuHost::at(bench.host.root(), bench.data.path(), bench.host.kernel().clone());
    assert!(matches!(&bench.seen(CARD).state, State::Parked(parked) if parked.at == NOW));
    let refused = again.take(8, &[at(CARD)]).expect_err("nobody gets it").to_string();
    assert!(refused.contains("it is parked since 1970-01-01T00:00:00Z"), "{refused}");
    let stays = again.put_back(at(CARD), NOW).expect_err("it still fails");
    assert!(matches!(stays, Error::StaysParked { .. }), "{stays:?}");

    bench.host.kernel().mend();
    again.put_back(at(CARD), NOW).expect("it works again");
    assert_eq!(bench.drivers(), before);
    assert!(matches!(again.put_back(at(CARD), NOW), Err(Error::NotParked(_))));
    again.take(8, &[at(CARD)]).expect("another machine has it");
}

#[test]
fn a_gpu_whose_driver_does_not_take_it_back_is_parked_too() {
    let bench = bench("two_rtx");
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    bench.host.kernel().deafen("nvidia");
    let parked = bench.gpus.give_back(7, NOW).expect("the machine has it no more");
    assert!(parked[0].why.contains("0000:41:00.0 was not taken back by nvidia"), "{}", parked[0].why);
}

#[test]
fn after_the_host_was_started_anew_a_machines_gpus_are_bound_again() {
    let bench = bench("two_rtx");
    let before = bench.drivers();
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    bench.host.kernel().restart();
    assert_eq!(bench.driver(CARD).as_deref(), Some("nvidia"));
    bench.gpus.take(7, &[at(CARD)]).expect("taken again");
    assert_eq!(bench.driver(CARD).as_deref(), Some("vfio-pci"));
    bench.gpus.give_back(7, NOW).expect("given back");
    assert_eq!(bench.drivers(), before, "to the drivers it had at first");
}

#[test]
fn one_that_the_operator_bound_to_vfio_stays_with_it() {
    let lines = dewpoint_gpu::recorded::lines("two_rtx").replace("driver=nvidia group=15", "driver=vfio-pci group=15");
    let host = RecordedHost::of(&lines);
    let data = tempfile::tempdir().expect("a directory");
    let gpus = host.gpus(data.path());
    gpus.take(7, &[at(CARD)]).expect("taken");
    gpus.give_back(7, NOW).expect("given back");
    let done = host.kernel().done();
    assert!(done.contains(&(Step::Reset, Some(at(CARD)))), "{done:?}");
    assert!(!done.contains(&(Step::Unbind, Some(at(CARD)))), "{done:?}");
    assert_eq!(gpus.look().expect("a look")[1].gpu.driver(), Some("vfio-pci"));
}

#[test]
fn a_gpu_that_is_gone_when_it_is_given_back_is_parked() {
    let bench = bench("two_rtx");
    bench.gpus.take(7, &[at(CARD)]).expect("taken");
    let device = |address: &str| bench.host.root().join("sys/bus/pci/devices").join(address);
    for function in [CARD, SOUND] {
        std::fs::remove_file(device(function)).expect("it falls off the bus");
    }
    let refused = bench.gpus.hand_over(7, None).expect_err("it cannot be handed over").to_string();
    assert!(refused.contains("vanished"), "{refused}");
    let parked = bench.gpus.give_back(7, NOW).expect("the machine has it no more");
    assert!(parked[0].why.contains("0000:41:00.0 cannot be reset: it is gone"), "{}", parked[0].why);
}

#[test]
fn a_damaged_ledger_is_said_to_be_and_nothing_is_touched() {
    let bench = bench("two_rtx");
    let file = Path::new("gpus/ledger.json");
    std::fs::create_dir_all(bench.data.path().join("gpus")).expect("a directory");
    std::fs::write(bench.data.path().join(file), "{\"held\": [").expect("written");
    let refused = bench.gpus.take(7, &[at(CARD)]).expect_err("who has what is not known").to_string();
    assert!(refused.contains("ledger.json is damaged"), "{refused}");
    assert_eq!(bench.host.kernel().done(), []);
}

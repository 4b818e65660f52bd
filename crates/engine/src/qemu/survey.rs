//! The files of machines, volumes and images, looked into beside whoever is at work on them.

use std::{fs, io, path::Path};

use uuid::Uuid;

use super::{
    layers::{self, qcow2},
    layout::{MachineDir, names},
    process,
    record::{MachineRecord, RunRecord},
    volumes::surveyed,
};
use crate::{
    Error, ImageName, MachineId, VolumeId,
    survey::{Part, Survey, SurveyedMachine},
};

/// What lies in a data directory, and which machines run. A directory that is not there holds nothing.
pub fn survey(data_dir: &Path) -> Result<Survey, Error> {
    let mut found = Survey::default();
    for name in list(&data_dir.join("machines"))? {
        if let Ok(number) = name.parse() {
            machine(&data_dir.join("machines"), MachineId(number), &mut found);
        }
    }
    for name in list(&data_dir.join("volumes"))? {
        if let Ok(id) = Uuid::parse_str(&name) {
            volume(&data_dir.join("volumes"), VolumeId(id), &mut found);
        }
    }
    let layers = data_dir.join("layers");
    for name in list(&layers)? {
        let image = name.strip_suffix(".json").and_then(ImageName::new).filter(ImageName::is_own);
        let Some(image) = image else { continue };
        match layers::surveyed(&layers, &image) {
            Ok(Ok(())) => drop(found.images.insert(image)),
            Ok(Err(problem)) => {
                found.images.insert(image.clone());
                found.note(Part::Image(image), problem);
            }
            // Removed since the list.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => found.note(Part::Image(image), error),
        }
    }
    Ok(found)
}

/// The names, below the data directory, of what says what each machine is: without them a disk could not be made anew.
pub fn records(data_dir: &Path) -> Result<Vec<String>, Error> {
    let machines = list(&data_dir.join("machines"))?;
    let numbers = machines.into_iter().filter(|name| name.parse::<u64>().is_ok());
    let names = numbers.map(|number| format!("machines/{number}/{}", names::MACHINE));
    Ok(names.filter(|name| data_dir.join(name).exists()).collect())
}

fn list(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |error: io::Error| super::layout::io_error("look into a directory", directory, &error);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    found.sort();
    Ok(found)
}

fn machine(machines: &Path, id: MachineId, found: &mut Survey) {
    let dir = MachineDir::at(machines, id);
    let record: MachineRecord = match dir.read(names::MACHINE) {
        Ok(Some(record)) => record,
        Ok(None) => {
            // Half made, or half removed.
            found.machines.insert(id, SurveyedMachine::default());
            return;
        }
        Err(error) => {
            found.machines.insert(id, SurveyedMachine::default());
            found.note(Part::Machine(id), error);
            return;
        }
    };
    let disk = dir.file(&record.disk);
    if let Err(problem) = chain_is_there(&disk) {
        found.note(Part::Machine(id), problem);
    }
    let running = match dir.read::<RunRecord>(names::RUN) {
        Ok(None) => Ok(false),
        Ok(Some(RunRecord { process: Some(identity), .. })) => {
            process::is_alive(Path::new("/proc"), identity, record.uuid).map_err(|error| error.to_string())
        }
        Ok(Some(_)) => process::search(Path::new("/proc"), record.uuid)
            .map(|process| process.is_some())
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let running = running.unwrap_or_else(|problem| {
        found.note(Part::Machine(id), problem);
        false
    });
    found.machines.insert(id, SurveyedMachine { running, spec: Some(record.spec) });
}

fn volume(volumes: &Path, id: VolumeId, found: &mut Survey) {
    match surveyed(volumes, id) {
        Ok(Some((seen, disk))) => {
            found.volumes.insert(id, seen);
            if let Err(problem) = chain_is_there(&disk) {
                found.note(Part::Volume(id), problem);
            }
        }
        Ok(None) => {}
        Err(problem) => found.note(Part::Volume(id), problem),
    }
}

/// Whether a disk's file and every file beneath it are there.
pub(super) fn chain_is_there(disk: &Path) -> Result<(), String> {
    for file in layers::chain(disk) {
        match file {
            Ok(file) if file.exists() => {}
            Ok(file) => return Err(format!("its disk needs {}, which is not there", file.display())),
            // The bottom may be a raw image.
            Err(error) if error.kind() == io::ErrorKind::InvalidData && qcow2::head(disk).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("its disk cannot be read: {error}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dewpoint_clock::Timestamp;

    use super::{
        super::{images::DiskFormat, layout::record_bytes, record::BaseFiles, test_spec},
        *,
    };

    /// A machine's directory with a record and an empty disk that stands alone.
    fn make(data: &Path, number: u64) -> std::path::PathBuf {
        let dir = data.join("machines").join(number.to_string());
        fs::create_dir_all(&dir).expect("a directory");
        let base = BaseFiles { disk: data.join("base.qcow2"), format: DiskFormat::Qcow2, direct: None };
        let uuid = Uuid::from_u128(number.into());
        let record = MachineRecord { uuid, spec: test_spec(), base, disk: "disk-1.qcow2".to_owned() };
        fs::write(dir.join("machine.json"), record_bytes(&record).expect("JSON")).expect("written");
        let mut head = b"QFI\xfb\0\0\0\x03".to_vec();
        head.resize(4096, 0);
        fs::write(dir.join("disk-1.qcow2"), head).expect("written");
        dir
    }

    #[test]
    fn a_damaged_record_is_named_and_the_other_machines_are_seen() {
        let data = tempfile::tempdir().expect("a directory");
        let (first, second, third) = (make(data.path(), 1), make(data.path(), 2), make(data.path(), 3));
        let whole = fs::read(first.join("machine.json")).expect("a record");
        let place = whole.windows(5).position(|word| word == b"web-1").expect("its host name");
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        for damaged in [flipped, whole[..whole.len() / 2].to_vec(), Vec::new()] {
            fs::write(first.join("machine.json"), damaged).expect("written");
            let found = survey(data.path()).expect("a survey");
            assert_eq!(found.damaged.len(), 1, "{:?}", found.damaged);
            assert_eq!(found.damaged[0].part, Part::Machine(MachineId(1)));
            let problem = &found.damaged[0].problem;
            assert!(problem.contains("machines/1/machine.json") && problem.contains("damaged"), "{problem}");
            assert_eq!(found.machines[&MachineId(2)].spec, Some(test_spec()));
        }
        fs::write(first.join("machine.json"), whole).expect("written");
        fs::remove_file(second.join("disk-1.qcow2")).expect("removed");
        fs::remove_file(third.join("machine.json")).expect("removed");
        let found = survey(data.path()).expect("a survey");
        assert_eq!(found.damaged.len(), 1, "{:?}", found.damaged);
        assert!(found.damaged[0].problem.contains("disk-1.qcow2"), "{:?}", found.damaged);
        assert_eq!(found.machines[&MachineId(3)], SurveyedMachine::default(), "half made");
        assert_eq!(records(data.path()).expect("a list"), ["machines/1/machine.json", "machines/2/machine.json"]);
    }

    #[test]
    fn whether_a_process_is_there_is_asked_of_the_host() {
        let data = tempfile::tempdir().expect("a directory");
        let dir = make(data.path(), 1);
        let run = RunRecord {
            process: None,
            forwards: Vec::new(),
            real: false,
            started_at: Timestamp::from_millis(0),
            accelerator: super::super::accel::Accelerator::Tcg,
        };
        fs::write(dir.join("run.json"), record_bytes(&run).expect("JSON")).expect("written");
        assert!(!survey(data.path()).expect("a survey").machines[&MachineId(1)].running, "no process has its uuid");
        assert!(survey(&data.path().join("nowhere")).expect("a survey").machines.is_empty());
    }
}

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

//! Debian's packages as material: found by apt, fetched, unpacked; nothing is installed and no root is needed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::geteuid;

use super::{ImageError, run};

/// Fetches packages into `directory`, refreshing apt's lists first where they are missing and we may.
///
/// Returns name and version of each.
pub(super) fn download(packages: &[String], directory: &Path) -> Result<Vec<String>, ImageError> {
    fs::create_dir_all(directory).map_err(ImageError::file(directory))?;
    let fetch = || {
        let mut command = Command::new("apt-get");
        // As root apt would become a user that cannot write here.
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(packages).current_dir(directory);
        run(&mut command)
    };
    if fetch().is_err() {
        refresh_lists()?;
        fetch()?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(ImageError::file(directory))? {
        let name = entry.map_err(ImageError::file(directory))?.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('_');
        if let (Some(package), Some(version)) = (parts.next(), parts.next()) {
            names.push(format!("{package} {}", version.replace("%3a", ":")));
        }
    }
    names.sort();
    Ok(names)
}

/// Unpacks every package file of `from` into `to`.
pub(super) fn unpack(from: &Path, to: &Path) -> Result<(), ImageError> {
    for entry in fs::read_dir(from).map_err(ImageError::file(from))? {
        let package = entry.map_err(ImageError::file(from))?.path();
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(to))?;
    }
    Ok(())
}

/// What `package` needs, itself included, without what it merely recommends.
pub(super) fn closure(packages: &[&str]) -> Result<Vec<String>, ImageError> {
    let text = depends(&["--recurse"], packages)?;
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()) && !line.contains(':'))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The libraries that `package` needs, with what they need.
pub(super) fn libraries_behind(package: &str) -> Result<Vec<String>, ImageError> {
    let text = depends(&[], &[package])?;
    let libraries: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("lib"))
        .collect();
    closure(&libraries)
}

fn depends(options: &[&str], packages: &[&str]) -> Result<String, ImageError> {
    let leave_out =
        ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(|s| format!("--no-{s}"));
    let ask = || run(Command::new("apt-cache").arg("depends").args(options).args(&leave_out).args(packages));
    let text = match ask() {
        Ok(text) => text,
        Err(_) => {
            refresh_lists()?;
            ask()?
        }
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The newest kernel behind a package that only names it.
pub(super) fn kernel_behind(meta_package: &str) -> Result<String, ImageError> {
    closure(&[meta_package])?
        .into_iter()
        .find(|name| name.starts_with("linux-image-") && name != meta_package)
        .ok_or_else(|| ImageError::Invalid(format!("{meta_package} names no kernel here; Debian 12 or newer does")))
}

fn refresh_lists() -> Result<(), ImageError> {
    if !geteuid().is_root() {
        let problem = "a package was not found; run apt-get update as root first".to_owned();
        return Err(ImageError::Program { program: "apt-get".to_owned(), problem });
    }
    run(Command::new("apt-get").args(["-qq", "update"])).map(drop)
}

/// Every program, library, driver and kernel of an unpacked tree by its name; of two of one name, either.
///
/// Documents and settings are left out: many are named like the program they are about.
pub(super) fn index(directory: &Path) -> Result<BTreeMap<String, PathBuf>, ImageError> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&directory).map_err(ImageError::file(&directory))? {
            paths.push(entry.map_err(ImageError::file(&directory))?.path());
        }
        paths.sort();
        for path in paths {
            if path.is_dir() && !path.is_symlink() {
                if !path.ends_with("usr/share") && !path.ends_with("etc") {
                    open.push(path);
                }
            } else if let Some(name) = path.file_name() {
                found.entry(name.to_string_lossy().into_owned()).or_insert(path);
            }
        }
    }
    Ok(found)
}

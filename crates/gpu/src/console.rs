//! Whether a GPU shows the host's console: then it is the host's, whatever else is true of it.

use std::{fs, path::Path};

use crate::{
    obstacle::Obstacle,
    pci::{self, Function},
};

/// What the console is seen by, if this GPU has it.
pub(crate) fn obstacle(root: &Path, function: &Function) -> Option<Obstacle> {
    let by = if function.boot_vga {
        "the firmware chose it for its picture (boot_vga)".to_owned()
    } else {
        let at = pci::directory(root, function.address);
        let frame_buffer = names(&at.join("graphics")).into_iter().find(|name| name.starts_with("fb"));
        match frame_buffer {
            Some(name) => format!("the kernel's frame buffer {name} is on it"),
            None => format!("its connector {} shows a picture", lit_connector(&at)?),
        }
    };
    Some(Obstacle::new(
        format!("it drives this host's console: {by}"),
        "make another display the first in the firmware's settings (a server's management controller has one), then boot again",
    ))
}

/// A connector with a screen at it that is switched on.
fn lit_connector(at: &Path) -> Option<String> {
    let drm = at.join("drm");
    for card in names(&drm).into_iter().filter(|name| name.starts_with("card")) {
        let card = drm.join(card);
        for connector in names(&card) {
            let says = |file: &str| pci::text(&card.join(&connector), file);
            if says("status").as_deref() == Some("connected") && says("enabled").as_deref() == Some("enabled") {
                return Some(connector);
            }
        }
    }
    None
}

/// The names in a directory, in order; none when it is not there.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

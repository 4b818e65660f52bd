//! Writes a recorded host to a directory, to be looked at by hand:
//!
//! ```sh
//! cargo run -p dewpoint-gpu --features recorded --example recorded_host -- hgx_h100 DIR
//! dew doctor --sysfs DIR
//! ```

use std::{env, error::Error, path::Path};

use dewpoint_gpu::recorded::{HOSTS, write};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let names = HOSTS.map(|(name, _)| name).join(", ");
    let [name, directory] = words.as_slice() else {
        return Err(format!("give a host ({names}) and a directory").into());
    };
    let Some((_, lines)) = HOSTS.iter().find(|(known, _)| known == name) else {
        return Err(format!("no host {name} is recorded; there are {names}").into());
    };
    Ok(write(Path::new(directory), lines)?)
}

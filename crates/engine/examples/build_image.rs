//! Builds a base image: `cargo run -p dewpoint-engine --example build_image -- micro-x64 DIR`.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = std::path::Path::new(&arguments[2]);
    let mut progress = |step: &str| eprintln!("{step}");
    let built = match arguments[1].as_str() {
        "debian-12-x64" => dewpoint_engine::qemu::images::build_debian(directory, &mut progress),
        _ => dewpoint_engine::qemu::images::build_micro(directory, &mut progress),
    };
    match built {
        Ok(manifest) => eprintln!("{manifest:#?}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

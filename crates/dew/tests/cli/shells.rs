//! Completion in the shells themselves: bash and zsh at a terminal, with keys pressed; fish by its own `complete -C`.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use nix::pty::{OpenptyResult, openpty};

use super::{Scene, binary, dew, printed, ran, scene, support::eventually};

/// What is typed, and the last words of the line after all that fits was put in its place.
const ALL: [(&str, &[&str]); 7] = [
    ("dew compute volume-", &["volume-action"]),
    ("dew droplet list --no", &["--no-header"]),
    ("dew completion ", &["bash", "zsh", "fish"]),
    ("dew compute droplet create x --region nyc", &["nyc1", "nyc2", "nyc3"]),
    ("dew droplet create x --image ubuntu-24", &["ubuntu-24-04-x64"]),
    ("dew tag get shells:", &["shells:one", "shells:two"]),
    ("dew droplet create x --size=gpu-h100x1", &["--size=gpu-h100x1-80gb"]),
];

/// The same where one thing fits, which is put in its place as the shell quotes it.
const ONE: [(&str, &str); 8] = [
    ("dew droplet create x --wait=r", "--wait=ready"),
    ("dew droplet-action reboot shell", "shells-1"),
    ("dew tag get shells:t", "shells:two"),
    ("dew ssh-key get shells\\ l", "shells laptop"),
    ("dew ssh-key get \"shells l", "shells laptop"),
    ("dew ssh-key get 'shells l", "shells laptop"),
    ("dew droplet create x --ssh-keys other,shells", "other,shells laptop"),
    ("dew api POST /v2/tags --body bod", "body.json"),
];

/// A shared simulator with what the lists above name.
fn furnished() -> Arc<Scene> {
    static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let scene = scene();
    let mut made = MADE.lock().expect("no test panics with it");
    if !made.iter().any(|home| home == scene.home()) {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
        let size = ["--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3"];
        scene.prints(&[&["droplet", "create", "shells-1"], &size[..]].concat());
        scene.prints(&["ssh-key", "create", "shells laptop", "--public-key", key]);
        scene.prints(&["tag", "create", "shells:one"]);
        scene.prints(&["tag", "create", "shells:two"]);
        made.push(scene.home().to_owned());
    }
    scene
}

/// Where a shell is; a test without its shell has failed.
fn shell(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/bin", "/usr/local/bin"].map(|place| Path::new(place).join(name));
    let found = places.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no {name} here. `scripts/install.sh test` installs it"))
}

/// `program` with this scene's server, `dew` in its PATH, in `dir`.
fn command(scene: &Scene, program: &Path, dir: &Path) -> Command {
    let path = format!("{}:/usr/bin:/bin", binary().parent().expect("a directory").display());
    let with_server = dew(&scene.server.url(), dir);
    let mut command = Command::new(program);
    command.env_clear().env("HOME", dir).env("PATH", path).env("TERM", "dumb").current_dir(dir);
    command.envs(with_server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// A shell at a terminal.
struct Terminal {
    keys: File,
    shell: Child,
    dir: tempfile::TempDir,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts it and has it run `setup`, a line each.
    fn start(scene: &Scene, arguments: &[&str], setup: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("body.json"), "{}").expect("written");
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("one more"));
        // With a session of its own, whose terminal this is.
        let mut command = command(scene, &shell("setsid"), dir.path());
        command.args(["--ctty", "--wait"]).arg(shell(arguments[0])).args(&arguments[1..]);
        command.env("INPUTRC", "/dev/null").stdin(end()).stdout(end()).stderr(end());
        let shell = command.spawn().expect("it runs");
        let (keys, seen) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut screen, kept) = (keys.try_clone().expect("one more"), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The terminal of a shell that is gone cannot be read.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                kept.lock().expect("nobody panics with it").extend_from_slice(&buffer[..read]);
            }
        });
        let mut terminal = Self { keys, shell, dir, seen };
        for line in setup {
            terminal.types(&format!("{line}\r"));
        }
        // Written under another name, so that it is whole when it is there.
        terminal.types("said() { printf '%s\\n' \"$@\" > saying; mv saying said; }\r");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
    }

    /// The words of a line after `key` was pressed at its end.
    fn completes(&mut self, line: &str, key: &str) -> Vec<String> {
        let said = self.dir.path().join("said");
        // Ctrl-A goes to the beginning of the line: the words are handed to a function instead of to `dew`.
        self.types(&format!("{line}{key}\u{1}said \r"));
        eventually(line, || said.exists());
        let words = fs::read_to_string(&said).expect("it is there");
        fs::remove_file(&said).expect("it is there");
        words.lines().map(ToOwned::to_owned).collect()
    }

    /// Everything in [`ALL`] and [`ONE`], with the keys that insert all that fits, and the one thing.
    fn completes_everything(&mut self, all: &str, one: &str) {
        for (line, expected) in ALL {
            let words = self.completes(line, all);
            let count = line.split(' ').count() - 1;
            let found: Vec<&str> = words[count..].iter().map(String::as_str).collect();
            // Of a word that bash divides, only the first carries what stands before the division.
            let whole = |word: &str| expected.iter().any(|one| *one == word || one.ends_with(&format!(":{word}")));
            assert!(found.len() == expected.len() && found.iter().all(|word| whole(word)), "{line}: {words:?}");
        }
        for (line, expected) in ONE {
            let words = self.completes(line, one);
            assert_eq!(words.last().map(String::as_str), Some(expected), "{line}: {words:?}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.types("exit\r");
        // Its session ends with its terminal, if it does not take the word for it.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        if std::thread::panicking() {
            let seen = self.seen.lock().expect("nobody panics with it");
            eprintln!("the terminal:\n{}", String::from_utf8_lossy(&seen));
        }
    }
}

#[test]
fn bash_completes_at_a_terminal() {
    let scene = furnished();
    let setup = ["source <(dew completion bash)"];
    let mut bash = Terminal::start(&scene, &["bash", "--norc", "--noprofile", "-i"], &setup);
    bash.completes_everything("\u{1b}*", "\t");
}

/// Inserts all matches, which zsh has no key for.
const ZSH_ALL: &str = "zle -C all complete-word _generic; bindkey '^Xa' all; zstyle ':completion:all:*' insert yes; \
                       zstyle ':completion:all::::' completer _all_matches _complete";

#[test]
fn zsh_completes_at_a_terminal() {
    let scene = furnished();
    let setup = ["source <(dew completion zsh)", ZSH_ALL];
    let mut zsh = Terminal::start(&scene, &["zsh", "-f", "-i"], &setup);
    zsh.completes_everything("\u{18}a", "\t");
}

#[test]
fn zsh_takes_its_script_from_its_path_of_functions_too() {
    let scene = furnished();
    let setup = ["dew completion zsh > _dew; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D"];
    let mut zsh = Terminal::start(&scene, &["zsh", "-f", "-i"], &setup);
    assert_eq!(zsh.completes("dew droplet get shells", "\t"), ["dew", "droplet", "get", "shells-1"]);
    assert_eq!(zsh.completes("dew tag get shells:o", "\t"), ["dew", "tag", "get", "shells:one"]);
}

#[test]
fn fish_completes() {
    let (scene, dir) = (furnished(), tempfile::tempdir().expect("a directory"));
    fs::write(dir.path().join("body.json"), "{}").expect("written");
    let completes = |line: &str| -> Vec<String> {
        let script = "dew completion fish | source; complete -C \"$argv\"";
        let output = ran(command(&scene, &shell("fish"), dir.path()).args(["--no-config", "-c", script, "--", line]));
        assert!(output.stderr.is_empty(), "{line}: {}", super::said(&output));
        let lines = printed(&[line], &output);
        lines.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    };
    for (line, expected) in ALL {
        let (mut found, mut expected) = (completes(line), expected.to_vec());
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{line}");
    }
    for (line, expected) in ONE {
        assert_eq!(completes(line), [expected], "{line}");
    }
}

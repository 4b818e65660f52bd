//! A `dew-llama` without a model, for tests: it takes the same arguments and answers on the same socket. What it does amiss
//! follows from the name of its model.
//!
//! | name | what it does |
//! | --- | --- |
//! | `slow…` | loads until there is a file `go` beside the program |
//! | `crash…` | ends by SIGABRT in the middle of its first answer |
//! | `bad…` | says that it cannot load the model |
//! | `garbage…` | speaks no HTTP |
//! | `lasting…` | speaks until SIGTERM, then comes to its end, if its input is still open |
//! | `mute…` | takes connections, and says nothing |
//! | any other | answers with the name of its model, and its process |

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};

struct Fake {
    name: String,
    go: PathBuf,
    told_to_end: Arc<(Mutex<bool>, Condvar)>,
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let after = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag);
        place
            .and_then(|place| arguments.get(place + 1))
            .cloned()
            .unwrap_or_else(|| fail(2, &format!("{flag} is missing")))
    };
    let (name, socket, model) = (after("--name"), after("--socket"), after("--model"));
    if env::vars().any(|(name, _)| name.starts_with("DEW_")) {
        fail(2, "there is a setting of the server's in the environment");
    }
    if name.starts_with("bad") {
        fail(3, "unknown model architecture: 'nemo'");
    }
    let magic = fs::File::open(&model).and_then(|mut file| {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map(|()| magic)
    });
    if magic.ok() != Some(*b"GGUF") {
        fail(3, "the file is no GGUF file");
    }
    let told_to_end = Arc::new((Mutex::new(false), Condvar::new()));
    if name.starts_with("lasting") {
        await_sigterm(Arc::clone(&told_to_end));
    } else {
        // The lifeline: when it closes, the server is gone.
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            process::exit(0);
        });
    }
    let Ok(listener) = UnixListener::bind(socket) else { fail(1, "the socket cannot be made") };
    eprintln!("fake: {name} listens");
    let beside = Path::new(&arguments[0]).parent().unwrap_or(Path::new("/")).to_owned();
    let fake: &'static Fake = Box::leak(Box::new(Fake { name, told_to_end, go: beside.join("go") }));
    for stream in listener.incoming().flatten() {
        thread::spawn(move || fake.answer(stream));
    }
}

/// Takes SIGTERM as a wish. Within `main`, before there are other threads.
fn await_sigterm(told: Arc<(Mutex<bool>, Condvar)>) {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_err() {
        fail(1, "signals cannot be waited for");
    }
    thread::spawn(move || {
        let _ = signals.wait();
        let stdin = io::stdin();
        let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut input, PollTimeout::ZERO) != Ok(0) {
            // Nobody is there any more who would hear it.
            process::exit(1);
        }
        if let Ok(mut is_told) = told.0.lock() {
            *is_told = true;
        }
        told.1.notify_all();
    });
}

fn fail(status: i32, why: &str) -> ! {
    eprintln!("{why}");
    process::exit(status);
}

impl Fake {
    /// Answers what comes on a connection, until it closes.
    fn answer(&self, stream: UnixStream) {
        let Ok(mut out) = stream.try_clone() else { return };
        if self.name.starts_with("garbage") {
            let _ = out.write_all(b"SSH-2.0-hello\r\n");
            return;
        }
        let mut stream = BufReader::new(stream);
        if self.name.starts_with("mute") {
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        while let Some((path, body)) = read(&mut stream) {
            let done = match path.as_str() {
                "/health" if self.name.starts_with("slow") && !self.go.exists() => {
                    whole(&mut out, "503 Service Unavailable", r#"{"status":"loading"}"#)
                }
                "/health" => whole(&mut out, "200 OK", r#"{"status":"ok","context":512,"embeds":false,"threads":1}"#),
                "/v1/chat/completions" if body.contains("\"stream\":true") => self.stream(&mut out),
                "/v1/chat/completions" => {
                    let text = format!("{} of {}", self.name, process::id());
                    let message = format!(r#"{{"role":"assistant","content":"{text}"}}"#);
                    let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":"stop"}}"#);
                    let head = r#""id":"c","object":"chat.completion","created":1"#;
                    whole(&mut out, "200 OK", &format!(r#"{{{head},"model":"{}","choices":[{choice}]}}"#, self.name))
                }
                _ => whole(&mut out, "404 Not Found", "{}"),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn stream(&self, out: &mut impl io::Write) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let event = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{}\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"role\":\"assistant\",\"content\":\"hi\"}},\"finish_reason\":null}}]}}\n\n",
            self.name
        );
        write!(out, "{head}{:x}\r\n{event}\r\n", event.len())?;
        out.flush()?;
        if self.name.starts_with("crash") {
            process::abort();
        }
        let is_lasting = self.name.starts_with("lasting");
        if is_lasting {
            let _ = fs::write(self.go.with_file_name("speaks"), "");
            let (told, changed) = &*self.told_to_end;
            let told = told.lock().map_err(|_| io::Error::other("poisoned"))?;
            let _told = changed.wait_while(told, |told| !*told).map_err(|_| io::Error::other("poisoned"))?;
        }
        let end = "data: [DONE]\n\n";
        write!(out, "{:x}\r\n{end}\r\n0\r\n\r\n", end.len())?;
        out.flush()?;
        if is_lasting {
            process::exit(0);
        }
        Ok(())
    }
}

/// The next request: its path and its body.
fn read(stream: &mut BufReader<UnixStream>) -> Option<(String, String)> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.to_ascii_lowercase().strip_prefix("content-length:") {
            Some(value) => length = value.trim().parse().ok()?,
            None if path.is_none() => path = line.split(' ').nth(1).map(str::to_owned),
            None => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((path?, String::from_utf8_lossy(&body).into_owned()))
}

fn whole(out: &mut impl io::Write, status: &str, body: &str) -> io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

//! `dew-llama`: starts, listens, loads, and ends with its server.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use dewpoint_llama::{
    args::Args,
    embed,
    engine::{Engine, Order},
    http::{self, Ready, Shared, Worker},
    load::{self, Loaded},
};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
};

/// The model cannot be loaded; the last line on standard error says why.
const CANNOT_LOAD: u8 = 3;
/// How long answers may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Read by the server, and shown by it.
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .without_time()
        .init();
    let args = Args::parse();
    match serve(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dew-llama: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(args: &Args) -> anyhow::Result<ExitCode> {
    let listener = listen(args).with_context(|| format!("cannot listen on {}", args.socket.display()))?;
    let mut terminated = signal(SignalKind::terminate())?;
    let shared = Arc::new(Shared::default());
    let (failed, mut failure) = tokio::sync::oneshot::channel();
    let (state, owned) = (Arc::clone(&shared), args.clone());
    // Loading and computing take a thread of their own; the model stays in memory until the process ends.
    thread::Builder::new().name("model".to_owned()).spawn(move || {
        if let Err(error) = work(&owned, &state) {
            let _ = failed.send(error);
        }
    })?;
    let (closed, mut parent_gone) = tokio::sync::oneshot::channel();
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        wait_for_end_of_input();
        let _ = closed.send(());
    })?;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, http::router(Arc::clone(&shared)))
        .with_graceful_shutdown(async move { stopped.changed().await.unwrap_or_default() });
    let server = tokio::spawn(server.into_future());
    let code = tokio::select! {
        failure = &mut failure => match failure {
            Ok(error) => {
                eprintln!("dew-llama: {error:#}");
                ExitCode::from(CANNOT_LOAD)
            }
            // It ends with a panic only, which was told.
            Err(_) => ExitCode::FAILURE,
        },
        _ = &mut parent_gone => ExitCode::SUCCESS,
        _ = terminated.recv() => {
            shared.stopping.store(true, Relaxed);
            let _ = stop.send(true);
            drain(&shared, server).await;
            ExitCode::SUCCESS
        }
    };
    let _ = fs::remove_file(&args.socket);
    Ok(code)
}

/// Lets answers come to their ends for a while, then ends them with an error of their own.
async fn drain<T>(shared: &Shared, mut server: tokio::task::JoinHandle<T>) {
    if tokio::time::timeout(DRAIN, &mut server).await.is_ok() {
        return;
    }
    if let Some(Ready { worker: Worker::Chat(orders), .. }) = shared.ready.get() {
        let _ = orders.send(Order::Stop);
    }
    let _ = tokio::time::timeout(DRAIN, server).await;
}

fn listen(args: &Args) -> std::io::Result<UnixListener> {
    if args.socket.exists() {
        fs::remove_file(&args.socket)?;
    }
    // Not open to others for a moment either.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(&args.socket);
    nix::sys::stat::umask(before);
    fs::set_permissions(&args.socket, fs::Permissions::from_mode(0o600))?;
    listener
}

fn wait_for_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 1024];
    while matches!(input.read(&mut buffer), Ok(1..)) {}
}

/// Loads the model and computes with it until the process ends.
fn work(args: &Args, shared: &Shared) -> anyhow::Result<()> {
    if let Some(mib) = args.memory_mib {
        limit_memory(mib)?;
    }
    let loaded: &'static Loaded = Box::leak(Box::new(load::load(args)?));
    let ready = |worker| {
        let _ = shared.ready.set(Ready { loaded, worker });
    };
    if loaded.pooling.is_some() {
        let (orders, texts) = mpsc::channel();
        return embed::run(loaded, &texts, &shared.stats, || ready(Worker::Embed(orders)));
    }
    let (orders, taken) = mpsc::channel();
    let engine = Engine::new(loaded, &shared.stats)?;
    ready(Worker::Chat(orders));
    engine.run(&taken);
    Ok(())
}

/// What native code takes beyond what was reckoned with is refused by the kernel rather than taken from others.
fn limit_memory(mib: u64) -> anyhow::Result<()> {
    /// For the program itself, its threads' stacks and their unused address space, in MiB.
    const BESIDE: u64 = 1024;
    let bytes = mib.saturating_add(BESIDE).saturating_mul(1024 * 1024);
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, bytes, bytes)
        .context("memory cannot be limited")
}

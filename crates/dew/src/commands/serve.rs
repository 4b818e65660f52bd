//! `dew serve`: puts store, engine, control plane and server together, and takes them apart in order.

use std::{
    future::Future,
    io::{ErrorKind, IsTerminal as _},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use dewpoint_clock::SimClock;
use dewpoint_control::{Control, Parts, Random, actions::Worker};
use dewpoint_engine::{
    Engine,
    qemu::{QemuConfig, QemuEngine, images},
    sim::SimEngine,
};
use dewpoint_server::{App, ConnectionLimits, Files, Probes, PublicUrl, Sample, ServerConfig, Simulator};
use dewpoint_store::{Closing, Dialect, Store};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{data_dir::DataDir, image::build_command, network, tls::Https};
use crate::{
    args::{EngineName, Fixtures, ServeArgs},
    config::{Settings, settings},
    output::tell,
};

/// How long steps under way may take to end after SIGTERM; what is not done by then is resumed at the next start.
const DRAIN: Duration = Duration::from_secs(20);
/// How long store and simulator may each take to bring everything into their one file, which a copy of that file then holds.
const CLOSING: Duration = Duration::from_secs(10);

/// Runs the server until SIGTERM or SIGINT.
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    start_logging()?;
    let files = raise_file_limit();
    let mut settings = settings(args)?;
    leave_files_for_others(&mut settings.server.connections, files);
    let data_dir = DataDir::open(&settings.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let closing = runtime.block_on(serve(settings, &data_dir))?;
    // Tasks that are left hold the store; it is closed once they are gone.
    runtime.shutdown_timeout(CLOSING);
    if !closing.iter().all(|file| file.wait(CLOSING)) {
        tracing::warn!("The store is still being closed; the next start finishes that");
    }
    tracing::info!("Stopped");
    Ok(())
}

/// Lets the server have as many files open as the host allows: each machine and each client takes a few. How many that is.
fn raise_file_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| match soft < hard {
        true => setrlimit(Resource::RLIMIT_NOFILE, hard, hard),
        false => Ok(()),
    });
    if let Err(error) = raised {
        tracing::warn!(error = %error, "The limit of open files stays as it is");
    }
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Keeps half of the files that may be open for the store and the machines, so that clients alone cannot use them up.
fn leave_files_for_others(connections: &mut ConnectionLimits, files: u64) {
    let room = usize::try_from(files / 2).unwrap_or(usize::MAX).max(1);
    if connections.most > room {
        tracing::info!("At most {room} connections at once: this process may have {files} files open");
        connections.most = room;
    }
}

fn start_logging() -> Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = std::env::var("DEW_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("DEW_LOG={filter:?} is no log filter"))?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Standard error may be closed, also to what would say that it is.
    let to_stderr = tracing_subscriber::fmt().with_writer(std::io::stderr).log_internal_errors(false);
    to_stderr.with_env_filter(filter).with_ansi(colours).with_target(false).init();
    Ok(())
}

async fn serve(settings: Settings, data_dir: &DataDir) -> Result<Vec<Closing>> {
    // From here on a signal ends the server in order, also while it is still starting.
    let (stop, stopped) = watch::channel(false);
    let signals = end_signals()?;
    tokio::spawn(async move {
        signals.await;
        stop.send_replace(true);
    });

    let https = Https::open(&settings, data_dir)?;

    // The system's time, unless somebody steers the simulator's.
    let clock = Arc::new(SimClock::real());
    // What is damaged is found before anything is opened, so that a start that is refused changes nothing.
    if settings.engine == EngineName::Sim {
        SimEngine::verify(&data_dir.join(SIMULATOR))?;
    }
    let there = settings.database_url.is_some() || data_dir.join(STORE).exists();
    let store = if there { Some(open_store(&settings, data_dir)?) } else { None };
    let opened = open_engine(&settings, data_dir, &clock).await?;
    let engine = opened.engine();
    let store = match store {
        Some(store) => store,
        None => {
            refuse_machines_of_another_store(data_dir, engine.as_ref()).await?;
            open_store(&settings, data_dir)?
        }
    };
    let mut closing = vec![store.closing()];
    if let Opened::Sim(sim) = &opened {
        closing.push(sim.closing());
    }
    if let Opened::Qemu(qemu) = &opened {
        network::check_addresses(&store, qemu.real_pool()).await?;
    }
    let Settings { listen, fixtures, stock, server, control: config, catalogue, dns, .. } = settings;
    let parts =
        Parts { store: store.clone(), engine, clock: clock.clone(), random: Random::default(), catalogue, config };
    let control = Control::new(parts).await.context("cannot start the control plane")?;
    bootstrap(&control, data_dir).await?;
    if let Some(Fixtures::Docs) = fixtures {
        control.load_documented_fixtures().await.context("cannot load the documented fixtures")?;
    }
    if let Some(path) = stock {
        declare(&control, &path).await.with_context(|| format!("--stock {}", path.display()))?;
    }

    if https.is_none() {
        warn_of_plain_tokens(listen, &server);
    }
    let listener = TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
    let name_server = match dns.listen {
        Some(address) => Some(dewpoint_dns::listen(address).await?),
        None => None,
    };
    let simulator = match opened {
        Opened::Sim(sim) => {
            let files = match settings.database_url {
                None => {
                    let (of_store, of_sim) = (data_dir.join(STORE), data_dir.join(SIMULATOR));
                    Some(Files::open((&of_store, store.clone()), (&of_sim, sim.clone()))?)
                }
                Some(_) => None,
            };
            let simulator = Simulator::new(control.clone(), clock, sim, files);
            if settings.database_url.is_none() {
                simulator.keep_start().await.context("cannot keep the state at the start")?;
            }
            Some(simulator)
        }
        Opened::Qemu(_) => None,
    };
    let background = Background::start(&control, simulator.as_ref(), &stopped);
    let probes = background.probes(store);
    let app = match simulator {
        Some(simulator) => App::simulated(control.clone(), server, probes, simulator),
        None => App::new(control.clone(), server, probes),
    };
    if let Err(error) = app.recall(&data_dir.join(TOLD)).await {
        let error = anyhow::Error::from(error);
        tracing::warn!("Which answers are given is not kept, so after a crash nobody knows (docs/once.md): {error:#}");
    }
    let models = tokio::spawn(app.clone().keep_models(stopped.clone()));
    let found = tokio::spawn(app.clone().keep_found(stopped.clone()));
    let ended = app.clone();
    let until_stopped = || {
        let mut told = stopped.clone();
        async move {
            // The sender lives until a signal came; if it is gone, that is an end too.
            let _ = told.wait_for(|stop| *stop).await;
        }
    };
    let names = name_server.map(|sockets| {
        let address = sockets.address();
        tracing::info!(%address, "Telling names on {address}, over UDP and TCP");
        let names = dewpoint_dns::Names::new(control.clone());
        tokio::spawn(sockets.serve(names, dns.limits, until_stopped()))
    });
    let metadata = tokio::spawn(tell_metadata(control.clone(), stopped.clone()));
    let tls = https.map(|https| https.keep(stopped.clone()));
    dewpoint_server::serve(listener, tls, dewpoint_server::app(app), until_stopped()).await.context("cannot serve")?;
    ended.end_models().await;
    // They end by the same signal; what they came to does not matter any more.
    let _ = metadata.await;
    let _ = models.await;
    let _ = found.await;
    if let Some(names) = names {
        let _ = names.await;
    }
    background.drain().await;
    if let Err(error) = control.write_journal().await {
        tracing::error!(error = %anyhow::Error::from(error), "The end of the audit log could not be written");
    }
    if let Err(error) = control.write_usage().await {
        tracing::error!(error = %anyhow::Error::from(error), "What keys used of models last could not be written");
    }
    Ok(closing)
}

/// Declares the simulator's hosts as a file has them.
async fn declare(control: &Control, path: &Path) -> Result<()> {
    if control.engine().name() != "sim" {
        bail!("it declares the simulator's hosts and GPUs, and the engine is {}", control.engine().name());
    }
    let text = std::fs::read_to_string(path).context("cannot read it")?;
    let told = control.stock_declare_text(&text).await?;
    tracing::info!("{} hosts are declared, as {} has them", told.hosts.len(), path.display());
    Ok(())
}

/// Says so when tokens may travel where others listen: this host's loopback is its own, and a proxy may speak TLS for us.
fn warn_of_plain_tokens(listen: SocketAddr, server: &ServerConfig) {
    let behind_a_proxy = server.public_url.as_ref().is_some_and(PublicUrl::is_secure);
    if !listen.ip().to_canonical().is_loopback() && !behind_a_proxy {
        tracing::warn!(
            "Tokens and data travel unencrypted to {listen}: --tls serves HTTPS. Behind a proxy that does, give --public-url https://…"
        );
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "; --listen names another address, port 0 takes a free port",
        _ => "",
    };
    anyhow::anyhow!("cannot listen on {address}: {error}{hint}")
}

fn end_signals() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("{name}: finishing what is under way");
    })
}

/// The store's file in the data directory.
pub(super) const STORE: &str = "dewpoint.db";
/// The file in the data directory of which answers were given.
const TOLD: &str = "told";
/// The simulator's file in the data directory.
pub(super) const SIMULATOR: &str = "sim.db";

/// Refuses to make a new store beside machines: they were made from another one, and the new one would give their numbers to
/// others and remove them as nobody's. Before the store is opened, so that nothing is in the way of the one that is missing.
async fn refuse_machines_of_another_store(data_dir: &DataDir, engine: &dyn Engine) -> Result<()> {
    let machines = engine.machines().await?;
    if let Some(first) = machines.first() {
        let (store, count) = (data_dir.join(STORE), machines.len());
        bail!(
            "{} is missing, and there are machines made from it ({count}, the first is {first}). Bring it back, or name \
             another --data-dir",
            store.display()
        );
    }
    Ok(())
}

fn open_store(settings: &Settings, data_dir: &DataDir) -> Result<Store> {
    match &settings.database_url {
        None => Ok(dewpoint_store::sqlite::open(&data_dir.join(STORE))?),
        Some(url) => open_server_store(url),
    }
}

#[cfg(feature = "postgres")]
fn open_server_store(url: &str) -> Result<Store> {
    dewpoint_store::postgres::open(url).context("cannot open the store that --database-url names")
}

#[cfg(not(feature = "postgres"))]
fn open_server_store(_: &str) -> Result<Store> {
    bail!("this dew was built without the feature `postgres`, which --database-url needs")
}

/// The engine that was opened.
enum Opened {
    Sim(Arc<SimEngine>),
    Qemu(Arc<QemuEngine>),
}

impl Opened {
    fn engine(&self) -> Arc<dyn Engine> {
        match self {
            Self::Sim(sim) => sim.clone(),
            Self::Qemu(qemu) => qemu.clone(),
        }
    }
}

async fn open_engine(settings: &Settings, data_dir: &DataDir, clock: &Arc<SimClock>) -> Result<Opened> {
    let sim =
        || -> Result<Opened> { Ok(Opened::Sim(Arc::new(SimEngine::open(&data_dir.join(SIMULATOR), clock.clone())?))) };
    let network = match settings.engine {
        EngineName::Qemu | EngineName::Auto => network::choose(settings, data_dir)?,
        EngineName::Sim | EngineName::Incus => None,
    };
    let qemu = || async {
        let mut config = QemuConfig::new(&settings.data_dir, &settings.image_dir, clock.clone());
        config.extra_forward_ports.clone_from(&settings.network.forward_ports);
        config.import_allow_from.clone_from(&settings.images.allow_from);
        config.guest_egress = settings.network.guest_egress;
        config.qemu_user.clone_from(&settings.network.qemu_user);
        config.cgroup.clone_from(&settings.qemu.cgroup);
        config.first_uid = settings.qemu.first_uid.unwrap_or(config.first_uid);
        config.network = network;
        let engine = QemuEngine::open(config).await?;
        if images::list(&settings.image_dir).is_ok_and(|images| images.is_empty()) {
            tracing::warn!("There is no image to make Droplets from: {}", build_command(&settings.image_dir));
        }
        Ok::<_, dewpoint_engine::Error>(Arc::new(engine))
    };
    match settings.engine {
        EngineName::Sim => sim(),
        EngineName::Qemu => Ok(Opened::Qemu(qemu().await.context("QEMU cannot be used; `dew doctor` says more")?)),
        EngineName::Auto => match qemu().await {
            Ok(engine) => {
                tracing::info!("Engine qemu: it can run a guest here. --engine sim takes the simulator");
                Ok(Opened::Qemu(engine))
            }
            Err(error) => {
                tracing::warn!("Engine sim: Droplets are simulated, since QEMU cannot be used here ({error})");
                sim()
            }
        },
        EngineName::Incus => bail!(crate::failure::Failure::not_yet("--engine incus")),
    }
}

/// The first account and its token, in an empty store.
async fn bootstrap(control: &Control, data_dir: &DataDir) -> Result<()> {
    let given = std::env::var("DEW_BOOTSTRAP_TOKEN").ok().filter(|token| !token.is_empty());
    let was_given = given.is_some();
    let Some(new) = control.bootstrap(given).await.context("cannot make the admin token")? else { return Ok(()) };
    if was_given {
        tracing::info!("The admin token is the one in DEW_BOOTSTRAP_TOKEN");
        return Ok(());
    }
    let path = data_dir.write_secret("admin-token", &new.secret)?;
    tell!("Admin token (shown once, kept in {}): {}", path.display(), new.secret);
    Ok(())
}

/// Tells Droplets about themselves where their links are real, until `stopped` says so.
async fn tell_metadata(control: Control, mut stopped: watch::Receiver<bool>) {
    let mut pause = Duration::from_millis(500);
    let listener = loop {
        match control.engine().metadata_listener().await {
            Ok(Some(listener)) => break listener,
            Ok(None) => return,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!("Droplets cannot ask for their metadata; trying again in {pause:?}: {error:#}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    };
    let told = async {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    dewpoint_server::metadata::serve_metadata(listener, control, told).await;
}

/// Worker and reconciler, beside the server.
struct Background {
    ready: Arc<AtomicBool>,
    control: Control,
    task: tokio::task::JoinHandle<()>,
}

impl Background {
    fn start(control: &Control, simulator: Option<&Simulator>, stopped: &watch::Receiver<bool>) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let mut worker = Worker::new(control.clone());
        if let Some(simulator) = simulator {
            worker = worker.meddled_with(Arc::new(simulator.clone()));
        }
        let task = tokio::spawn(work(control.clone(), worker, stopped.clone(), Arc::clone(&ready)));
        // Not waited for: what it leaves is written once the last request is answered.
        tokio::spawn(control.clone().keep_journal(stopped.clone()));
        tokio::spawn(control.clone().keep_usage(stopped.clone()));
        Self { ready, control: control.clone(), task }
    }

    fn probes(&self, store: Store) -> Probes {
        let (ready, control) = (Arc::clone(&self.ready), self.control.clone());
        Probes {
            ready: Arc::new(move || match ready.load(Ordering::Acquire) {
                true => Ok(()),
                false => Err("The worker is still taking up what an earlier server left.".to_owned()),
            }),
            samples: Arc::new(move || {
                let (name, help) = ("dewpoint_store_commits_total", "Commits of the store; many writes share one.");
                let commits = Sample { name, help, is_counter: true, value: store.commits() };
                let (name, help) = ("dewpoint_audit_lost_total", "Audit entries the store did not take in time.");
                let lost = Sample { name, help, is_counter: true, value: control.audit_lost() };
                let (name, help) =
                    ("dewpoint_usage_lost_total", "Requests for models whose use the store did not take in time.");
                let uncounted = Sample { name, help, is_counter: true, value: control.usage_lost() };
                let (missing, parked) = control.gpus_in_trouble();
                let (name, help) = ("dewpoint_gpus_missing", "GPUs that were there and are not any more.");
                let missing = Sample { name, help, is_counter: false, value: missing };
                let (name, help) =
                    ("dewpoint_gpus_parked", "GPUs kept out of stock, or of no use to the Droplet that has them.");
                vec![commits, lost, uncounted, missing, Sample { name, help, is_counter: false, value: parked }]
            }),
        }
    }

    async fn drain(self) {
        if tokio::time::timeout(DRAIN, self.task).await.is_err() {
            tracing::warn!("Some actions are still at work; the next start resumes them");
        }
    }
}

async fn work(control: Control, worker: Worker, stopped: watch::Receiver<bool>, ready: Arc<AtomicBool>) {
    let alone = control.store().dialect() == Dialect::Sqlite;
    let following = control.clone().follow_changes(stopped.clone());
    let mut pause = Duration::from_millis(500);
    while let Err(error) = control.resume(alone).await {
        tracing::error!(error = %anyhow::Error::from(error), "Cannot take up what an earlier server left; trying again");
        control.clock().sleep_until(control.clock().now() + pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
    ready.store(true, Ordering::Release);
    let backups = control.clone().make_backups(stopped.clone());
    let network = control.clone().keep_network(stopped.clone());
    let stock = control.clone().keep_stock(stopped.clone());
    tokio::join!(worker.run(stopped), following, backups, network, stock);
}

//! A whole service in this process, for the tests of programs that use this crate: no server, no account, no network.
//!
//! It is the server that `dew serve --engine sim` runs: the same answers, the same refusals, actions that take their steps.
//!
//! ```
//! use dewpoint_client::{CreateDroplet, testing::Simulator};
//!
//! # async fn of_the_user(client: &dewpoint_client::Client) -> dewpoint_client::Result<()> {
//! #     client.droplets().create(CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64").tag("web")).await?;
//! #     Ok(())
//! # }
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! let simulator = Simulator::start()?;
//! let client = simulator.client();
//!
//! of_the_user(&client).await?; // what is to be tested
//!
//! let made = client.droplets().list().tag("web").all().await?;
//! assert_eq!(made[0].name, "web-1");
//! # Ok::<(), dewpoint_client::Error>(()) }).expect("it works");
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use dewpoint_clock::{SimClock, Timestamp};
use dewpoint_control::{Catalogue, Control, ControlConfig, Parts, Random, actions::Worker};
use dewpoint_engine::sim::SimEngine;
use dewpoint_server::{App, Certificate, Files, Generated, Probes, ServerConfig, Simulator as Steered, Tls};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};

use crate::{Client, ClientBuilder, Error, Result};

/// The token that the simulator takes.
const TOKEN: &str = "dop_v1_of-the-simulator";

/// A simulated service on a free port of this host, in threads of its own. It ends, and its files go, when it and all clients
/// that it gave are dropped.
#[derive(Clone, Debug)]
pub struct Simulator(Arc<Running>);

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    clock: Arc<SimClock>,
    /// What to trust, in PEM, when it serves https.
    certificate: Option<String>,
    /// Dropped, it ends the thread.
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told on stderr.
            let _ = thread.join();
        }
    }
}

/// What the simulator begins with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    documented: bool,
    secure: bool,
}

impl Setup {
    /// Loads the objects that the public documentation's examples speak of, such as SSH key 289794, so that its samples run
    /// as they are printed.
    pub const fn documented(mut self) -> Self {
        self.documented = true;
        self
    }

    /// Serves https, with a certificate of its own, which clients of [`Simulator::client`] are told to trust.
    pub const fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Starts a simulator so.
    pub fn start(self) -> Result<Simulator> {
        let (started, told) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let failed = |error: std::io::Error| Error::config(format!("the simulator cannot start: {error}"));
        let thread = std::thread::Builder::new()
            .name("dewpoint-simulator".to_owned())
            .spawn(move || run(&self, &started, stopped))
            .map_err(failed)?;
        let Told { address, clock, certificate } =
            told.recv().map_err(|_| Error::config("the simulator cannot start"))??;
        Ok(Simulator(Arc::new(Running { address, clock, certificate, stop: Some(stop), thread: Some(thread) })))
    }
}

impl Simulator {
    /// Starts one on empty files, with one account.
    pub fn start() -> Result<Self> {
        Self::setup().start()
    }

    /// Sets one up otherwise than usual.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// A client of it with every scope. The simulator lives as long as its clients.
    pub fn client(&self) -> Client {
        // An http address and a token that is a good header: this cannot fail, and if it does a test should.
        self.client_builder().build().unwrap_or_else(|error| unreachable!("the simulator's own address: {error}"))
    }

    /// The same, to be set up further.
    pub fn client_builder(&self) -> ClientBuilder {
        let builder = Client::builder().base_url(self.url()).token(self.token()).keeping(self.0.clone());
        match &self.0.certificate {
            Some(certificate) => builder.ca_certificate(certificate),
            None => builder,
        }
    }

    /// Its address, for other programs: `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        let scheme = if self.0.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.0.address)
    }

    /// The token that it takes.
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    /// What its clock shows.
    pub fn now(&self) -> Timestamp {
        dewpoint_clock::Clock::now(&*self.0.clock)
    }

    /// Moves its clock ahead: backups, windows and whatever else waits for a time come about.
    pub fn advance(&self, span: Duration) {
        self.0.clock.advance(span);
    }
}

type Started = mpsc::Sender<Result<Told>>;

/// What the thread tells once it serves.
struct Told {
    address: SocketAddr,
    clock: Arc<SimClock>,
    certificate: Option<String>,
}

fn run(setup: &Setup, started: &Started, stopped: watch::Receiver<bool>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(Error::config(format!("the simulator cannot start: {error}"))))),
    };
    runtime.block_on(async {
        match Parted::open(setup).await {
            Ok(parted) => {
                let (clock, certificate) = (Arc::clone(&parted.clock), parted.certificate.clone());
                let _ = started.send(Ok(Told { address: parted.address, clock, certificate }));
                parted.serve(stopped).await;
            }
            Err(error) => drop(started.send(Err(Error::config(format!("the simulator cannot start: {error}"))))),
        }
    });
}

/// What the thread holds.
struct Parted {
    address: SocketAddr,
    listener: TcpListener,
    clock: Arc<SimClock>,
    control: Control,
    steered: Steered,
    tls: Option<Tls>,
    certificate: Option<String>,
    files: TempDir,
}

impl Parted {
    async fn open(setup: &Setup) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let files = tempfile::tempdir()?;
        let (of_store, of_sim) = (files.path().join("dewpoint.db"), files.path().join("sim.db"));
        let clock = Arc::new(SimClock::real());
        let store = dewpoint_store::sqlite::open(&of_store)?;
        let sim = Arc::new(SimEngine::open(&of_sim, clock.clone())?);
        let parts = Parts {
            store: store.clone(),
            engine: sim.clone(),
            clock: clock.clone(),
            random: Random::default(),
            catalogue: Catalogue::built_in(),
            config: ControlConfig::default(),
        };
        let control = Control::new(parts).await?;
        control.bootstrap(Some(TOKEN.to_owned())).await?;
        if setup.documented {
            control.load_documented_fixtures().await?;
        }
        let both = Files::open((&of_store, store), (&of_sim, sim.clone()))?;
        let steered = Steered::new(control.clone(), clock.clone(), sim, Some(both));
        steered.keep_start().await?;
        let (mut tls, mut certificate) = (None, None);
        if setup.secure {
            let now = dewpoint_clock::Clock::now(&*clock);
            let made = Generated::new(&[Ipv4Addr::LOCALHOST.to_string()], now)?;
            tls = Some(Tls::new(&Certificate::from_pem(made.certificate.as_bytes(), made.key.as_bytes(), now)?));
            certificate = Some(made.certificate);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { address: listener.local_addr()?, listener, clock, control, steered, tls, certificate, files })
    }

    /// Until the sender of `stopped` is gone. What is under way then goes with the files.
    async fn serve(self, mut stopped: watch::Receiver<bool>) {
        let Self { listener, control, steered, tls, files, .. } = self;
        let worker = Worker::new(control.clone()).meddled_with(Arc::new(steered.clone()));
        let config = ServerConfig { data_dir: Some(files.path().to_owned()), ..ServerConfig::default() };
        let app = App::simulated(control.clone(), config, Probes::default(), steered.clone());
        let (_never, running) = watch::channel(false);
        let work = async {
            tokio::join!(
                worker.run(running.clone()),
                control.clone().follow_changes(running.clone()),
                control.clone().make_backups(running.clone()),
                control.clone().keep_network(running.clone()),
                control.clone().keep_journal(running.clone()),
            )
        };
        let serve = dewpoint_server::serve(listener, tls, dewpoint_server::app(app), std::future::pending());
        tokio::select! {
            _ = work => {}
            _ = serve => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
}

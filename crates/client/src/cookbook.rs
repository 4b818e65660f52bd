//! Recipes. Each runs as a test, against the simulator.
//!
//! # A Droplet, from nothing to ready
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::setup().documented().start()?; let client = simulator.client();
//! use std::time::Duration;
//!
//! let wanted = CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64").region("nyc3").ssh_key(289794).tag("web");
//! let created = client.droplets().create(&wanted).await?;
//! let droplet = created
//!     .wait_ready(&client)
//!     .deadline(Duration::from_secs(300))
//!     .on_progress(|seen| eprintln!("{seen:?}"))
//!     .await?;
//! let address = droplet.networks.v4.iter().find(|one| one.kind == models::NetworkKind::Public);
//! println!("ssh root@{}", address.expect("it has a public one").ip_address);
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # All of a list, without holding it
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! let mut sizes = client.sizes().list().stream();
//! while let Some(size) = sizes.next().await {
//!     let size = size?;
//!     if size.gpu_info.is_some() {
//!         println!("{}: ${} an hour, ${} a day", size.slug, size.price_hourly, size.price_hourly * 24);
//!     }
//! }
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # Acting on what went wrong
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! match client.droplets().actions().power_on(7).await {
//!     Ok(action) => drop(client.actions().wait(action.id).await?),
//!     Err(Error::NotFound(_)) => println!("there is no such Droplet"),
//!     Err(Error::Unprocessable(refusal)) => println!("not now: {}", refusal.message),
//!     Err(Error::RateLimited(refusal)) => println!("too often; again in {:?}", refusal.retry_after),
//!     Err(other) => return Err(other), // its text names method, path, status and the request's id
//! }
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # Making a thing once, also over restarts of the program
//!
//! Every POST has an `Idempotency-Key`, the same on each retry. One of your own goes further: with it a program that was killed and
//! runs again does not make a second one.
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! let wanted = CreateDroplet::new("job-4711", "s-1vcpu-1gb", "ubuntu-24-04-x64");
//! let first = client.droplets().create(&wanted).idempotency_key("job-4711").await?;
//! let again = client.droplets().create(&wanted).idempotency_key("job-4711").await?;
//! assert_eq!(first.id, again.id);
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # What is newer than this crate
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! let account = client.account().get().await?;
//! println!("{}", account.status);            // a word that is new is kept, and is no error
//! println!("{:?}", account.member("shoe_size")); // a member that is new is kept too
//!
//! let answer = client.raw().get("/v2/regions?per_page=1").answer().await?;
//! println!("{} {:?}", answer.value["regions"][0]["slug"], answer.rate_limit());
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # Volumes
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! use dewpoint_client::models::FilesystemType;
//!
//! let wanted = CreateVolume::new("data", 50, "nyc3").filesystem(FilesystemType::Ext4, Some("data"));
//! let volume = client.volumes().create(&wanted).await?;
//! let web = CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64").region("nyc3").volume(volume.id);
//! let droplet = client.droplets().create(&web).await?.wait_active(&client).await?;
//! assert_eq!(droplet.volume_ids, [volume.id]);
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # Asking a model
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::start()?; let client = simulator.client();
//! use dewpoint_client::chat::{Accumulator, CreateCompletion};
//!
//! let model = client.inference().models().await?[0].id.clone();
//! let wanted = CreateCompletion::new(model).user("count to 3");
//! let mut stream = client.chat().completions().stream(&wanted).await?; // dropping it stops the model
//! let mut whole = Accumulator::default();
//! while let Some(chunk) = stream.next().await {
//!     let chunk = chunk?; // what goes wrong in the middle is an error, never a short answer
//!     print!("{}", chunk.choices.first().and_then(|choice| choice.delta.content.as_deref()).unwrap_or_default());
//!     whole.add(&chunk);
//! }
//! assert_eq!(whole.into_completion().text(), Some("1 2 3"));
//!
//! let key = client.inference().api_keys().create("for a bot").await?;
//! let bot = Client::builder().base_url(simulator.url()).token(key.secret_key.clone().unwrap_or_default()).build()?;
//! bot.chat().completions().create(&wanted).await?; // the key asks models, and opens nothing else
//! assert!(bot.droplets().list().await.is_err());
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```
//!
//! # Testing a program that makes Droplets
//!
//! With the feature `testing` there is a whole service in the process: see [`crate::testing`]. It can be told to have a bad day:
//!
//! ```
//! # use dewpoint_client::{testing::Simulator, *};
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! use dewpoint_client::resources::FaultOrder;
//!
//! let simulator = Simulator::start()?;
//! let client = simulator.client();
//! let lost = FaultOrder::dropped().on("POST", "/v2/droplets").times(1);
//! client.dewpoint().simulator().faults().order(&lost).await?;
//!
//! // The answer to the first attempt is lost; the second one is told what the first has made.
//! client.droplets().create(CreateDroplet::new("once", "s-1vcpu-1gb", "ubuntu-24-04-x64")).await?;
//! assert_eq!(client.droplets().list().await?.total, 1);
//! # Ok::<(), Error>(()) }).expect("it works");
//! ```

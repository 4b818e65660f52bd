//! The documented sample, as it reads here.

use dewpoint_client::{CreateDroplet, DropletProgress, Error, models::DropletStatus, testing::Simulator};

/// Of the public documentation: fixtures hold its keys.
const FINGERPRINT: &str = "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45";

#[tokio::test]
async fn the_documented_sample_makes_a_gpu_droplet_that_gets_ready() {
    let simulator = Simulator::setup().documented().start().unwrap();
    let client = simulator.client();
    let created = client
        .gpu_droplets()
        .create(
            CreateDroplet::new("example.com", "gpu-h100x1-80gb", "gpu-h100x1-base")
                .region("nyc2")
                .ssh_key(289794)
                .ssh_key(FINGERPRINT)
                .tag("web")
                .user_data("#cloud-config\nruncmd: [[touch, /ready]]\n"),
        )
        .await
        .unwrap();
    assert_eq!(created.status, DropletStatus::New);
    let droplet = created.wait_ready(&client).await.unwrap();
    assert_eq!((droplet.id, droplet.status.known()), (created.id, Some(DropletStatus::Active)));
    assert_eq!(droplet.region.value().unwrap().slug.as_str(), "nyc2");
    assert_eq!(droplet.gpu_info.as_ref().unwrap().count, 1);
    assert!(!droplet.networks.v4.is_empty(), "an active Droplet has addresses");
}

#[tokio::test]
async fn several_names_make_several_droplets_each_with_its_own_action() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let like = CreateDroplet::new("of no matter", "s-1vcpu-1gb", "ubuntu-24-04-x64").region("nyc3");
    let made = client.droplets().create_many(dewpoint_client::CreateDroplets::new(["a", "b"], like)).await.unwrap();
    let names: Vec<&str> = made.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    for one in &made {
        let action = client.actions().wait(one.action_id().unwrap()).await.unwrap();
        assert_eq!(action.resource_id, Some(one.id.0));
    }
}

#[tokio::test]
async fn a_wait_tells_what_it_sees() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let wanted = CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64");
    let created = client.droplets().create(&wanted).await.unwrap();
    let (told, seen) = std::sync::mpsc::channel();
    created.wait_active(&client).on_progress(move |progress| drop(told.send(progress.clone()))).await.unwrap();
    let seen: Vec<DropletProgress> = seen.into_iter().collect();
    assert!(matches!(seen.first(), Some(DropletProgress::Action(_))), "{seen:?}");
    assert!(matches!(seen.last(), Some(DropletProgress::Droplet(droplet)) if droplet.status == DropletStatus::Active));
}

#[tokio::test]
async fn what_is_not_there_is_an_error_of_its_own_kind_with_the_requests_id() {
    let simulator = Simulator::start().unwrap();
    let error = simulator.client().droplets().get(1).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)) && error.is_not_found(), "{error:?}");
    let id = error.request_id().expect("the server names each request");
    assert!(error.to_string().contains(id) && error.to_string().contains("GET /v2/droplets/1 answered 404"), "{error}");
}

//! Downloads that break, imports that are cut off, and images that are not wanted any more.

use std::{
    fs,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dewpoint_engine::{Error, ImageName, Storage};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::timeout,
};

use crate::{
    lab::{Lab, disk, gzip, image},
    server::{Gate, Server, whole},
};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_was() {
    let Some(lab) = Lab::open("a_download_that_breaks_goes_on_where_it_was").await else { return };
    for bytes in [disk(), gzip(&disk()[..]), lab.converted(&disk(), &["qcow2"])] {
        let length = bytes.len();
        let times = AtomicUsize::new(0);
        let server = Server::start(move |request, connection| {
            let until = match times.fetch_add(1, Ordering::Relaxed) {
                0 => length / 3,
                1 => length / 2,
                _ => length,
            };
            whole(request, connection, &bytes, until);
        });
        lab.import(&server.url("disk")).await.expect("imported");
        lab.holds(&disk());
        let ranges: Vec<_> =
            server.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
        let expected = [None, Some(format!("bytes={}-", length / 3)), Some(format!("bytes={}-", length / 2))];
        assert_eq!(ranges, expected);
        lab.engine.remove_image(&image()).await.expect("it goes");
    }
}

#[tokio::test]
async fn a_download_that_breaks_starts_anew_where_the_server_cannot_go_on() {
    let Some(lab) = Lab::open("a_download_that_breaks_starts_anew_where_the_server_cannot_go_on").await else { return };
    // Without a name for what is sent; with one, and no parts; with parts of something that changed meanwhile.
    for head in ["", "ETag: \"a\"\r\n", "ETag: \"TIMES\"\r\n"] {
        let times = AtomicUsize::new(0);
        let server = Server::start(move |_, connection| {
            let (time, disk) = (times.fetch_add(1, Ordering::Relaxed), disk());
            let head = head.replace("TIMES", &time.to_string());
            let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n", disk.len());
            let _ = connection.write_all(head.as_bytes());
            // What was sent the first time must not be what is kept.
            let sent = if time == 0 { [&disk[..1 << 20], &vec![9; 1 << 20]].concat() } else { disk };
            let _ = connection.write_all(&sent);
        });
        lab.import(&server.url("disk")).await.expect("imported");
        lab.holds(&disk());
        lab.engine.remove_image(&image()).await.expect("it goes");
    }
}

#[tokio::test]
async fn a_server_that_always_breaks_is_tried_a_few_times_and_later_again() {
    let Some(lab) = Lab::open("a_server_that_always_breaks_is_tried_a_few_times_and_later_again").await else { return };
    let broken = Server::start(|request, connection| whole(request, connection, &disk(), 1 << 20));
    let busy = Server::start(|_, connection| {
        let _ = connection.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    });
    for (server, requests) in [(&broken, 4), (&busy, 1)] {
        let failed = lab.import(&server.url("disk")).await.expect_err("it breaks");
        assert!(failed.is_transient(), "{failed:?}");
        assert_eq!(server.requests().len(), requests);
        lab.nothing_is_left().await;
    }
    let nobody = lab.import("http://127.0.0.1:9/disk").await.expect_err("nobody is there");
    assert!(nobody.is_transient(), "{nobody:?}");
    let silent = Server::start(|_, _| ());
    assert!(lab.import(&silent.url("disk")).await.expect_err("no answer").is_transient());
}

/// The points at which an import is cut off, as bytes that were sent before.
const POINTS: [Option<usize>; 4] = [None, Some(0), Some(100_000), Some(3 << 20)];

#[tokio::test]
async fn an_import_that_is_cut_off_leaves_nothing_usable_and_can_be_asked_for_again() {
    let Some(lab) = Lab::open("an_import_that_is_cut_off_leaves_nothing_usable_and_can_be_asked_for_again").await
    else {
        return;
    };
    for bytes in [disk(), lab.converted(&disk(), &["qcow2"])] {
        for point in POINTS {
            let (reached, go_on) = (Arc::<Notify>::default(), Gate::default());
            let (reach, wait, sent) = (reached.clone(), go_on.clone(), bytes.clone());
            let first = AtomicUsize::new(0);
            let server = Server::start(move |request, connection| {
                if first.fetch_add(1, Ordering::Relaxed) > 0 {
                    return whole(request, connection, &sent, sent.len());
                }
                if let Some(point) = point {
                    whole(request, connection, &sent, point);
                }
                reach.notify_one();
                wait.wait();
            });
            let url = server.url("disk");
            {
                let importing = lab.import(&url);
                tokio::select! {
                    ended = importing => panic!("{ended:?}"),
                    () = reached.notified() => {}
                }
            }
            // The server still holds the first connection: what is asked now must not wait for it.
            lab.import(&url).await.expect("imported");
            lab.holds(&disk());
            lab.engine.remove_image(&image()).await.expect("it goes");
            lab.nothing_is_left().await;
            go_on.open();
        }
    }
}

#[tokio::test]
async fn a_conversion_that_is_cut_off_ends_with_its_processes() {
    let Some(lab) = Lab::open("a_conversion_that_is_cut_off_ends_with_its_processes").await else { return };
    let server = Server::of(lab.converted(&disk(), &["vdi"]));
    let url = server.url("disk");
    let work = lab.config.data_dir.join("import/own-7");
    {
        let importing = lab.import(&url);
        tokio::select! {
            ended = importing => panic!("{ended:?}"),
            () = until(|| works_in(&work) > 0) => {}
        }
    }
    until(|| works_in(&work) == 0).await;
    lab.import(&url).await.expect("imported");
    lab.holds(&disk());
}

/// Looks again and again, and lets the import go on between.
async fn until(mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.expect("it does not come to that");
}

/// How many processes work in a directory.
fn works_in(directory: &std::path::Path) -> usize {
    let processes = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == directory)).count()
}

#[tokio::test]
async fn removing_an_image_ends_its_import() {
    let Some(lab) = Lab::open("removing_an_image_ends_its_import").await else { return };
    let (reached, go_on) = (Arc::<Notify>::default(), Gate::default());
    let (reach, wait) = (reached.clone(), go_on.clone());
    let server = Server::start(move |request, connection| {
        whole(request, connection, &disk(), 6 << 20);
        reach.notify_one();
        wait.wait();
    });
    let url = server.url("disk");
    let removal = async {
        reached.notified().await;
        assert_eq!(lab.engine.images().await.expect("a list"), [image()]);
        lab.engine.remove_image(&image()).await.expect("it goes");
    };
    let (imported, ()) = tokio::join!(lab.import(&url), removal);
    assert!(matches!(imported, Err(Error::Host { transient: false, .. })), "{imported:?}");
    lab.nothing_is_left().await;
    go_on.open();
}

#[tokio::test]
async fn four_images_are_fetched_at_once_and_the_others_wait() {
    let Some(lab) = Lab::open("four_images_are_fetched_at_once_and_the_others_wait").await else { return };
    let (asked, mut asking) = mpsc::unbounded_channel();
    let go_on = Gate::default();
    let wait = go_on.clone();
    let server = Server::start(move |request, connection| {
        asked.send(()).expect("the test listens");
        wait.wait();
        whole(request, connection, &disk(), disk().len());
    });
    let url = server.url("disk");
    let mut imports = JoinSet::new();
    for number in 0..6 {
        let (engine, url) = (lab.engine.clone(), url.clone());
        let name = ImageName::own(number.to_string()).expect("a name");
        imports.spawn(async move { engine.import(&name, &url).await });
    }
    for _ in 0..4 {
        timeout(LIMIT, asking.recv()).await.expect("four ask").expect("the server runs");
    }
    let fifth = timeout(Duration::from_millis(300), asking.recv()).await;
    go_on.open();
    assert!(fifth.is_err(), "a fifth image is fetched beside them");
    for imported in imports.join_all().await {
        imported.expect("an image");
    }
}

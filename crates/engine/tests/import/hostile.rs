//! What must not be imported, and what is said of it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use crate::{
    lab::{Lab, MIB, MOST, bzip2, disk, gzip},
    server::{Request, Server, whole},
};

#[tokio::test]
async fn images_that_lead_elsewhere_or_lie_are_refused() {
    let Some(lab) = Lab::open("images_that_lead_elsewhere_or_lie_are_refused").await else { return };
    let plain = lab.converted(&disk(), &["qcow2"]);
    let data_file = format!("data_file={},data_file_raw=on", lab.top.path().join("data-file").display());
    let bomb = io::repeat(0).take(1 << 30);
    let mut start = vec![0; 512];
    start[510..].copy_from_slice(&[0x55, 0xaa]);
    let zip_bomb = gzip(start.chain(bomb));
    assert!(zip_bomb.len() < 5 << 20, "it is no bomb");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (lab.created(&["qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", "image", "10M"]), "a backing file"),
        (lab.created(&["qcow2", "-o", &data_file, "image", "10M"]), "in another file"),
        (lab.created(&["qcow2", "-o", "cluster_size=2M", "image", "1E"]), "larger than"),
        (lab.created(&["qcow2", "image", "49M"]), "larger than"),
        (lab.created(&["vmdk", "-o", "subformat=monolithicFlat", "image", "10M"]), "other files"),
        (b"# Disk DescriptorFile\ncreateType=\"vmfs\"\nRW 9 VMFS \"/etc/shadow\"\n".to_vec(), "other files"),
        (plain[..plain.len() * 2 / 3].to_vec(), "ends too early"),
        (plain[..100].to_vec(), "ends too early"),
        (gzip(&disk()[..])[..1 << 20].to_vec(), "ends too early"),
        (bzip2(&disk()[..])[..1 << 20].to_vec(), "ends too early"),
        (zip_bomb, "larger than"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>".to_vec(), "web page"),
        (vec![0; 10 << 20], "no disk image"),
        (Vec::new(), "nothing"),
        (gzip(&gzip(&disk()[..])[..]), "more than once"),
        (vec![0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4], "xz"),
    ];
    for (bytes, expected) in cases {
        let server = Server::of(bytes);
        let why = lab.refused(&server.url("image")).await;
        assert!(why.contains(expected), "{why}, and not {expected}");
    }
}

#[tokio::test]
async fn a_disk_of_garbage_in_a_sound_header_is_refused() {
    let Some(lab) = Lab::open("a_disk_of_garbage_in_a_sound_header_is_refused").await else { return };
    for (kind, from) in [("qcow2", 64 << 10), ("vdi", 512)] {
        let mut image = lab.converted(&disk(), &[kind]);
        // Past the headers that are read by us, so that qemu-img meets it.
        image[from..from + (128 << 10)].fill(0xa5);
        let server = Server::of(image);
        lab.refused(&server.url(kind)).await;
    }
}

#[tokio::test]
async fn answers_without_end_or_measure_are_refused() {
    let Some(lab) = Lab::open("answers_without_end_or_measure_are_refused").await else { return };
    let noise = |connection: &mut TcpStream, head: &str, framed: bool| {
        let mut piece = vec![7; 1 << 20];
        piece[510..512].copy_from_slice(&[0x55, 0xaa]);
        let mut sent = connection.write_all(head.as_bytes());
        // Until the other end has had enough of it.
        while sent.is_ok() {
            let frame = if framed { format!("{:x}\r\n", piece.len()) } else { String::new() };
            let end = if framed { "\r\n" } else { "" };
            sent = connection
                .write_all(frame.as_bytes())
                .and_then(|()| connection.write_all(&piece))
                .and_then(|()| connection.write_all(end.as_bytes()));
        }
    };
    let server = Server::start(move |request: &Request, connection| match request.path.as_str() {
        "/chunked" => noise(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        "/unmeasured" => noise(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false),
        _ => {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000000\r\n\r\n");
        }
    });
    for path in ["chunked", "unmeasured", "promised"] {
        let why = lab.refused(&server.url(path)).await;
        assert!(why.contains("larger than"), "{path}: {why}");
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(MOST, 48 * MIB);
}

#[tokio::test]
async fn what_follows_the_promised_bytes_is_not_read() {
    let Some(lab) = Lab::open("what_follows_the_promised_bytes_is_not_read").await else { return };
    let server = Server::start(|_, connection| {
        let disk = disk();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", disk.len());
        let _ = connection.write_all(head.as_bytes());
        let _ = connection.write_all(&[disk, vec![9; 4096]].concat());
    });
    lab.import(&server.url("disk")).await.expect("imported");
    lab.holds(&disk());
}

#[tokio::test]
async fn redirects_are_few_and_lead_nowhere_closed() {
    let Some(lab) = Lab::open("redirects_are_few_and_lead_nowhere_closed").await else { return };
    let server = Server::start(|request, connection| {
        let mut to = |place: &str| {
            let answer =
                format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = connection.write_all(answer.as_bytes());
        };
        match request.path.as_str() {
            "/circle" => to("/circle"),
            "/four" => to("/three"),
            "/three" => to("/two"),
            "/two" => to("/one"),
            "/one" => to("/disk"),
            "/private" => to("http://10.11.12.13/disk"),
            "/metadata" => to("http://169.254.169.254/metadata/v1/"),
            "/mapped" => to("http://[::ffff:192.168.1.1]/disk"),
            "/other" => to("ftp://127.0.0.1/disk"),
            "/disk" => whole(request, connection, &disk(), disk().len()),
            _ => {
                let _ = connection.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
            }
        }
    });
    for (path, expected) in [
        ("circle", "more than 3 times"),
        ("four", "more than 3 times"),
        ("private", "images.allow_from"),
        ("metadata", "images.allow_from"),
        ("mapped", "images.allow_from"),
        ("other", "cannot be used"),
        ("nothing", "404 Not Found"),
    ] {
        let why = lab.refused(&server.url(path)).await;
        assert!(why.contains(expected), "{path}: {why}");
    }
    lab.import(&server.url("three")).await.expect("three are followed");
}

#[tokio::test]
async fn closed_networks_are_named_with_the_setting_that_opens_them() {
    let closed = |config: &mut dewpoint_engine::qemu::QemuConfig| config.import_allow_from.clear();
    let Some(lab) = Lab::open_with("closed_networks_are_named_with_the_setting_that_opens_them", closed).await else {
        return;
    };
    let server = Server::of(disk());
    let port = server.url("").rsplit(':').next().expect("a port").to_owned();
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"] {
        let why = lab.refused(&format!("http://{host}:{port}disk")).await;
        assert!(why.contains("images.allow_from"), "{host}: {why}");
    }
    assert!(server.requests().is_empty());
    for url in ["file:///etc/shadow", "ftp://example.com/x", "http://me:secret@127.0.0.1/"] {
        let why = lab.refused(url).await;
        assert!(why.contains("cannot be used") && !why.contains("secret"), "{why}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_refused() {
    const NAME: &str = "a_server_whose_certificate_nobody_vouches_for_is_refused";
    let Some(lab) = Lab::open(NAME).await else { return };
    let (key, certificate) = (lab.top.path().join("key.pem"), lab.top.path().join("certificate.pem"));
    let mut made = Command::new("openssl");
    made.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout"]);
    match made.arg(&key).arg("-out").arg(&certificate).output() {
        Ok(made) => assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr)),
        // Past the test harness, which would swallow it.
        Err(error) => return drop(writeln!(io::stderr(), "SKIPPED {NAME}: openssl: {error}")),
    }
    let mut serve = Command::new("openssl");
    serve
        .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-www", "-key"])
        .arg(&key)
        .arg("-cert")
        .arg(&certificate);
    let mut server =
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it serves");
    let said = BufReader::new(server.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let port = said.filter_map(|line| Some(line.strip_prefix("ACCEPT 127.0.0.1:")?.to_owned())).next();
    let why = lab.refused(&format!("https://localhost:{}/disk", port.expect("a port"))).await;
    // It has ended by itself, or never will.
    let _ = server.kill();
    server.wait().expect("it ends");
    assert!(why.contains("cannot be trusted"), "{why}");
}

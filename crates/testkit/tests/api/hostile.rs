//! Requests that mean harm, or might: each has its status and the one shape of errors, and leaves nothing behind. What a
//! parser in front of the router sees of them is in `hostile_socket.rs`.

use axum::body::Body;
use dewpoint_testkit::{Answer, Client, TestApp, droplet_body, public_key};
use http::{HeaderValue, Request, header};
use serde_json::json;

use crate::{droplet, ids, volume_id};

const INVALID: (u16, &str) = (422, "unprocessable_entity");
const MALFORMED: (u16, &str) = (400, "bad_request");
const ABSENT: (u16, &str) = (404, "not_found");
const TOO_LARGE: (u16, &str) = (413, "bad_request");
const UNKNOWN: (u16, &str) = (401, "unauthorized");

#[track_caller]
fn refused(answer: &Answer, (status, id): (u16, &str), what: &str) -> String {
    assert_eq!(answer.status, status, "{what}: {}", answer.text.chars().take(300).collect::<String>());
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8", "{what}");
    assert!(answer.text.len() < 2000, "{what}: a refusal repeats what was sent: {} bytes", answer.text.len());
    answer.refusal(status, id)
}

/// That no request so far has made anything.
async fn nothing_was_made(admin: &Client<'_>) {
    for (path, key) in [
        ("/v2/droplets", "droplets"),
        ("/v2/volumes", "volumes"),
        ("/v2/tags", "tags"),
        ("/v2/actions", "actions"),
        ("/v2/account/keys", "ssh_keys"),
        ("/v2/snapshots", "snapshots"),
    ] {
        assert!(admin.all(path, key).await.is_empty(), "{path}");
    }
}

/// A create whose member `name` of the body is this text of JSON.
fn create(name: &str, json: &str) -> Vec<u8> {
    let rest = droplet(json!({ name: null })).to_string();
    format!("{{\"{name}\":{json},{}", &rest[1..]).into_bytes()
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

fn list(entry: &str, length: usize) -> String {
    format!("[{}]", vec![entry; length].join(","))
}

fn numbered(length: usize) -> String {
    let each: Vec<String> = (0..length).map(|number| format!("\"{number}\"")).collect();
    format!("[{}]", each.join(","))
}

#[tokio::test]
async fn bodies_that_are_hardly_json_are_refused_where_they_go_wrong() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let cases: &[(&str, Vec<u8>, (u16, &str))] = &[
        ("nothing", Vec::new(), MALFORMED),
        ("blanks", b" \r\n\t ".to_vec(), MALFORMED),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), &create("name", "\"a\"")].concat(), MALFORMED),
        ("UTF-16", create("name", "\"a\"").iter().flat_map(|byte| [*byte, 0]).collect(), MALFORMED),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0".to_vec(), MALFORMED),
        ("a form", b"name=web-1&region=nyc3".to_vec(), MALFORMED),
        (
            "XML",
            b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_vec(),
            MALFORMED,
        ),
        ("letters that stand where an overlong slash would", create("name", "\"a\u{c0}\u{af}\""), INVALID),
        ("bytes that are no UTF-8", [&create("name", "\"a")[..], b"\xc0\xaf\"}"].concat(), MALFORMED),
        ("half a surrogate pair", create("name", r#""\ud800""#), MALFORMED),
        ("a zero byte as it is", create("name", "\"a\0b\""), MALFORMED),
        ("a zero character", create("name", r#""a\u0000b""#), INVALID),
        ("a line feed as it is", create("name", "\"a\nb\""), MALFORMED),
        ("a comment", create("name", "/* a */ \"b\""), MALFORMED),
        ("a comma too many", b"{\"name\":\"a\",}".to_vec(), MALFORMED),
        ("other quotes", b"{'name':'a'}".to_vec(), MALFORMED),
        ("two values", b"{}{}".to_vec(), MALFORMED),
        ("a literal NaN", create("name", "NaN"), MALFORMED),
        ("an infinity", create("name", "-Infinity"), MALFORMED),
        ("a number of 1000 digits", create("name", &"9".repeat(1000)), MALFORMED),
        ("a number past all floats", create("image", "1e400"), MALFORMED),
        ("a number with leading zeros", create("image", "007"), MALFORMED),
        ("a hexadecimal number", create("image", "0x10"), MALFORMED),
        ("lists in lists, ten thousand deep", create("name", &nested(10_000)), INVALID),
        ("the same where lists are read", create("tags", &nested(10_000)), INVALID),
        ("objects that never end", "{\"a\":".repeat(100_000).into_bytes(), MALFORMED),
        ("a list", b"[]".to_vec(), INVALID),
        ("a text", b"\"name\"".to_vec(), INVALID),
        ("null", b"null".to_vec(), INVALID),
        ("a member twice", create("name", "\"a\",\"name\":\"b\""), INVALID),
        ("a MiB and a byte", vec![b' '; 1024 * 1024 + 1], TOO_LARGE),
    ];
    for (what, body, expected) in cases {
        let answer = admin.send_bytes("POST", "/v2/droplets", body.clone()).await;
        refused(&answer, *expected, what);
    }
    nothing_was_made(&admin).await;
    // What nobody reads is passed over, however deep, without going down into it (PRO-5).
    admin.send_bytes("POST", "/v2/droplets", create("extra", &nested(400_000))).await.expect(202);
}

#[tokio::test]
async fn members_of_a_shape_nobody_asked_for_are_refused_by_name() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let cases: &[(&str, &str, String)] = &[
        ("name", "a number", "5".into()),
        ("name", "nested", nested(100)),
        ("name", "an object", "{\"$gt\":\"\"}".into()),
        ("image", "below zero", "-1".into()),
        ("image", "past 64 bits", "18446744073709551616".into()),
        ("image", "past 128 bits", "9".repeat(40)),
        ("image", "a part", "1.5".into()),
        ("image", "yes", "true".into()),
        ("size", "a list", "[\"s-1vcpu-1gb\"]".into()),
        ("backups", "a text", "\"yes\"".into()),
        ("ipv6", "one", "1".into()),
        ("tags", "a text", "\"a,b\"".into()),
        ("tags", "lists", "[[\"a\"]]".into()),
        ("ssh_keys", "objects", "[{\"id\":1}]".into()),
        ("volumes", "numbers", "[1]".into()),
        ("user_data", "an object", "{}".into()),
        ("vpc_uuid", "no UUID", "\"../../vpcs\"".into()),
    ];
    for (member, what, json) in cases {
        let answer = admin.send_bytes("POST", "/v2/droplets", create(member, json)).await;
        let message = refused(&answer, INVALID, &format!("{member}: {what}"));
        assert!(message.contains(member), "{member}, {what}: {message}");
    }
    nothing_was_made(&admin).await;
}

#[tokio::test]
async fn lists_without_end_are_refused_before_anything_is_looked_up() {
    let app = TestApp::start().await;
    let admin = app.admin();
    // As many as one body holds; all of them would be worth a look into the store each.
    let cases: &[(&str, String, (u16, &str))] = &[
        ("tags", numbered(1_000_000), TOO_LARGE),
        ("tags", numbered(100_000), INVALID),
        ("tags", list("\"a\"", 200_000), INVALID),
        ("ssh_keys", numbered(100_000), INVALID),
        ("volumes", numbered(100_000), INVALID),
        ("names", list("\"a\"", 200_000), INVALID),
        ("names", list("\"a\"", 11), INVALID),
    ];
    for (member, json, expected) in cases {
        let body = match *member {
            "names" => String::from_utf8(create("names", json)).expect("text").replace("\"name\":\"web-1\",", ""),
            _ => String::from_utf8(create(member, json)).expect("text"),
        };
        refused(&admin.send_bytes("POST", "/v2/droplets", body).await, *expected, member);
    }
    nothing_was_made(&admin).await;

    // The longest that is taken is, and two ways to write one tag are one (TAG-1).
    let mut tags: Vec<String> = (0..999).map(|number| format!("t{number}")).collect();
    tags.push("T0".to_owned());
    let id =
        ids(&json!([admin.post("/v2/droplets", droplet(json!({ "tags": tags }))).await.expect(202)["droplet"]]))[0];
    assert_eq!(admin.droplet(id).await["tags"].as_array().map(Vec::len), Some(999));

    tags.push("one-more".to_owned());
    let resource = json!({ "resource_id": id.to_string(), "resource_type": "droplet" });
    for (path, body) in [
        ("/v2/droplets", droplet(json!({ "tags": tags }))),
        ("/v2/volumes", json!({ "name": "v", "region": "nyc3", "size_gigabytes": 1, "tags": tags })),
        ("/v2/images", json!({ "name": "i", "url": "https://a.example/i", "region": "nyc3", "tags": tags })),
        ("/v2/tags/t0/resources", json!({ "resources": vec![resource; 1001] })),
        ("/v2/projects/default/resources", json!({ "resources": vec!["do:droplet:1"; 1001] })),
    ] {
        let message = refused(&admin.post(path, body).await, INVALID, path);
        assert!(message.contains("too many entries (maximum is 1000)"), "{path}: {message}");
    }
}

#[tokio::test]
async fn names_that_would_be_something_else_elsewhere_are_refused_or_kept_as_they_are() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let long = "a".repeat(256);
    let tricks = [
        "a\r\nx-injected: yes",
        "a\nb",
        "a\tb",
        "\u{7f}",
        "\u{1b}[31m",
        "../../etc/passwd",
        "a/b",
        "a b",
        "$(reboot)",
        "a;reboot",
        "`id`",
        "-a\"",
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "%00",
        "%2e%2e%2f",
        "{{7*7}}",
        "${jndi:ldap://a/b}",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{ff41}dmin",
        "\u{430}dmin",
        "a\u{202e}nimda",
        "a\u{200b}b",
        "\u{feff}a",
        "\u{1f4a5}",
        &long,
        "",
    ];
    for trick in tricks {
        for (path, body) in [
            ("/v2/droplets", droplet_body(trick)),
            ("/v2/droplets", droplet(json!({ "name": null, "names": ["fine", trick] }))),
            ("/v2/droplets", droplet(json!({ "tags": ["fine", trick] }))),
            ("/v2/volumes", json!({ "name": trick, "region": "nyc3", "size_gigabytes": 1 })),
            ("/v2/tags", json!({ "name": trick })),
        ] {
            let answer = admin.post(path, body).await;
            refused(&answer, INVALID, &format!("{path} {trick:?}"));
            assert!(answer.headers.get("x-injected").is_none());
        }
    }
    nothing_was_made(&admin).await;

    // A key's name is for people: any text that is one is kept byte for byte, and two spellings stay two.
    let mut made = Vec::new();
    for (number, name) in (1..).zip(["caf\u{e9}", "cafe\u{301}", "a\u{202e}nimda", "' OR 1=1 --", "<b>", "a\r\nx: y"]) {
        let body = json!({ "name": name, "public_key": public_key(number) });
        let key = admin.post("/v2/account/keys", body).await.expect(201)["ssh_key"].clone();
        assert_eq!(key["name"], name);
        made.push(key);
    }
    assert_eq!(admin.all("/v2/account/keys", "ssh_keys").await.len(), made.len());
    let named = admin.all("/v2/droplets?name=%27%20OR%201%3D1%20--", "droplets").await;
    assert!(named.is_empty(), "{named:?}");
}

#[tokio::test]
async fn public_keys_that_are_none_are_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let good = public_key(1);
    let blob = good.split(' ').nth(1).expect("a blob").to_owned();
    let cases = [
        String::new(),
        " ".to_owned(),
        "ssh-ed25519".to_owned(),
        "ssh-ed25519 AAAA".to_owned(),
        format!("ssh-rsa {blob}"),
        format!("command=\"reboot\" {good}"),
        format!("{good}\n{}", public_key(2)),
        format!("ssh-ed25519 {}", &blob[..blob.len() - 4]),
        format!("ssh-ed25519 {blob}{blob}"),
        format!("ssh-ed25519 {}", "A".repeat(900_000)),
        // A blob whose first text claims four GiB.
        "ssh-ed25519 /////3NzaC1lZDI1NTE5".to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----".to_owned(),
    ];
    for key in cases {
        let answer = admin.post("/v2/account/keys", json!({ "name": "k", "public_key": key })).await;
        refused(&answer, INVALID, &key.chars().take(80).collect::<String>());
    }
    nothing_was_made(&admin).await;
    let line = json!({ "name": "k", "public_key": format!("{good}\r\n") });
    let kept = admin.post("/v2/account/keys", line).await.expect(201)["ssh_key"]["public_key"].clone();
    assert_eq!(kept, good, "the end of a file's line is no second line");
}

#[tokio::test]
async fn paths_lead_where_they_say_and_nowhere_else() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let volume = volume_id(&admin, json!({})).await;
    for path in [
        "/",
        "//v2/account",
        "/v2",
        "/v2//account",
        "/v2/./account",
        "/v2/droplets/../account",
        "/v2/droplets/%2e%2e/account",
        "/v2/droplets/..%2faccount",
        "/v2/droplets/..%2f..%2f..%2fetc%2fpasswd",
        "/v2/droplets/..%5c..%5caccount",
        "/v2/droplets/%252e%252e%252faccount",
        "/v2/droplets/..;/account",
        "/v2/account;x=y",
        "/v2/account%00",
        "/v2/account%20",
        "/v2/account/%2f",
        "/V2/account",
        "/v2/Account",
        "/v2/%61ccount",
        "/v2/droplets/%ff",
        "/v2/droplets/%c0%af",
        "/v2/droplets/%zz",
        "/v2/droplets/%",
        "/v2/droplets/-1",
        "/v2/droplets/0",
        "/v2/droplets/1e6",
        "/v2/droplets/0x1",
        "/v2/droplets/18446744073709551616",
        "/v2/droplets/99999999999999999999999999999999",
        "/v2/droplets/NaN",
        "/v2/droplets/*",
        "/v2/droplets/'%20OR%201=1",
        "/v2/actions/9223372036854775808",
        "/v2/images/..%2f..%2fdewpoint.db",
        "/v2/images/%00",
        "/v2/tags/..",
        "/v2/tags/%2e%2e%2f",
        "/v2/vpcs/00000000-0000-0000-0000-00000000000g",
        "/v2/account/keys/00:00",
        "/dew/v1/../v1/tokens",
        "/docs/..%2f..%2fCargo.toml",
        "/docs/../dewpoint.db",
        "/.git/config",
        "/metrics/..",
    ] {
        refused(&admin.get(path).await, ABSENT, path);
    }
    // Written in full, encoded or not, an id is one and the same.
    let second = id.to_string().replace('1', "%31");
    assert_eq!(admin.get(&format!("/v2/droplets/{second}")).await.expect(200)["droplet"]["id"], id);
    for other in [format!("0{id}"), format!("+{id}"), format!("{id}.0"), format!("%20{id}"), format!("{id}%0a")] {
        refused(&admin.get(&format!("/v2/droplets/{other}")).await, ABSENT, &other);
    }
    for other in [volume.replace('-', ""), format!("{{{volume}}}"), format!("urn:uuid:{volume}")] {
        refused(
            &admin.get(&format!("/v2/volumes/{other}").replace('{', "%7b").replace('}', "%7d")).await,
            ABSENT,
            &other,
        );
    }
}

#[tokio::test]
async fn queries_that_cannot_be_read_are_refused_and_long_ones_find_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.create_droplet("web-1").await;
    for query in [
        "page=0",
        "page=-1",
        "page=1.5",
        "page=1e3",
        "page=0x10",
        "page=%2B1",
        "page=+1",
        "page=NaN",
        "page=%20",
        "page=1%00",
        "page=99999999999999999999",
        "page=one",
        "per_page=0",
        "per_page=-1",
        "per_page=%ff",
        "per_page=1,2",
        "name=%00",
        "tag_name=a%00b",
    ] {
        refused(&admin.get(&format!("/v2/droplets?{query}")).await, MALFORMED, query);
    }
    let long = "a".repeat(60_000);
    for query in [
        format!("tag_name={long}"),
        format!("name={long}"),
        "name=%".to_owned(),
        "name=%zz".to_owned(),
        "name[]=web-1".to_owned().replace('[', "%5b"),
        "page=1000000000000000".to_owned(),
        "page=18446744073709551615&per_page=200".to_owned(),
    ] {
        let what: String = query.chars().take(40).collect();
        let answer = admin.get(&format!("/v2/droplets?{query}")).await;
        match answer.status {
            200 => assert!(answer.text.len() < 400_000, "{what}"),
            _ => drop(refused(&answer, MALFORMED, &what)),
        }
    }
    // The same of two is the last; another name is nobody's.
    let twice = admin.get("/v2/droplets?page=2&page=1&%70age=1&_method=DELETE&unknown=1").await.expect(200);
    assert_eq!(ids(&twice["droplets"]).len(), 1);
    // What was sent in the query comes back in links, and is no more than text there.
    let links = admin.get("/v2/sizes?per_page=1&x=%22%3E%3Cscript%3E").await.expect(200)["links"].to_string();
    assert!(!links.contains('<') && links.contains("%22%3E%3Cscript%3E"), "{links}");
}

#[tokio::test]
async fn headers_change_neither_method_nor_type_nor_who_asks() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let path = format!("/v2/droplets/{id}");
    let request = |method: &str, name: &'static str, value: &[u8], body: &str| {
        let value = HeaderValue::from_bytes(value).expect("a header");
        let request = Request::builder().method(method).uri(&path).header(header::HOST, "dew.test").header(name, value);
        request.body(Body::from(body.to_owned())).expect("a request")
    };
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        admin.send(request("GET", name, b"DELETE", "_method=DELETE")).await.expect(200);
        refused(&admin.send(request("POST", name, b"DELETE", "")).await, (405, "method_not_allowed"), name);
    }
    for name in ["x-original-url", "x-rewrite-url"] {
        assert_eq!(admin.send(request("GET", name, b"/dew/v1/tokens", "")).await.expect(200)["droplet"]["id"], id);
    }
    for method in ["TRACE", "CONNECT", "PATCH", "BREW", "get", "PROPFIND"] {
        let answer = admin.send(request(method, "accept", b"*/*", "")).await;
        refused(&answer, (405, "method_not_allowed"), method);
    }
    for accept in ["text/html", "application/xml;q=1, */*;q=0", "\u{fffd}", ";;;"] {
        admin.send(request("GET", "accept", accept.as_bytes(), "")).await.expect(200);
    }
    for kind in ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=utf-16", "\"", ""] {
        let body = json!({ "name": "k", "public_key": public_key(1) }).to_string();
        let request = Request::post("/v2/account/keys").header("content-type", kind).header("content-encoding", "br");
        let made = admin.send(request.body(Body::from(body)).expect("a request")).await.expect(201);
        admin.delete(&format!("/v2/account/keys/{}", made["ssh_key"]["id"])).await.expect(204);
    }
    let answer = admin.send(request("GET", "x-request-id", b"mine", "")).await;
    assert_ne!(answer.header("x-request-id"), "mine");

    let token = admin.token();
    let nobody = app.nobody();
    let many = "a".repeat(60_000);
    for value in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer\t",
        "Bearer null",
        "Bearer \u{e9}",
        "Basic YWRtaW46YWRtaW4=",
        "Digest username=admin",
        &format!("Bearer {token}x"),
        &format!("Bearer {}", &token[..token.len() - 1]),
        &format!("Bearer {token} {token}"),
        &format!("Bearer x, Bearer {token}"),
        &format!("Bearer {}", token.to_uppercase()),
        &format!("Token {token}"),
        &format!("Bearer {many}"),
        &format!("Bearer\u{a0}{token}"),
    ] {
        let answer = nobody.send(request("GET", "authorization", value.as_bytes(), "")).await;
        refused(&answer, UNKNOWN, &value.chars().take(60).collect::<String>());
    }
    // Who of two is meant, nobody knows: a proxy may have looked at the other one.
    let mut two = request("GET", "authorization", format!("Bearer {token}").as_bytes(), "");
    two.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_static("Bearer other"));
    refused(&nobody.send(two).await, UNKNOWN, "two tokens");
    assert_eq!(admin.droplet(id).await["status"], "active");
}

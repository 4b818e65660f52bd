//! Regions and sizes, and commands of one word.

use crate::{
    commands::{api, console, env, ssh, top},
    tables::{REGION, SIZE},
    tree::{
        kind::Kind,
        spec::{Group, Place, Verb, arg, flag, group, list, own, switch},
    },
};

pub(super) fn group_of_regions() -> Group {
    group("region", &["r"], "Regions")
        .verbs([list("list", "List regions", "/v2/regions").aliases(&["ls"]).shows(&REGION)])
}

pub(super) fn group_of_sizes() -> Group {
    group("size", &[], "Sizes: what Droplets can be made of")
        .verbs([list("list", "List sizes", "/v2/sizes").aliases(&["ls"]).shows(&SIZE)])
}

pub(super) fn verbs() -> Vec<Verb> {
    let droplet = || arg("droplet", Kind::Droplet, Place::Code, Kind::Droplet.described());
    let code = |name, kind, help| flag(name, kind, Place::Code, help);
    vec![
        own("ssh", "Log in to a Droplet", |session, verb, given| Box::pin(ssh::run(session, verb, given)))
            .examples("  dew ssh web-1\n  dew ssh web-1 --ssh-command uptime\n  dew ssh web-1 -- -L 8080:localhost:80")
            .with([
                droplet(),
                code(
                    "ssh-user",
                    Kind::Text("USER"),
                    "Who logs in [default: root; of a name such as core@web-1 that one]",
                ),
                code("ssh-key-path", Kind::Text("FILE"), "The private key [default: what ssh takes anyway]"),
                code("ssh-port", Kind::Whole("PORT"), "The port [default: 22, or where the server forwards it]"),
                code("ssh-command", Kind::Text("COMMAND"), "What to run there instead of a shell"),
                switch("ssh-agent-forwarding", Place::Code, "Let the Droplet use this host's SSH agent"),
                switch("ssh-private-ip", Place::Code, "Go to the private address"),
                arg("options", Kind::Text("OPTIONS"), Place::Code, "After --: options for ssh itself")
                    .many()
                    .optional()
                    .last(),
            ]),
        own("logs", "Show what a Droplet wrote to its serial console, the end of it", |session, verb, given| {
            Box::pin(console::logs(session, verb, given))
        })
        .with([droplet(), switch("follow", Place::Code, "Go on as it is written, until Ctrl-C")]),
        own("console", "Use a Droplet's serial console in this terminal", |session, verb, given| {
            Box::pin(console::run(session, verb, given))
        })
        .with([droplet()]),
        own("top", "Watch Droplets, actions and stock, until q or Ctrl-C", |session, verb, given| {
            Box::pin(top::run(session, verb, given))
        })
        .with([
            code("interval", Kind::Whole("SECONDS"), "Between two looks [default: 2]"),
            switch("once", Place::Code, "Print it once and end"),
        ]),
        own("env", "Print what points the SDKs, doctl and Terraform at the server", |session, verb, given| {
            Box::pin(env::run(session, verb, given))
        })
        .examples("  eval \"$(dew env)\"")
        .with([code("shell", Kind::Word(&["posix", "fish"]), "For which shell [default: posix]")]),
        own("api", "Send any request, with the token and the address of the context", |session, verb, given| {
            Box::pin(api::run(session, verb, given))
        })
        .examples(
            "  dew api GET /v2/account
  dew api POST /v2/tags -f name=web
  dew api PUT /dew/v1/clock -f advance_seconds=60
  dew api POST /v2/droplets --body droplet.json",
        )
        .with([
            arg("method", Kind::Text("METHOD"), Place::Code, "GET, POST, PUT, PATCH or DELETE"),
            arg("path", Kind::Text("PATH"), Place::Code, "The path, with its query: /v2/droplets?tag_name=web"),
            code(
                "field",
                Kind::Text("NAME=VALUE"),
                "A member of the body; numbers, true, false, null and JSON are read as such",
            )
            .repeated()
            .short('f'),
            code("body", Kind::File, "A file with the body; - is standard input"),
        ]),
    ]
}

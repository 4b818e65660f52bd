//! `dew ssh-key`: public keys that new Droplets let in.

use crate::{
    commands::ssh_key,
    tables::SSH_KEY,
    tree::{
        kind::Kind,
        spec::{Group, Place, arg, delete, flag, get, group, id, list, post, put},
    },
};

pub(super) fn group_of_ssh_keys() -> Group {
    let one = || [id("key", Kind::SshKey)];
    let name = || arg("name", Kind::Text("NAME"), Place::Body("name"), "What it is called");
    group("ssh-key", &["k"], "SSH keys that new Droplets let in").verbs([
        list("list", "List keys", "/v2/account/keys").aliases(&["ls"]).shows(&SSH_KEY),
        get("get", "Show a key", "/v2/account/keys/{key}").aliases(&["g"]).with(one()).shows(&SSH_KEY),
        post("create", "Add a key", "/v2/account/keys")
            .aliases(&["c"])
            .with([
                name(),
                flag(
                    "public-key",
                    Kind::Text("KEY"),
                    Place::Body("public_key"),
                    "The public key, as a .pub file has it",
                )
                .required(),
            ])
            .shows(&SSH_KEY),
        post("import", "Add a key from its file", "/v2/account/keys")
            .aliases(&["i"])
            .examples("  dew ssh-key import me --public-key-file ~/.ssh/id_ed25519.pub")
            .with([name(), flag("public-key-file", Kind::File, Place::Code, "The file of the public key").required()])
            .shows(&SSH_KEY)
            .run(|session, verb, given| Box::pin(ssh_key::import(session, verb, given))),
        put("update", "Rename a key", "/v2/account/keys/{key}")
            .aliases(&["u"])
            .with(one())
            .with([flag("key-name", Kind::Text("NAME"), Place::Body("name"), "The new name").required()])
            .shows(&SSH_KEY),
        delete("delete", "Delete keys; Droplets that let them in go on doing so", "/v2/account/keys/{key}")
            .aliases(&["d", "rm"])
            .with([id("key", Kind::SshKey).many()])
            .destroys("delete SSH key"),
    ])
}

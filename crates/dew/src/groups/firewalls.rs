//! `dew firewall`: what may reach Droplets, and what they may reach.

use crate::{
    commands::firewall,
    tables::FIREWALL,
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Verb, arg, delete, flag, get, group, id, list, post, put},
    },
};

const RULES: &str = "  dew firewall create web --tag-names web \\
    --inbound-rules \"protocol:tcp,ports:22,address:10.0.0.0/8 protocol:tcp,ports:80,address:::/0\" \\
    --outbound-rules \"protocol:tcp,ports:all,address:0.0.0.0/0\"

A rule is its parts with commas between; rules have spaces between. Parts: protocol:tcp|udp|icmp,
ports:80, ports:8000-9000 or ports:all, and any number of address:, tag:, droplet_id:,
load_balancer_uid:.";

fn rules() -> [Param; 2] {
    let rule = |name, help| flag(name, Kind::Text("RULES"), Place::Code, help);
    [rule("inbound-rules", "What may come in"), rule("outbound-rules", "What may go out")]
}

fn droplets() -> Param {
    flag("droplet-ids", Kind::Droplet, Place::Body("droplet_ids"), "Droplets it is for").many()
}

fn tags() -> Param {
    flag("tag-names", Kind::Tag, Place::Body("tags"), "Tags: it is for every Droplet with one of them").many()
}

/// A change to a part of a firewall.
fn part(verb: Verb, params: impl IntoIterator<Item = Param>) -> Verb {
    verb.with([id("firewall", Kind::Firewall)]).with(params)
}

pub(super) fn group_of_firewalls() -> Group {
    let one = || [id("firewall", Kind::Firewall)];
    group("firewall", &["fw"], "Firewalls: what may reach Droplets, and what they may reach").verbs([
        post("create", "Make a firewall", "/v2/firewalls")
            .aliases(&["c"])
            .examples(RULES)
            .with([
                Param {
                    is_required: false,
                    ..arg("firewall-name", Kind::Text("NAME"), Place::Code, "What it is called")
                },
                flag("name", Kind::Text("NAME"), Place::Code, "The same as a flag").instead_of("firewall-name"),
                droplets(),
                tags(),
            ])
            .with(rules())
            .shows(&FIREWALL)
            .run(|session, verb, given| Box::pin(firewall::create(session, verb, given))),
        put("update", "Put other rules and Droplets in the place of a firewall's", "/v2/firewalls/{firewall}")
            .aliases(&["u"])
            .with(one())
            .with([flag("name", Kind::Text("NAME"), Place::Code, "What it is called").required(), droplets(), tags()])
            .with(rules())
            .shows(&FIREWALL)
            .run(|session, verb, given| Box::pin(firewall::update(session, verb, given))),
        get("get", "Show a firewall", "/v2/firewalls/{firewall}").aliases(&["g"]).with(one()).shows(&FIREWALL),
        list("list", "List firewalls", "/v2/firewalls").aliases(&["ls"]).shows(&FIREWALL),
        list("list-by-droplet", "List the firewalls in force for a Droplet", "/v2/droplets/{droplet}/firewalls")
            .with([id("droplet", Kind::Droplet)])
            .shows(&FIREWALL),
        delete("delete", "Delete firewalls", "/v2/firewalls/{firewall}")
            .aliases(&["d", "rm"])
            .with([id("firewall", Kind::Firewall).many()])
            .destroys("delete firewall"),
        part(
            post("add-droplets", "Put a firewall in force for Droplets", "/v2/firewalls/{firewall}/droplets"),
            [droplets().required()],
        ),
        part(
            delete("remove-droplets", "Take a firewall off Droplets", "/v2/firewalls/{firewall}/droplets"),
            [droplets().required()],
        ),
        part(
            post("add-tags", "Put a firewall in force for Droplets with a tag", "/v2/firewalls/{firewall}/tags"),
            [tags().required()],
        ),
        part(
            delete("remove-tags", "Take a firewall off Droplets with a tag", "/v2/firewalls/{firewall}/tags"),
            [tags().required()],
        ),
        part(post("add-rules", "Add rules", "/v2/firewalls/{firewall}/rules"), rules())
            .run(|session, verb, given| Box::pin(firewall::rules(session, verb, given))),
        part(delete("remove-rules", "Take rules out", "/v2/firewalls/{firewall}/rules"), rules())
            .run(|session, verb, given| Box::pin(firewall::rules(session, verb, given))),
    ])
}

//! Every group of commands that asks a server, a file a resource. `tests/cli/reach.rs` compares them with the list of operations.

mod account;
mod actions;
mod domains;
mod droplet_actions;
mod droplets;
mod firewalls;
mod images;
mod models;
mod projects;
mod reserved_ips;
mod singles;
mod snapshots;
mod ssh_keys;
mod tags;
mod volumes;
mod vpcs;

use crate::{
    output::Table,
    tree::spec::{Group, Verb},
};

/// The group that `dew` has below `compute` alone: `dew image` is this host's base images.
pub(crate) const ONLY_COMPUTE: &str = "image";

/// What doctl keeps below `compute`.
pub(crate) fn compute() -> Vec<Group> {
    vec![
        droplets::group_of_droplets(),
        droplet_actions::group_of_droplet_actions(),
        actions::group_of_actions(),
        images::group_of_images(),
        images::group_of_image_actions(),
        volumes::group_of_volumes(),
        volumes::group_of_volume_actions(),
        snapshots::group_of_snapshots(),
        ssh_keys::group_of_ssh_keys(),
        tags::group_of_tags(),
        singles::group_of_regions(),
        singles::group_of_sizes(),
        domains::group_of_domains(),
        firewalls::group_of_firewalls(),
        reserved_ips::group_of_reserved_ips(),
        reserved_ips::group_of_reserved_ip_actions(),
        reserved_ips::group_of_reserved_ipv6(),
        reserved_ips::group_of_reserved_ipv6_actions(),
        reserved_ips::group_of_floating_ips(),
        reserved_ips::group_of_floating_ip_actions(),
    ]
}

/// Groups beside `compute`.
pub(crate) fn others() -> Vec<Group> {
    vec![
        vpcs::group_of_vpcs(),
        projects::group_of_projects(),
        account::group_of_accounts(),
        models::group_of_models(),
        models::group_of_model_keys(),
        models::group_of_gradient(),
    ]
}

/// Commands of one word.
pub(crate) fn single() -> Vec<Verb> {
    let mut verbs = singles::verbs();
    verbs.push(models::chat());
    verbs.push(models::embeddings());
    verbs.push(models::usage());
    verbs
}

/// The table that a command of these groups prints.
pub(crate) fn table(words: &str) -> Option<&'static Table> {
    fn below(group: &Group, words: &[&str]) -> Option<&'static Table> {
        let (first, rest) = words.split_first()?;
        if rest.is_empty() {
            return group.verbs.iter().find(|verb| verb.name == *first)?.call.table;
        }
        below(group.groups.iter().find(|group| group.name == *first)?, rest)
    }
    let words: Vec<&str> = words.split(' ').collect();
    let (first, rest) = words.split_first()?;
    if let Some(verb) = single().into_iter().find(|verb| rest.is_empty() && verb.name == *first) {
        return verb.call.table;
    }
    let all: Vec<Group> = compute().into_iter().chain(others()).collect();
    below(all.iter().find(|group| group.name == *first)?, rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Reached by a flag of a command that is about something else, or by `dew api` alone.
    const BY_FLAG: [(&str, &str); 3] = [
        // dew droplet associated destroy --all
        ("DELETE", "/v2/droplets/{}/destroy_with_associated_resources/dangerous"),
        // dew droplet delete --tag-name
        ("DELETE", "/v2/droplets"),
        // dew gradient list-models shows the same models
        ("GET", "/v1/models"),
    ];

    fn verbs(group: &Group, found: &mut BTreeSet<(String, String)>) {
        found.extend(group.verbs.iter().map(|verb| (verb.call.method.to_owned(), blank(verb.call.path))));
        group.groups.iter().for_each(|below| verbs(below, found));
    }

    /// A path without the names of its places. The word that names the default project is an id like others.
    fn blank(path: &str) -> String {
        let part = |part: &str| match part {
            part if part.starts_with('{') => "{}".to_owned(),
            "default" => "{}".to_owned(),
            part => part.to_owned(),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_operation_that_is_served_has_a_command_and_no_command_asks_for_another() {
        let spec: toml::Table = include_str!("../../../../spec/operations.toml").parse().expect("TOML");
        let text = |operation: &toml::Value, member: &str| operation[member].as_str().expect("a text").to_owned();
        let served =
            spec["operations"].as_array().expect("a list").iter().filter(|one| text(one, "status") != "not yet");
        let served: BTreeSet<_> = served.map(|one| (text(one, "method"), blank(&text(one, "path")))).collect();
        let mut reached = BTreeSet::new();
        compute().iter().chain(&others()).for_each(|group| verbs(group, &mut reached));
        reached.extend(single().iter().map(|verb| (verb.call.method.to_owned(), blank(verb.call.path))));
        reached.extend(BY_FLAG.map(|(method, path)| (method.to_owned(), path.to_owned())));
        assert_eq!(served.difference(&reached).collect::<Vec<_>>(), Vec::<&_>::new(), "served, without a command");
        reached.retain(|(_, path)| path.starts_with("/v2/") || path.starts_with("/v1/"));
        assert_eq!(reached.difference(&served).collect::<Vec<_>>(), Vec::<&_>::new(), "asked for, not served");
    }

    #[test]
    fn what_a_path_leaves_open_is_a_parameter_and_every_command_says_what_it_is() {
        fn check(group: &Group, words: &str) {
            for verb in &group.verbs {
                let words = format!("{words} {}", verb.name);
                assert!(!verb.about.is_empty() && !verb.about.ends_with('.'), "{words}");
                for open in verb.call.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                    assert!(verb.params.iter().any(|param| param.name == open), "{words}: {open}");
                }
                for param in &verb.params {
                    assert!(!param.help.is_empty(), "{words}: {}", param.name);
                }
            }
            group.groups.iter().for_each(|below| check(below, &format!("{words} {}", below.name)));
        }
        compute().iter().chain(&others()).for_each(|group| check(group, group.name));
    }
}

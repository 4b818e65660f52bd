//! Kinds of values: how they are written on the command line, how a name becomes the id that a request needs, and what a shell
//! completes them with.

use anyhow::Result;
use serde_json::Value;

use crate::{
    client::Client,
    failure::{Failure, Kind as Failed},
    output::{Json, Table},
    tables,
};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text; the word stands for it in help.
    Text(&'static str),
    /// A whole number.
    Whole(&'static str),
    /// True or false.
    Bool,
    /// There or not.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An amount of storage: 5, 5GiB, 1TiB; in whole GiB.
    Gib,
    /// The path of a file whose text is the value.
    File,
    Droplet,
    Image,
    Volume,
    Snapshot,
    SshKey,
    Vpc,
    Peering,
    Firewall,
    Project,
    Domain,
    Tag,
    Region,
    Size,
    ReservedIp,
    ReservedIpv6,
    Action,
    Model,
    ServedModel,
    ModelKey,
}

/// Where the ids of a kind are listed.
pub(crate) struct Listing {
    pub(crate) path: &'static str,
    pub(crate) table: &'static Table,
    /// The member that requests name it by.
    pub(crate) id: &'static str,
    /// The member that people name it by; the same where they name it by its id.
    pub(crate) name: &'static str,
    /// What finds those that the list leaves out unless they are asked for: GPU Droplets.
    leaves_out: Option<(&'static str, &'static str)>,
}

impl Listing {
    /// All there are, those too that the list leaves out.
    pub(crate) async fn all(&self, client: &Client, query: &[(String, String)]) -> Result<Vec<Json>> {
        let mut found = client.list(self.path, query, self.table).await?;
        if let Some((name, value)) = self.leaves_out {
            let query = [query, &[(name.to_owned(), value.to_owned())]].concat();
            found.extend(client.list(self.path, &query, self.table).await?);
        }
        Ok(found)
    }
}

impl Kind {
    /// The word for it in help.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text(word) | Self::Whole(word) => word,
            Self::Bool => "true|false",
            Self::Switch | Self::Word(_) => "WORD",
            Self::Gib => "GIB",
            Self::File => "FILE",
            Self::Droplet => "DROPLET",
            Self::Image => "IMAGE",
            Self::Volume => "VOLUME",
            Self::Snapshot => "SNAPSHOT",
            Self::SshKey => "KEY",
            Self::Vpc => "VPC",
            Self::Peering => "PEERING",
            Self::Firewall => "FIREWALL",
            Self::Project => "PROJECT",
            Self::Domain => "DOMAIN",
            Self::Tag => "TAG",
            Self::Region => "REGION",
            Self::Size => "SIZE",
            Self::ReservedIp | Self::ReservedIpv6 => "ADDRESS",
            Self::Action => "ACTION",
            Self::Model => "MODEL",
            Self::ServedModel => "ADDED_MODEL",
            Self::ModelKey => "MODEL_KEY",
        }
    }

    /// What it is, for a positional's help.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Droplet => "A Droplet, by id or name",
            Self::Image => "An image, by id or slug",
            Self::Volume => "A volume, by id or name",
            Self::Snapshot => "A snapshot, by id or name",
            Self::SshKey => "An SSH key, by id, fingerprint or name",
            Self::Vpc => "A VPC, by id or name",
            Self::Peering => "A peering, by id or name",
            Self::Firewall => "A firewall, by id or name",
            Self::Project => "A project, by id or name, or the word default",
            Self::Domain => "A domain",
            Self::Tag => "A tag",
            Self::Region => "A region, by its slug",
            Self::Size => "A size, by its slug",
            Self::ReservedIp => "A reserved IPv4 address",
            Self::ReservedIpv6 => "A reserved IPv6 address",
            Self::Action => "An action, by its id",
            Self::Model => "A model, by its name",
            Self::ServedModel => "A model that was added, by its name",
            Self::ModelKey => "A model access key, by id or name",
            Self::Text(_) | Self::Whole(_) | Self::Bool | Self::Switch | Self::Word(_) | Self::Gib | Self::File => "",
        }
    }

    /// Where what there is of it is listed.
    pub(crate) fn listing(self) -> Option<Listing> {
        let (path, table, id, name) = match self {
            Self::Droplet => ("/v2/droplets", &tables::DROPLET, "id", "name"),
            Self::Image => ("/v2/images", &tables::IMAGE, "id", "slug"),
            Self::Volume => ("/v2/volumes", &tables::VOLUME, "id", "name"),
            Self::Snapshot => ("/v2/snapshots", &tables::SNAPSHOT, "id", "name"),
            Self::SshKey => ("/v2/account/keys", &tables::SSH_KEY, "id", "name"),
            Self::Vpc => ("/v2/vpcs", &tables::VPC, "id", "name"),
            Self::Peering => ("/v2/vpc_peerings", &tables::PEERING, "id", "name"),
            Self::Firewall => ("/v2/firewalls", &tables::FIREWALL, "id", "name"),
            Self::Project => ("/v2/projects", &tables::PROJECT, "id", "name"),
            Self::Domain => ("/v2/domains", &tables::DOMAIN, "name", "name"),
            Self::Tag => ("/v2/tags", &tables::TAG, "name", "name"),
            Self::Region => ("/v2/regions", &tables::REGION, "slug", "slug"),
            Self::Size => ("/v2/sizes", &tables::SIZE, "slug", "slug"),
            Self::ReservedIp => ("/v2/reserved_ips", &tables::RESERVED_IP, "ip", "ip"),
            Self::ReservedIpv6 => ("/v2/reserved_ipv6", &tables::RESERVED_IPV6, "ip", "ip"),
            Self::Action => ("/v2/actions", &tables::ACTION, "id", "type"),
            Self::Model => ("/v2/gen-ai/models", &tables::LISTED_MODEL, "id", "id"),
            Self::ServedModel => ("/dew/v1/models", &tables::SERVED_MODEL, "name", "name"),
            Self::ModelKey => ("/v2/gen-ai/models/api_keys", &tables::MODEL_KEY, "uuid", "name"),
            Self::Text(_) | Self::Whole(_) | Self::Bool | Self::Switch | Self::Word(_) | Self::Gib | Self::File => {
                return None;
            }
        };
        Some(Listing { path, table, id, name, leaves_out: (self == Self::Droplet).then_some(("type", "gpus")) })
    }

    /// The kind a word in help stands for.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        const ALL: [Kind; 19] = [
            Kind::Droplet,
            Kind::Image,
            Kind::Volume,
            Kind::Snapshot,
            Kind::SshKey,
            Kind::Vpc,
            Kind::Peering,
            Kind::Firewall,
            Kind::Project,
            Kind::Domain,
            Kind::Tag,
            Kind::Region,
            Kind::Size,
            Kind::ReservedIp,
            Kind::ReservedIpv6,
            Kind::Action,
            Kind::Model,
            Kind::ServedModel,
            Kind::ModelKey,
        ];
        ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether the text is what requests name it by, so that nothing has to be looked up.
    fn is_id(self, text: &str) -> bool {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_uuid = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        match self {
            Self::Droplet => is_number,
            Self::Snapshot => is_number || is_uuid,
            Self::SshKey => is_number || text.split(':').count() == 16,
            Self::Volume | Self::Vpc | Self::Peering | Self::Firewall | Self::ModelKey => is_uuid,
            Self::Project => is_uuid || text == "default",
            _ => true,
        }
    }

    /// What a request holds for this text: names looked up, numbers as numbers.
    pub(crate) async fn value(self, client: &Client, text: &str) -> Result<Value> {
        let text = match self {
            Self::File => return Ok(Value::from(file(text)?)),
            Self::Gib => return Ok(Value::from(gib(text)?)),
            Self::Bool => return Ok(Value::from(text == "true")),
            _ if self.is_id(text) => text.to_owned(),
            _ => self.look_up(client, text).await?,
        };
        // Ids of these are numbers, and a slug or a fingerprint is none.
        let is_number = matches!(self, Self::Whole(_) | Self::Droplet | Self::Image | Self::SshKey | Self::Action);
        Ok(match text.parse::<u64>() {
            Ok(number) if is_number => Value::from(number),
            Ok(_) | Err(_) => Value::from(text),
        })
    }

    /// The id of the one thing of this name. Fails when there is none, or several.
    async fn look_up(self, client: &Client, name: &str) -> Result<String> {
        let Some(listing) = self.listing() else { return Ok(name.to_owned()) };
        // Where the server can search for a name the whole list need not come.
        let query = match self {
            Self::Droplet | Self::Volume => vec![("name".to_owned(), name.to_owned())],
            _ => Vec::new(),
        };
        let found = listing.all(client, &query).await?;
        let found: Vec<&Json> = found.iter().filter(|object| object.at(listing.name).cell() == name).collect();
        let what = self.word().to_lowercase();
        match found[..] {
            [one] => Ok(one.at(listing.id).cell()),
            [] => Err(Failure::new(Failed::NotFound, format!("there is no {what} called {name}"))
                .hint(format!("{} lists what there is", self.command()))
                .into()),
            _ => {
                let ids: Vec<String> = found.iter().map(|object| object.at(listing.id).cell()).collect();
                Err(Failure::usage(format!("there are {} called {name}", ids.len()))
                    .hint(format!("name one by its id: {}", ids.join(", ")))
                    .into())
            }
        }
    }

    /// The command that lists what there is of it.
    fn command(self) -> &'static str {
        match self {
            Self::Droplet => "`dew droplet list`",
            Self::Image => "`dew compute image list`",
            Self::Volume => "`dew volume list`",
            Self::Snapshot => "`dew snapshot list`",
            Self::SshKey => "`dew ssh-key list`",
            Self::Vpc => "`dew vpcs list`",
            Self::Peering => "`dew vpcs peerings list`",
            Self::Firewall => "`dew firewall list`",
            Self::Project => "`dew projects list`",
            Self::ModelKey => "`dew model-key list`",
            _ => "`dew --help`",
        }
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn file(path: &str) -> Result<String> {
    let text = match path {
        "-" => std::io::read_to_string(std::io::stdin()),
        path => std::fs::read_to_string(path),
    };
    text.map_err(|error| Failure::usage(format!("cannot read {path}: {error}")).into())
}

/// Whole GiB: a bare number, or one with a unit as doctl takes them.
fn gib(text: &str) -> Result<u64> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "g" | "gb" | "gib" => Some(1),
        "t" | "tb" | "tib" => Some(1024),
        _ => None,
    };
    let found = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    found.ok_or_else(|| {
        Failure::usage(format!("{text:?} is no size of a volume"))
            .hint("a size is a whole number of GiB, such as 5, 5GiB or 1TiB")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let read = |text| gib(text).ok();
        assert_eq!([read("5"), read("5GiB"), read("1TiB"), read("2 tb")], [Some(5), Some(5), Some(1024), Some(2048)]);
        assert_eq!([read(""), read("GiB"), read("5MiB"), read("-1"), read("1.5GiB")], [None; 5]);
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(Kind::Droplet.is_id("3164494") && !Kind::Droplet.is_id("web-1"));
        assert!(Kind::SshKey.is_id("3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45") && !Kind::SshKey.is_id("me"));
        assert!(Kind::Vpc.is_id("760e09ef-dc84-11e8-981e-3cfdfeaae000") && !Kind::Vpc.is_id("default-nyc3"));
    }
}

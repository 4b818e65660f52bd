//! Scopes: what a token may do (behaviour rules AUTH-3 to AUTH-7).

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Invalid, word::words};

words! {
    /// One right, as the public API names it: a resource and what may be done with it.
    pub enum Scope {
        /// See the account.
        AccountRead = "account:read",
        /// See actions of all kinds.
        ActionsRead = "actions:read",
        /// Read anything of block storage; an older word (behaviour.md, section 17).
        ApiRead = "api:read",
        /// Change anything of block storage; an older word (behaviour.md, section 17).
        ApiWrite = "api:write",
        /// Make volumes.
        BlockStorageCreate = "block_storage:create",
        /// Remove volumes.
        BlockStorageDelete = "block_storage:delete",
        /// See volumes.
        BlockStorageRead = "block_storage:read",
        /// Change volumes, their tags included.
        BlockStorageUpdate = "block_storage:update",
        /// Attach, detach and resize volumes.
        BlockStorageActionCreate = "block_storage_action:create",
        /// See what was done to volumes.
        BlockStorageActionRead = "block_storage_action:read",
        /// Make snapshots of volumes.
        BlockStorageSnapshotCreate = "block_storage_snapshot:create",
        /// Remove snapshots of volumes.
        BlockStorageSnapshotDelete = "block_storage_snapshot:delete",
        /// See snapshots of volumes.
        BlockStorageSnapshotRead = "block_storage_snapshot:read",
        /// Change snapshots of volumes, their tags included.
        BlockStorageSnapshotUpdate = "block_storage_snapshot:update",
        /// Make domains and their records.
        DomainCreate = "domain:create",
        /// Remove domains and their records.
        DomainDelete = "domain:delete",
        /// See domains and their records.
        DomainRead = "domain:read",
        /// Change records of domains.
        DomainUpdate = "domain:update",
        /// Restore, rebuild and reset the password of Droplets.
        DropletAdmin = "droplet:admin",
        /// Make Droplets.
        DropletCreate = "droplet:create",
        /// Remove Droplets.
        DropletDelete = "droplet:delete",
        /// See Droplets.
        DropletRead = "droplet:read",
        /// Change Droplets.
        DropletUpdate = "droplet:update",
        /// Make firewalls.
        FirewallCreate = "firewall:create",
        /// Remove firewalls.
        FirewallDelete = "firewall:delete",
        /// See firewalls.
        FirewallRead = "firewall:read",
        /// Change firewalls, and what they guard.
        FirewallUpdate = "firewall:update",
        /// Make model access keys.
        GenAiCreate = "genai:create",
        /// Remove model access keys.
        GenAiDelete = "genai:delete",
        /// See models and model access keys.
        GenAiRead = "genai:read",
        /// Rename model access keys and give them other secrets.
        GenAiUpdate = "genai:update",
        /// Make images.
        ImageCreate = "image:create",
        /// Remove images.
        ImageDelete = "image:delete",
        /// See images.
        ImageRead = "image:read",
        /// Change images.
        ImageUpdate = "image:update",
        /// Put resources into projects.
        ProjectAssignResource = "project:assign_resource",
        /// Make projects.
        ProjectCreate = "project:create",
        /// Remove projects.
        ProjectDelete = "project:delete",
        /// See projects.
        ProjectRead = "project:read",
        /// Change projects.
        ProjectUpdate = "project:update",
        /// See regions.
        RegionsRead = "regions:read",
        /// Reserve addresses.
        ReservedIpCreate = "reserved_ip:create",
        /// Give reserved addresses up.
        ReservedIpDelete = "reserved_ip:delete",
        /// See reserved addresses.
        ReservedIpRead = "reserved_ip:read",
        /// Give reserved addresses to Droplets.
        ReservedIpUpdate = "reserved_ip:update",
        /// See sizes.
        SizesRead = "sizes:read",
        /// Remove snapshots.
        SnapshotDelete = "snapshot:delete",
        /// See snapshots.
        SnapshotRead = "snapshot:read",
        /// Add SSH keys.
        SshKeyCreate = "ssh_key:create",
        /// Remove SSH keys.
        SshKeyDelete = "ssh_key:delete",
        /// See SSH keys.
        SshKeyRead = "ssh_key:read",
        /// Rename SSH keys.
        SshKeyUpdate = "ssh_key:update",
        /// Make tags, and put them on things.
        TagCreate = "tag:create",
        /// Remove tags, and take them off things.
        TagDelete = "tag:delete",
        /// See tags.
        TagRead = "tag:read",
        /// Make VPCs.
        VpcCreate = "vpc:create",
        /// Remove VPCs.
        VpcDelete = "vpc:delete",
        /// Join VPCs.
        VpcPeeringCreate = "vpc_peering:create",
        /// Part VPCs that were joined.
        VpcPeeringDelete = "vpc_peering:delete",
        /// See which VPCs are joined.
        VpcPeeringRead = "vpc_peering:read",
        /// Rename what joins VPCs.
        VpcPeeringUpdate = "vpc_peering:update",
        /// See VPCs.
        VpcRead = "vpc:read",
        /// Change VPCs.
        VpcUpdate = "vpc:update",
    }
}

impl Scope {
    /// Whether it only lets one see.
    pub fn is_read(self) -> bool {
        self.as_str().ends_with(":read")
    }

    const fn bit(self) -> u128 {
        1 << self as u64
    }
}

const _: () = assert!(Scope::ALL.len() <= 128, "a set of scopes is the bits of a u128");

/// A set of scopes, as the bits of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(u128);

impl ScopeSet {
    /// The set with `scope` added.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether `scope` is in it.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes in it, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::default(), Self::with)
    }
}

/// What a token may do. As text, the names with spaces between: `full`, `read`, `droplet:create droplet:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scopes {
    /// Everything, our own endpoints included.
    Full,
    /// Everything that ends in `:read`.
    ReadOnly,
    /// These and no more.
    Custom(ScopeSet),
}

impl Scopes {
    /// Whether a token with these may do what `scope` guards.
    pub fn allows(self, scope: Scope) -> bool {
        match self {
            Self::Full => true,
            Self::ReadOnly => scope.is_read(),
            Self::Custom(set) => set.contains(scope),
        }
    }

    /// Whether they are all there are, which our own endpoints ask for.
    pub const fn is_full(self) -> bool {
        match self {
            Self::Full => true,
            Self::ReadOnly | Self::Custom(_) => false,
        }
    }

    /// Reads names of scopes; `*` and `full` mean all, `read` all that only see. No name at all is refused, since a
    /// token for nothing is a mistake.
    ///
    /// Fails, as a 422, for a name that is not known.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let (mut set, mut all_reads, mut any) = (ScopeSet::default(), false, false);
        for name in names {
            any = true;
            match name {
                "*" | "full" => return Ok(Self::Full),
                "read" | "*:read" => all_reads = true,
                other => {
                    let scope = other.parse().map_err(|_| {
                        Invalid::new("scopes", format!("has {other:?}, which is no scope of this server."))
                    })?;
                    set = set.with(scope);
                }
            }
        }
        if !any {
            return Err(Invalid::new("scopes", "is empty: name at least one scope, or leave it out for all."));
        }
        if !all_reads {
            return Ok(Self::Custom(set));
        }
        if set.iter().all(Scope::is_read) {
            return Ok(Self::ReadOnly);
        }
        let reads = Scope::ALL.iter().copied().filter(|scope| scope.is_read());
        Ok(Self::Custom(set.iter().chain(reads).collect()))
    }

    /// The names they are shown by.
    pub fn names(self) -> Vec<&'static str> {
        match self {
            Self::Full => vec!["full"],
            Self::ReadOnly => vec!["read"],
            Self::Custom(set) => set.iter().map(Scope::as_str).collect(),
        }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

impl FromStr for Scopes {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_names(text.split([' ', ',']).filter(|name| !name.is_empty()))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Self::from_names(names.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Scopes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scopes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "examples": [["droplet:read", "image:read"]] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Scopes {
        text.parse().expect("known names")
    }

    #[test]
    fn every_scope_reads_back_from_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        assert_eq!("droplet:create".parse(), Ok(Scope::DropletCreate));
        assert!("droplet:fly".parse::<Scope>().is_err());
    }

    #[test]
    fn a_token_may_do_what_its_scopes_name_and_no_more_auth_3() {
        for scope in Scope::ALL {
            assert!(Scopes::Full.allows(*scope));
            assert_eq!(Scopes::ReadOnly.allows(*scope), scope.as_str().ends_with(":read"));
            assert_eq!(parsed("droplet:create").allows(*scope), *scope == Scope::DropletCreate);
        }
    }

    #[test]
    fn scopes_read_back_from_their_text() {
        for text in ["full", "read", "droplet:create droplet:read"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("*"), Scopes::Full);
        assert_eq!(parsed("read, image:read"), Scopes::ReadOnly);
        let mixed = parsed("read,droplet:create");
        assert!(mixed.allows(Scope::VpcRead) && mixed.allows(Scope::DropletCreate) && !mixed.allows(Scope::VpcCreate));
        assert!("".parse::<Scopes>().is_err() && "droplet:fly".parse::<Scopes>().is_err());
    }
}

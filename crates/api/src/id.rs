//! The names of things: a type for each, so that one is never taken for another.
//!
//! Droplets, actions, images and SSH keys are numbered; volumes, VPCs and tokens have UUIDs. Numbers stay below 2^53,
//! since many clients read JSON numbers as doubles.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no id: not a number, or no UUID, or not written as one is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("that is not an id as ids are written")
    }
}

impl std::error::Error for NotAnId {}

/// Declares one id type over a number or a UUID.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
        )]
        $(#[$meta])*
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let inner: $inner = text.parse().map_err(|_| NotAnId)?;
                // Written otherwise, such as `007` or in braces, it would be a second name of one thing.
                if inner.to_string().eq_ignore_ascii_case(text) { Ok(Self(inner)) } else { Err(NotAnId) }
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> Self {
                Self(inner)
            }
        }
    };
}

id!(
    /// Names a Droplet, for life and never again after it.
    DropletId(u64)
);
id!(
    /// Names an action. One sequence over all kinds of resource (behaviour rule ACT-1).
    ActionId(u64)
);
id!(
    /// Names an image: a public one, a snapshot, a backup or a custom image.
    ImageId(u64)
);
id!(
    /// Names an SSH key of an account.
    SshKeyId(u64)
);
id!(
    /// Names an account of this server. Never on the wire: there an account shows its UUID.
    AccountId(u64)
);
id!(
    /// Names a record of a domain.
    DomainRecordId(u64)
);
id!(
    /// Names a VPC.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VpcId(Uuid)
);
id!(
    /// Names a firewall.
    #[schemars(with = "String", extend("format" = "uuid"))]
    FirewallId(Uuid)
);
id!(
    /// Names a VPC peering.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VpcPeeringId(Uuid)
);
id!(
    /// Names a block storage volume.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VolumeId(Uuid)
);
id!(
    /// Names the snapshot of a volume.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VolumeSnapshotId(Uuid)
);
id!(
    /// Names a project.
    #[schemars(with = "String", extend("format" = "uuid"))]
    ProjectId(Uuid)
);
id!(
    /// Names an access token, without being the token.
    #[schemars(with = "String", extend("format" = "uuid"))]
    TokenId(Uuid)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_bare_value_in_json_and_in_text() {
        assert_eq!(serde_json::to_string(&DropletId(42)).expect("a number"), "42");
        assert_eq!("42".parse::<DropletId>(), Ok(DropletId(42)));
        for other in ["-1", "+42", "042", " 42", "42 ", "4e1", "", "18446744073709551616"] {
            assert_eq!(other.parse::<DropletId>(), Err(NotAnId), "{other:?}");
        }
        let vpc: VpcId = serde_json::from_str("\"760e09ef-dc84-11e8-981e-3cfdfeaae000\"").expect("a UUID");
        let text = vpc.to_string();
        assert_eq!(text, "760e09ef-dc84-11e8-981e-3cfdfeaae000");
        assert_eq!(text.to_uppercase().parse(), Ok(vpc));
        for other in [text.replace('-', ""), format!("{{{text}}}"), format!("urn:uuid:{text}")] {
            assert_eq!(other.parse::<VpcId>(), Err(NotAnId), "{other:?}");
        }
    }
}

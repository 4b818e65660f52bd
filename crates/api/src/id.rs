//! The names of things: a type for each, so that one is never taken for another.
//!
//! Droplets, actions, images and SSH keys are numbered; volumes, VPCs and tokens have UUIDs. Numbers stay below 2^53,
//! since many clients read JSON numbers as doubles.

use std::{fmt, num::ParseIntError, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares one id type over a number or a UUID.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty), $error:ty) => {
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
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
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
    DropletId(u64),
    ParseIntError
);
id!(
    /// Names an action. One sequence over all kinds of resource (behaviour rule ACT-1).
    ActionId(u64),
    ParseIntError
);
id!(
    /// Names an image: a public one, a snapshot, a backup or a custom image.
    ImageId(u64),
    ParseIntError
);
id!(
    /// Names an SSH key of an account.
    SshKeyId(u64),
    ParseIntError
);
id!(
    /// Names an account of this server. Never on the wire: there an account shows its UUID.
    AccountId(u64),
    ParseIntError
);
id!(
    /// Names a record of a domain.
    DomainRecordId(u64),
    ParseIntError
);
id!(
    /// Names a VPC.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VpcId(Uuid),
    uuid::Error
);
id!(
    /// Names a block storage volume.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VolumeId(Uuid),
    uuid::Error
);
id!(
    /// Names the snapshot of a volume.
    #[schemars(with = "String", extend("format" = "uuid"))]
    VolumeSnapshotId(Uuid),
    uuid::Error
);
id!(
    /// Names a project.
    #[schemars(with = "String", extend("format" = "uuid"))]
    ProjectId(Uuid),
    uuid::Error
);
id!(
    /// Names an access token, without being the token.
    #[schemars(with = "String", extend("format" = "uuid"))]
    TokenId(Uuid),
    uuid::Error
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_bare_value_in_json_and_in_text() {
        assert_eq!(serde_json::to_string(&DropletId(42)).expect("a number"), "42");
        assert_eq!("42".parse::<DropletId>(), Ok(DropletId(42)));
        assert!("-1".parse::<DropletId>().is_err());
        let vpc: VpcId = serde_json::from_str("\"760e09ef-dc84-11e8-981e-3cfdfeaae000\"").expect("a UUID");
        assert_eq!(vpc.to_string(), "760e09ef-dc84-11e8-981e-3cfdfeaae000");
    }
}

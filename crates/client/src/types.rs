//! What requests name things by: a number or a text, whichever is at hand.

use dewpoint_api::{
    DropletId, ImageId, ImageIdOrSlug, ImageSlug, SshKey, SshKeyId, SshKeyIdOrFingerprint, Volume, VolumeId,
    VolumeReference,
};

/// Declares a name that other types turn into, around one of the wire types.
macro_rules! name {
    ($(#[$meta:meta])* $name:ident($inner:ty) { $($from:ty: |$value:ident| $to:expr;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub(crate) $inner);

        impl From<$name> for $inner {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> Self {
                Self(inner)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        $(impl From<$from> for $name {
            fn from($value: $from) -> Self {
                Self($to)
            }
        })+
    };
}

name! {
    /// An SSH key: its number, or its fingerprint.
    KeyName(SshKeyIdOrFingerprint) {
        u64: |id| SshKeyIdOrFingerprint::Id(SshKeyId(id));
        SshKeyId: |id| SshKeyIdOrFingerprint::Id(id);
        &SshKey: |key| SshKeyIdOrFingerprint::Id(key.id);
        &str: |text| text.to_owned().into();
        &String: |text| text.clone().into();
        String: |text| text.into();
    }
}

name! {
    /// An image: its number, or for a public one its slug.
    ImageName(ImageIdOrSlug) {
        u64: |id| ImageIdOrSlug::Id(ImageId(id));
        ImageId: |id| ImageIdOrSlug::Id(id);
        ImageSlug: |slug| ImageIdOrSlug::Slug(slug);
        &str: |text| text.to_owned().into();
        &String: |text| text.clone().into();
        String: |text| text.into();
    }
}

/// A volume in a request that makes a Droplet: its id, or its name within the Droplet's region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeName(pub(crate) VolumeReference);

impl From<VolumeId> for VolumeName {
    fn from(id: VolumeId) -> Self {
        Self(VolumeReference::Bare(id.to_string()))
    }
}

impl From<&Volume> for VolumeName {
    fn from(volume: &Volume) -> Self {
        volume.id.into()
    }
}

/// A UUID is an id; any other text is a name.
impl From<&str> for VolumeName {
    fn from(text: &str) -> Self {
        Self(match text.parse::<VolumeId>() {
            Ok(_) => VolumeReference::Bare(text.to_owned()),
            Err(_) => VolumeReference::Name { name: text.to_owned() },
        })
    }
}

impl From<String> for VolumeName {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// What has a Droplet's number: a number, an id, a Droplet, or what a creation answered.
pub trait NamesDroplet {
    /// The number.
    fn droplet_id(&self) -> DropletId;
}

impl NamesDroplet for DropletId {
    fn droplet_id(&self) -> DropletId {
        *self
    }
}

impl NamesDroplet for u64 {
    fn droplet_id(&self) -> DropletId {
        DropletId(*self)
    }
}

impl NamesDroplet for dewpoint_api::Droplet {
    fn droplet_id(&self) -> DropletId {
        self.id
    }
}

impl<T: NamesDroplet> NamesDroplet for crate::Kept<T> {
    fn droplet_id(&self) -> DropletId {
        self.as_ref().droplet_id()
    }
}

impl NamesDroplet for crate::Created {
    fn droplet_id(&self) -> DropletId {
        self.droplet.id
    }
}

impl<T: NamesDroplet + ?Sized> NamesDroplet for &T {
    fn droplet_id(&self) -> DropletId {
        (**self).droplet_id()
    }
}

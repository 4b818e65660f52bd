//! What to make: required things in `new`, the rest by name.

use dewpoint_api::{
    BackupPolicyRequest, DropletCreateRequest, ImageCreateRequest, PartitionMode, RegionSlug, SizeSlug,
    VolumeCreateRequest, VpcId,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::types::{ImageName, KeyName, VolumeName};

/// A Droplet to be made.
///
/// ```
/// use dewpoint_client::CreateDroplet;
///
/// let wanted = CreateDroplet::new("train-1", "gpu-h100x1-80gb", "gpu-h100x1-base")
///     .region("nyc2")
///     .ssh_key(289794)
///     .ssh_key("3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45")
///     .tag("web");
/// # drop(wanted);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CreateDroplet {
    #[serde(flatten)]
    request: DropletCreateRequest,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Several Droplets that differ in their names alone. All are made, or none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CreateDroplets(CreateDroplet);

impl CreateDroplets {
    /// Droplets of these names, at most ten, otherwise as `like` says.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>, like: CreateDroplet) -> Self {
        let names = Some(names.into_iter().map(Into::into).collect());
        Self(CreateDroplet { request: DropletCreateRequest { name: None, names, ..like.request }, ..like })
    }
}

impl CreateDroplet {
    /// A Droplet with a name, which is its first hostname; of a size such as `s-1vcpu-1gb`; from an image's number or slug.
    pub fn new(name: impl Into<String>, size: impl Into<SizeSlug>, image: impl Into<ImageName>) -> Self {
        Self::from(DropletCreateRequest {
            name: Some(name.into()),
            size: Some(size.into()),
            image: Some(image.into().into()),
            ..DropletCreateRequest::default()
        })
    }

    /// The request as the wire has it.
    pub const fn request(&self) -> &DropletCreateRequest {
        &self.request
    }

    /// Where: a region such as `nyc3`, or the beginning of its slug. Anywhere unless said.
    pub fn region(mut self, region: impl Into<RegionSlug>) -> Self {
        self.request.region = Some(region.into());
        self
    }

    /// A key to let in as root, by number or fingerprint. May be said several times.
    pub fn ssh_key(mut self, key: impl Into<KeyName>) -> Self {
        self.request.ssh_keys.push(key.into().into());
        self
    }

    /// Keys to let in as root.
    pub fn ssh_keys(mut self, keys: impl IntoIterator<Item = impl Into<KeyName>>) -> Self {
        self.request.ssh_keys.extend(keys.into_iter().map(|key| key.into().into()));
        self
    }

    /// A tag to put on; it is made when there is none of that name. May be said several times.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.request.tags.push(tag.into());
        self
    }

    /// Tags to put on.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.request.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// What cloud-init gets, at most 64 KiB.
    pub fn user_data(mut self, user_data: impl Into<String>) -> Self {
        self.request.user_data = Some(user_data.into());
        self
    }

    /// Makes regular backups, by the default policy.
    pub const fn backups(mut self, wanted: bool) -> Self {
        self.request.backups = wanted;
        self
    }

    /// Makes regular backups by a policy.
    pub fn backup_policy(mut self, policy: BackupPolicyRequest) -> Self {
        self.request.backups = true;
        self.request.backup_policy = Some(policy);
        self
    }

    /// Gives an IPv6 address.
    pub const fn ipv6(mut self, wanted: bool) -> Self {
        self.request.ipv6 = wanted;
        self
    }

    /// Collects figures.
    pub const fn monitoring(mut self, wanted: bool) -> Self {
        self.request.monitoring = wanted;
        self
    }

    /// Whether to give public addresses; yes unless said.
    pub const fn public_networking(mut self, wanted: bool) -> Self {
        self.request.public_networking = Some(wanted);
        self
    }

    /// A volume to attach: by id, or by name within the region. May be said several times.
    pub fn volume(mut self, volume: impl Into<VolumeName>) -> Self {
        self.request.volumes.push(volume.into().0);
        self
    }

    /// The VPC to be in; the region's default one unless said.
    pub fn vpc(mut self, vpc: impl Into<VpcId>) -> Self {
        self.request.vpc_uuid = Some(vpc.into().to_string());
        self
    }

    /// Whether the console's agent must be there; it is tried unless said.
    pub const fn droplet_agent(mut self, wanted: bool) -> Self {
        self.request.with_droplet_agent = Some(wanted);
        self
    }

    /// How to share out the GPU; whole unless said.
    pub fn gpu_partition_mode(mut self, mode: PartitionMode) -> Self {
        self.request.gpu_partition_mode = Some(mode.as_str().to_owned());
        self
    }

    /// A member that has no method here (yet).
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }
}

impl From<DropletCreateRequest> for CreateDroplet {
    fn from(request: DropletCreateRequest) -> Self {
        Self { request, extra: Map::new() }
    }
}

/// A volume to be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CreateVolume(VolumeCreateRequest);

impl CreateVolume {
    /// A volume of a name, with so many GiB, in a region.
    pub fn new(name: impl Into<String>, size_gib: u32, region: impl Into<RegionSlug>) -> Self {
        Self(VolumeCreateRequest {
            name: name.into(),
            size_gigabytes: Some(size_gib.into()),
            region: Some(region.into()),
            ..VolumeCreateRequest::default()
        })
    }

    /// A volume that starts as a snapshot, in its region and of its size unless said.
    pub fn from_snapshot(name: impl Into<String>, snapshot: impl Into<String>) -> Self {
        let snapshot_id = Some(snapshot.into());
        Self(VolumeCreateRequest { name: name.into(), snapshot_id, ..VolumeCreateRequest::default() })
    }

    /// How large, in GiB.
    pub fn size_gib(mut self, size_gib: u32) -> Self {
        self.0.size_gigabytes = Some(size_gib.into());
        self
    }

    /// Where.
    pub fn region(mut self, region: impl Into<RegionSlug>) -> Self {
        self.0.region = Some(region.into());
        self
    }

    /// What it is for.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.0.description = text.into();
        self
    }

    /// The file system to make on it, with its label.
    pub fn filesystem(mut self, kind: dewpoint_api::FilesystemType, label: Option<&str>) -> Self {
        self.0.filesystem_type = Some(kind.as_str().to_owned());
        self.0.filesystem_label = label.map(str::to_owned);
        self
    }

    /// A tag to put on it. May be said several times.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.0.tags.push(tag.into());
        self
    }
}

impl From<VolumeCreateRequest> for CreateVolume {
    fn from(request: VolumeCreateRequest) -> Self {
        Self(request)
    }
}

/// An image to be fetched.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CreateImage(ImageCreateRequest);

impl CreateImage {
    /// An image of a name, from an http or https address, into a region.
    pub fn new(name: impl Into<String>, url: impl Into<String>, region: impl Into<RegionSlug>) -> Self {
        Self(ImageCreateRequest {
            name: Some(name.into()),
            url: Some(url.into()),
            region: Some(region.into()),
            ..ImageCreateRequest::default()
        })
    }

    /// The operating system in it, such as `Debian`.
    pub fn distribution(mut self, name: impl Into<String>) -> Self {
        self.0.distribution = Some(name.into());
        self
    }

    /// What it is.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.0.description = text.into();
        self
    }

    /// A tag to put on it. May be said several times.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.0.tags.push(tag.into());
        self
    }
}

impl From<ImageCreateRequest> for CreateImage {
    fn from(request: ImageCreateRequest) -> Self {
        Self(request)
    }
}

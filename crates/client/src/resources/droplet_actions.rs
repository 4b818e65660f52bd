//! Actions of Droplets.

use dewpoint_api::{Action, ActionId, BackupPolicyRequest, DropletActionRequest, ImageId, SizeSlug};

use crate::{Call, Kept, List, NamesDroplet, operations as op, types::ImageName};

groups! {
    /// Actions of Droplets: what changes one over time.
    DropletActions;
}

impl DropletActions {
    /// `GET /v2/droplets/{id}/actions`, newest first.
    pub fn list(&self, droplet: impl NamesDroplet) -> List<Action> {
        self.0.list(&op::DROPLET_ACTIONS_LIST, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/{id}/actions/{action}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, droplet: impl NamesDroplet, action: impl Into<ActionId>) -> Call<Kept<Action>> {
        self.0.one(&op::DROPLET_ACTIONS_GET, &[&droplet.droplet_id(), &action.into()])
    }

    /// `POST /v2/droplets/{id}/actions`: an action of any kind. 422 while another one runs.
    pub fn initiate(&self, droplet: impl NamesDroplet, wanted: &DropletActionRequest) -> Call<Kept<Action>> {
        self.0.one_from(&op::DROPLET_ACTIONS_POST, &[&droplet.droplet_id()], wanted)
    }

    /// `POST /v2/droplets/actions?tag_name=…`: the same on every Droplet with a tag.
    pub fn bulk_initiate(&self, tag: &str, wanted: &DropletActionRequest) -> Call<Vec<Kept<Action>>> {
        self.0.many_from(&op::DROPLET_ACTIONS_POST_BY_TAG, &[], wanted).query("tag_name", tag)
    }

    fn plain(&self, droplet: impl NamesDroplet, kind: &str) -> Call<Kept<Action>> {
        self.initiate(droplet, &of(kind))
    }

    /// Asks the guest to restart.
    pub fn reboot(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "reboot")
    }

    /// Cuts the power and gives it again.
    pub fn power_cycle(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "power_cycle")
    }

    /// Asks the guest to stop.
    pub fn shutdown(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "shutdown")
    }

    /// Cuts the power.
    pub fn power_off(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "power_off")
    }

    /// Gives power.
    pub fn power_on(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "power_on")
    }

    /// Sets a new root password.
    pub fn password_reset(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "password_reset")
    }

    /// Adds an IPv6 address.
    pub fn enable_ipv6(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "enable_ipv6")
    }

    /// Begins regular backups, by the default policy or by `policy`.
    pub fn enable_backups(
        &self,
        droplet: impl NamesDroplet,
        policy: Option<BackupPolicyRequest>,
    ) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { backup_policy: policy, ..of("enable_backups") })
    }

    /// Changes when backups are made.
    pub fn change_backup_policy(&self, droplet: impl NamesDroplet, policy: BackupPolicyRequest) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { backup_policy: Some(policy), ..of("change_backup_policy") })
    }

    /// Ends regular backups. Those there are stay.
    pub fn disable_backups(&self, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.plain(droplet, "disable_backups")
    }

    /// Changes processors and memory; the Droplet has to be off. Its disk stays, so that it can be made smaller again.
    pub fn resize(&self, droplet: impl NamesDroplet, size: impl Into<SizeSlug>) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { size: Some(size.into()), ..of("resize") })
    }

    /// Changes processors, memory and disk; the Droplet has to be off. A disk never becomes smaller again.
    pub fn resize_with_disk(&self, droplet: impl NamesDroplet, size: impl Into<SizeSlug>) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { size: Some(size.into()), disk: true, ..of("resize") })
    }

    /// Starts the disk anew from an image. What was on it is lost.
    pub fn rebuild(&self, droplet: impl NamesDroplet, image: impl Into<ImageName>) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { image: Some(image.into().into()), ..of("rebuild") })
    }

    /// Puts one of the Droplet's backups back.
    pub fn restore(&self, droplet: impl NamesDroplet, backup: impl Into<ImageId>) -> Call<Kept<Action>> {
        let image = ImageName::from(backup.into());
        self.initiate(droplet, &DropletActionRequest { image: Some(image.into()), ..of("restore") })
    }

    /// Changes the name.
    pub fn rename(&self, droplet: impl NamesDroplet, name: &str) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { name: Some(name.to_owned()), ..of("rename") })
    }

    /// Makes an image of the Droplet.
    pub fn snapshot(&self, droplet: impl NamesDroplet, name: &str) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { name: Some(name.to_owned()), ..of("snapshot") })
    }

    /// Changes the kernel. Refused for Droplets that boot their own, as all do nowadays.
    pub fn change_kernel(&self, droplet: impl NamesDroplet, kernel: u64) -> Call<Kept<Action>> {
        self.initiate(droplet, &DropletActionRequest { kernel: Some(kernel), ..of("change_kernel") })
    }
}

fn of(kind: &str) -> DropletActionRequest {
    DropletActionRequest { kind: kind.to_owned(), ..DropletActionRequest::default() }
}

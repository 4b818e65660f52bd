//! Projects (PRJ-1): groups of resources. The default one is made on its first use, and has whatever was put into no other.

use std::net::Ipv4Addr;

use dewpoint_api::{
    AccountId, DropletId, PageRequest, ProjectId, ProjectRequest, ProjectResourceStatus, Scope, VolumeId, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    Error as StoreError, Page, ProjectEntry, ProjectRecord, Tx, VisibleKinds, Window, accounts, domains, droplets,
    projects, reserved_ips, volumes,
};

use crate::{Control, Error, Grant, window};

/// Which project is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The default one.
    Default,
    /// This one.
    Id(ProjectId),
}

/// Whether what a change does not name stays as it is, or has to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// PUT: everything is named.
    Whole,
    /// PATCH: what is not named stays.
    Parts,
}

/// A project with what it shows of its owner.
#[derive(Clone, Debug)]
pub struct ProjectView {
    /// The row.
    pub record: ProjectRecord,
    /// The UUID of its owner.
    pub owner_uuid: String,
    /// The number of its owner.
    pub owner_id: u64,
}

/// How a resource that was to be put into a project came out.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Its name among all resources, and since when it is there.
    pub entry: ProjectEntry,
    /// How it came out.
    pub status: ProjectResourceStatus,
}

const NAME_MAX: usize = 175;
const TEXT_MAX: usize = 255;
/// What stands before a purpose that is none of [`PURPOSES`].
const OTHER: &str = "Other: ";
/// The kinds of resource that a URN can name: those of the public model `urn`, and `reservedip`, as godo has it (RIP-7).
const URN_KINDS: [&str; 10] =
    ["dbaas", "domain", "droplet", "floatingip", "kubernetes", "loadbalancer", "reservedip", "space", "volume", "vpc"];
/// The purposes the public description knows; any other is kept with [`OTHER`] before it.
const PURPOSES: [&str; 9] = [
    "Just trying out DigitalOcean",
    "Class project / Educational purposes",
    "Website or blog",
    "Web Application",
    "Service or API",
    "Mobile Application",
    "Machine learning / AI / Data processing",
    "IoT",
    "Operational / Developer tooling",
];

fn at_most(field: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.chars().count() > most {
        return Err(Error::invalid(format!("{field} is too long (maximum is {most} characters).")));
    }
    Ok(())
}

fn purpose_of(text: &str) -> Result<String, Error> {
    at_most("purpose", text, TEXT_MAX)?;
    if text.is_empty() {
        return Err(Error::invalid("purpose is required and cannot be empty."));
    }
    if PURPOSES.contains(&text) || text.starts_with(OTHER) {
        return Ok(text.to_owned());
    }
    // What is kept is what is shown, and that has the same limit.
    let most = TEXT_MAX - OTHER.len();
    at_most("purpose", text, most).map(|()| format!("{OTHER}{text}"))
}

fn environment_of(text: &str) -> Result<String, Error> {
    let known = ["Development", "Staging", "Production"];
    let found = known.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    found.map(str::to_owned).ok_or_else(|| Error::invalid("environment must be Development, Staging or Production."))
}

/// The row with the members of a request put over it. A pure check.
fn changed(mut row: ProjectRecord, request: &ProjectRequest) -> Result<ProjectRecord, Error> {
    if let Some(name) = &request.name {
        at_most("name", name, NAME_MAX)?;
        if name.trim().is_empty() {
            return Err(Error::invalid("name is required and cannot be empty."));
        }
        row.name.clone_from(name);
    }
    if let Some(text) = &request.description {
        at_most("description", text, TEXT_MAX)?;
        row.description.clone_from(text);
    }
    if let Some(text) = &request.purpose {
        row.purpose = purpose_of(text)?;
    }
    if let Some(text) = &request.environment {
        row.environment = environment_of(text)?;
    }
    Ok(row)
}

fn required<T>(field: &str, value: Option<&T>) -> Result<(), Error> {
    value.map(drop).ok_or_else(|| Error::invalid(format!("{field} is required.")))
}

/// The account's default project, made if this is its first use.
pub(crate) fn default_of(tx: &mut dyn Tx, account: AccountId, fresh: &ProjectRecord) -> Result<ProjectRecord, Error> {
    if let Some(found) = projects::project_default(tx, account)? {
        return Ok(found);
    }
    // Its name is free: no other project is made before it.
    projects::project_insert(tx, account, fresh)?;
    Ok(fresh.clone())
}

fn find(tx: &mut dyn Tx, account: AccountId, which: Which, fresh: &ProjectRecord) -> Result<ProjectRecord, Error> {
    let default = default_of(tx, account, fresh)?;
    match which {
        Which::Default => Ok(default),
        Which::Id(id) if id == default.id => Ok(default),
        Which::Id(id) => projects::project_get(tx, account, id)?.ok_or(Error::NotFound),
    }
}

fn view(tx: &mut dyn Tx, account: AccountId, record: ProjectRecord) -> Result<ProjectView, Error> {
    let owner = accounts::account_get(tx, account)?.ok_or(Error::NotFound)?;
    Ok(ProjectView { record, owner_uuid: owner.uuid, owner_id: account.0 })
}

fn taken(error: StoreError, name: &str) -> Error {
    match error {
        StoreError::Duplicate => Error::Conflict(format!("a project named {name:?} already exists")),
        other => other.into(),
    }
}

/// Which resources a token may see.
fn visible_to(grant: &Grant) -> VisibleKinds {
    VisibleKinds {
        droplets: grant.scopes.allows(Scope::DropletRead),
        volumes: grant.scopes.allows(Scope::BlockStorageRead),
        domains: grant.scopes.allows(Scope::DomainRead),
        reserved_ips: grant.scopes.allows(Scope::ReservedIpRead),
    }
}

/// Whether `urn` reads `do:KIND:…` with a kind there is. One that does not could not be shown as any resource's.
fn well_formed(urn: &str) -> Result<(), Error> {
    let kind = urn.strip_prefix("do:").and_then(|rest| rest.split_once(':')).map(|(kind, _)| kind);
    match kind {
        Some(kind) if URN_KINDS.contains(&kind) => Ok(()),
        Some(_) | None => Err(Error::invalid("resources must be URNs such as do:droplet:4126873.")),
    }
}

/// The one name a resource is kept and shown by: a reserved IP has two (RIP-7).
fn canonical(urn: &str) -> String {
    urn.strip_prefix("do:reservedip:").map_or_else(|| urn.to_owned(), |address| format!("do:floatingip:{address}"))
}

/// Whether the account has the resource of this name, as far as the token may see.
fn is_there(tx: &mut dyn Tx, account: AccountId, urn: &str, visible: VisibleKinds) -> Result<bool, Error> {
    let mut parts = urn.splitn(3, ':');
    let found = match (parts.next(), parts.next(), parts.next()) {
        (Some("do"), Some("droplet"), Some(id)) if visible.droplets => match id.parse::<DropletId>() {
            // Written otherwise, such as `007`, it would be a second name.
            Ok(id) if urn == format!("do:droplet:{id}") => droplets::droplet_get(tx, account, id)?.is_some(),
            Ok(_) | Err(_) => false,
        },
        (Some("do"), Some("volume"), Some(id)) if visible.volumes => match id.parse::<VolumeId>() {
            Ok(id) if urn == format!("do:volume:{id}") => volumes::volume_get(tx, account, id)?.is_some(),
            Ok(_) | Err(_) => false,
        },
        (Some("do"), Some("domain"), Some(name)) if visible.domains => {
            domains::domain_get(tx, account, name)?.is_some()
        }
        (Some("do"), Some("floatingip"), Some(address)) if visible.reserved_ips => match address.parse::<Ipv4Addr>() {
            Ok(address) => reserved_ips::reserved_ip_get(tx, account, address.into())?.is_some(),
            Err(_) => false,
        },
        _ => false,
    };
    Ok(found)
}

fn assign(
    tx: &mut dyn Tx,
    account: AccountId,
    project: &ProjectRecord,
    urn: &str,
    visible: VisibleKinds,
    now: Timestamp,
) -> Result<Assigned, Error> {
    let came_out =
        |assigned_at, status| Ok(Assigned { entry: ProjectEntry { urn: urn.to_owned(), assigned_at }, status });
    if !is_there(tx, account, urn, visible)? {
        return came_out(now, ProjectResourceStatus::NotFound);
    }
    match projects::project_of(tx, account, urn)? {
        Some((id, since)) if id == project.id => came_out(since, ProjectResourceStatus::AlreadyAssigned),
        None if project.is_default => came_out(now, ProjectResourceStatus::AlreadyAssigned),
        Some(_) | None => {
            projects::project_assign(tx, account, project.id, urn, now)?;
            came_out(now, ProjectResourceStatus::Assigned)
        }
    }
}

/// Makes `project` the default one: what was in the former by being in none stays there.
fn make_default(tx: &mut dyn Tx, account: AccountId, project: &mut ProjectRecord, now: Timestamp) -> Result<(), Error> {
    if let Some(former) = projects::project_default(tx, account)?.filter(|former| former.id != project.id) {
        projects::project_keep_all(tx, account, former.id)?;
        let former = ProjectRecord { is_default: false, updated_at: now, ..former };
        projects::project_update(tx, account, &former)?;
    }
    project.is_default = true;
    Ok(())
}

impl Control {
    /// The row of a default project that is still to be made.
    pub(crate) fn fresh_default(&self) -> ProjectRecord {
        let now = self.now();
        ProjectRecord {
            id: ProjectId(self.inner.random.uuid()),
            name: "Default".to_owned(),
            description: "Whatever was put into no other project".to_owned(),
            purpose: "Just trying out DigitalOcean".to_owned(),
            environment: "Development".to_owned(),
            is_default: true,
            created_at: now,
            updated_at: now,
        }
    }

    /// Answers a question about projects. Only before the default one is there, which every answer knows of, this writes.
    async fn looked_up<T: Send + 'static>(
        &self,
        account: AccountId,
        look: impl Fn(&mut dyn Tx, &ProjectRecord) -> Result<T, Error> + Clone + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (store, fresh, looking) = (&self.inner.store, self.fresh_default(), look.clone());
        let known = store.read(move |tx: &mut dyn Tx| match projects::project_default(tx, account)? {
            Some(default) => looking(tx, &default).map(Some),
            None => Ok(None),
        });
        if let Some(found) = known.await? {
            return Ok(found);
        }
        store.write(move |tx: &mut dyn Tx| default_of(tx, account, &fresh).and_then(|default| look(tx, &default))).await
    }

    /// One project.
    pub async fn project_get(&self, account: AccountId, which: Which) -> Result<ProjectView, Error> {
        self.looked_up(account, move |tx, default| {
            let found = find(tx, account, which, default)?;
            view(tx, account, found)
        })
        .await
    }

    /// The account's projects, oldest first.
    pub async fn project_list(&self, account: AccountId, page: PageRequest) -> Result<Page<ProjectView>, Error> {
        self.looked_up(account, move |tx, _| {
            let found = projects::project_list(tx, account, window(page))?;
            let rows: Result<Vec<_>, Error> = found.rows.into_iter().map(|row| view(tx, account, row)).collect();
            Ok(Page { rows: rows?, total: found.total })
        })
        .await
    }

    /// Makes a project: name and purpose are required; 409 when the name is taken.
    pub async fn project_create(&self, account: AccountId, request: &ProjectRequest) -> Result<ProjectView, Error> {
        required("name", request.name.as_ref())?;
        required("purpose", request.purpose.as_ref())?;
        let (fresh, now) = (self.fresh_default(), self.now());
        let empty = ProjectRecord {
            id: ProjectId(self.inner.random.uuid()),
            name: String::new(),
            description: String::new(),
            environment: String::new(),
            is_default: false,
            ..fresh.clone()
        };
        let (row, default) = (changed(empty, request)?, request.is_default == Some(true));
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                default_of(tx, account, &fresh)?;
                let mut row = row.clone();
                if default {
                    make_default(tx, account, &mut row, now)?;
                }
                projects::project_insert(tx, account, &row).map_err(|error| taken(error, &row.name))?;
                view(tx, account, row)
            })
            .await
    }

    /// Changes a project; 422 for making the default one something else, since one must be.
    pub async fn project_update(
        &self,
        account: AccountId,
        which: Which,
        request: ProjectRequest,
        change: Change,
    ) -> Result<ProjectView, Error> {
        let (fresh, now) = (self.fresh_default(), self.now());
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let found = find(tx, account, which, &fresh)?;
                if change == Change::Whole {
                    required("name", request.name.as_ref())?;
                    required("description", request.description.as_ref())?;
                    required("purpose", request.purpose.as_ref())?;
                    required("environment", request.environment.as_ref())?;
                    required("is_default", request.is_default.as_ref())?;
                }
                let mut row = changed(found, &request)?;
                row.updated_at = now;
                match (row.is_default, request.is_default) {
                    (true, Some(false)) => {
                        return Err(Error::invalid("is_default: make another project the default one instead."));
                    }
                    (false, Some(true)) => make_default(tx, account, &mut row, now)?,
                    (_, Some(_) | None) => {}
                }
                projects::project_update(tx, account, &row).map_err(|error| taken(error, &row.name))?;
                view(tx, account, row)
            })
            .await
    }

    /// Removes a project; refused for the default one, and while anything is in it.
    pub async fn project_delete(&self, account: AccountId, id: ProjectId) -> Result<(), Error> {
        let fresh = self.fresh_default();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let found = find(tx, account, Which::Id(id), &fresh)?;
                if found.is_default {
                    return Err(Error::Precondition("the default project cannot be deleted".to_owned()));
                }
                let all = VisibleKinds { droplets: true, volumes: true, domains: true, reserved_ips: true };
                let held = projects::project_resources(tx, account, &found, all, Window { skip: 0, take: 1 })?.total;
                if held > 0 {
                    return Err(Error::Precondition(format!(
                        "cannot delete a project with resources: move its {held} to another project first"
                    )));
                }
                projects::project_delete(tx, account, id)?;
                Ok(())
            })
            .await
    }

    /// What is in a project, as far as the token may see it.
    pub async fn project_resources(
        &self,
        grant: &Grant,
        which: Which,
        page: PageRequest,
    ) -> Result<Page<ProjectEntry>, Error> {
        let (account, visible) = (grant.account, visible_to(grant));
        self.looked_up(account, move |tx, default| {
            let found = find(tx, account, which, default)?;
            Ok(projects::project_resources(tx, account, &found, visible, window(page))?)
        })
        .await
    }

    /// Puts resources into a project and tells of each how it came out: one that fails holds up no other.
    ///
    /// A text that is no URN refuses them all.
    pub async fn project_assign(&self, grant: &Grant, which: Which, urns: Vec<String>) -> Result<Vec<Assigned>, Error> {
        let (account, visible, fresh) = (grant.account, visible_to(grant), self.fresh_default());
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let project = find(tx, account, which, &fresh)?;
                rules::listed("resources", urns.len())?;
                urns.iter().try_for_each(|urn| well_formed(urn))?;
                urns.iter()
                    .map(|urn| canonical(urn))
                    .map(|urn| assign(tx, account, &project, &urn, visible, now))
                    .collect()
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_taken_in_any_case_and_kept_capitalised_prj_1() {
        for text in ["production", "PRODUCTION", "Production"] {
            assert_eq!(environment_of(text).ok().as_deref(), Some("Production"));
        }
        assert!(environment_of("test").is_err() && environment_of("").is_err());
    }

    #[test]
    fn a_purpose_of_ones_own_is_kept_as_another() {
        assert_eq!(purpose_of("IoT").ok().as_deref(), Some("IoT"));
        assert_eq!(purpose_of("tests").ok().as_deref(), Some("Other: tests"));
        assert_eq!(purpose_of("Other: tests").ok().as_deref(), Some("Other: tests"), "as it reads back");
        assert!(purpose_of("").is_err() && purpose_of(&"p".repeat(249)).is_err(), "with its beginning it is too long");
        assert_eq!(purpose_of(&"p".repeat(248)).map(|kept| kept.len()).ok(), Some(TEXT_MAX));
        let longest = format!("{OTHER}{}", "p".repeat(248));
        assert!(purpose_of(&longest).is_ok() && purpose_of(&format!("{longest}p")).is_err());
    }

    #[test]
    fn what_names_no_kind_of_resource_is_no_urn() {
        for urn in ["do:droplet:7", "do:droplet:07", "do:space:", "do:reservedip:1.2.3.4", "do:volume:a:b"] {
            assert!(well_formed(urn).is_ok(), "{urn:?}");
        }
        for urn in ["", "nonsense", "do:", "do:droplet", "do:moon:1", "DO:droplet:7", " do:droplet:7", "x:droplet:7"] {
            assert!(well_formed(urn).is_err(), "{urn:?}");
        }
    }
}

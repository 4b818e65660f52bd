//! The answer to a request that was carried out before: its status, and what it made as that is now.
//!
//! Nothing of the first answer is kept. What was made is read by the same handlers that answer a GET, with the caller's own
//! scopes, and put under the member the first answer had it under (PRO-2).

use std::net::IpAddr;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use dewpoint_api::{ActionId, ActionLink, DropletId};
use dewpoint_store::Made;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::Asked;
use crate::{ApiError, BaseUrl, Json, Peer, context::Context, events::model_path, table::Found, view};

/// Says that an answer is about something done before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How a POST is answered that was carried out before: what its answer shows. Said where the operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing: its answer has no body.
    Empty,
    /// One Droplet or several, with links to their actions (CRE-1).
    Droplets,
    /// One thing, under this member.
    One(&'static str),
    /// One thing that other operations know by another member.
    Known {
        /// The member it is shown under here.
        shown: &'static str,
        /// The member it is shown under by itself.
        known: &'static str,
    },
    /// An address under this member, with links to the Droplet and the action that assigns it, if one does (RIP-1).
    Address(&'static str),
    /// An action, as it is shown below the path it was asked for at.
    ActionHere,
    /// An action at the root and under its name (ACT-10).
    FlatAction,
    /// Several actions.
    Actions,
    /// What of the resources it names is in a project.
    Resources,
    /// What is shown once and never again.
    Secret,
    /// It is carried out each time it is asked, for this reason.
    Never(&'static str),
}

/// Under which member one of these is shown, and the path of the GET that shows it.
fn place(made: &Made) -> Option<(&'static str, String)> {
    Some(match made {
        Made::Droplet(id) => ("droplet", format!("/v2/droplets/{id}")),
        Made::Action(id) => ("action", format!("/v2/actions/{id}")),
        Made::Image(id) => ("image", format!("/v2/images/{id}")),
        Made::Volume(id) => ("volume", format!("/v2/volumes/{id}")),
        Made::VolumeSnapshot(id) => ("snapshot", format!("/v2/volumes/snapshots/{id}")),
        Made::SshKey(id) => ("ssh_key", format!("/v2/account/keys/{id}")),
        Made::Tag(name) => ("tag", format!("/v2/tags/{name}")),
        Made::Project(id) => ("project", format!("/v2/projects/{id}")),
        Made::VpcPeering(id) => ("vpc_peering", format!("/v2/vpc_peerings/{id}")),
        Made::Vpc(id) => ("vpc", format!("/v2/vpcs/{id}")),
        Made::Firewall(id) => ("firewall", format!("/v2/firewalls/{id}")),
        Made::Domain(name) => ("domain", format!("/v2/domains/{name}")),
        Made::DomainRecord(domain, id) => ("domain_record", format!("/v2/domains/{domain}/records/{id}")),
        Made::ReservedIp(IpAddr::V4(ip)) => ("reserved_ip", format!("/v2/reserved_ips/{ip}")),
        Made::ReservedIp(IpAddr::V6(ip)) => ("reserved_ipv6", format!("/v2/reserved_ipv6/{ip}")),
        Made::Model(name) => ("model", model_path(name)),
        Made::Token(_) => return None,
    })
}

impl Asked<'_> {
    /// The answer to a request that has made these.
    ///
    /// 409 when nothing of it is left to be shown: it was done, and is not done again.
    pub(super) async fn replay(&self, made: &[Made]) -> Result<Response, ApiError> {
        tracing::info!("A request that was carried out before is answered again");
        let body = match self.operation.again {
            Some(Again::Empty) => None,
            Some(Again::Droplets) => Some(self.droplets(made).await?),
            Some(Again::Actions) => Some(json!({ "actions": self.all(made, "action").await? })),
            Some(Again::Resources) => Some(json!({ "resources": self.resources().await? })),
            Some(Again::One(member)) => {
                // The last is the one asked for: what it needed, such as a default project, was made before it.
                let one = self.all(made, member).await?.pop();
                Some(json!({ member: one.ok_or_else(gone)? }))
            }
            Some(Again::Known { shown, known }) => {
                let one = self.all(made, known).await?.pop();
                Some(json!({ shown: one.ok_or_else(gone)? }))
            }
            Some(Again::ActionHere) => {
                let id = made.iter().find_map(action_of).ok_or_else(gone)?;
                let here = format!("{}/{id}", self.parts.uri.path().trim_end_matches('/'));
                Some(self.get(&here).await?.ok_or_else(gone)?)
            }
            Some(Again::Address(member)) => Some(self.address(made, member).await?),
            Some(Again::FlatAction) => {
                let action = self.all(made, "action").await?.pop().ok_or_else(gone)?;
                let mut body = action.clone();
                body["action"] = action;
                Some(body)
            }
            Some(Again::Secret) => return Err(secret(made)),
            Some(Again::Never(_)) | None => return Err(not_shown_again()),
        };
        let mut response = match body {
            Some(body) => (self.operation.success, Json(body)).into_response(),
            None => self.operation.success.into_response(),
        };
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// What links in this answer begin with.
    fn base(&self) -> BaseUrl {
        let Parts { uri, headers, extensions, .. } = &self.parts;
        BaseUrl::of_request(&self.app.config, uri, headers, Peer::of(extensions))
    }

    async fn droplets(&self, made: &[Made]) -> Result<Value, ApiError> {
        let mut droplets = self.all(made, "droplet").await?;
        let base = self.base();
        let actions = made.iter().filter_map(action_of).map(|id| create_link(&base, id));
        let links = json!({ "actions": actions.collect::<Vec<_>>() });
        if droplets.is_empty() {
            return Err(gone());
        }
        let asked: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        Ok(match asked.get("names") {
            None | Some(Value::Null) => json!({ "droplet": droplets.swap_remove(0), "links": links }),
            Some(_) => json!({ "droplets": droplets, "links": links }),
        })
    }

    async fn address(&self, made: &[Made], member: &str) -> Result<Value, ApiError> {
        // A floating IP is a reserved IP by another name.
        let one = self.all(made, "reserved_ip").await?.pop().ok_or_else(gone)?;
        let asked: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let droplet = asked["droplet_id"].as_u64().map(DropletId);
        let action = made.iter().find_map(action_of);
        Ok(json!({ member: one, "links": view::reserved_ip_links(&self.base(), droplet.zip(action)) }))
    }

    /// Those resources that the request names and that are in its project now.
    async fn resources(&self) -> Result<Vec<Value>, ApiError> {
        let asked: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut found = Vec::new();
        for page in 1.. {
            let path = format!("{}?per_page=200&page={page}", self.parts.uri.path().trim_end_matches('/'));
            let mut body = self.get(&path).await?.ok_or_else(gone)?;
            let Value::Array(items) = body["resources"].take() else { break };
            if items.is_empty() {
                break;
            }
            // A reserved IP has two names, and is shown by one (RIP-7).
            let urns = asked["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let urns: Vec<String> = urns.map(|urn| urn.replace("do:reservedip:", "do:floatingip:")).collect();
            let named = |one: &Value| one["urn"].as_str().is_some_and(|urn| urns.iter().any(|named| named == urn));
            found.extend(items.into_iter().filter(named));
        }
        Ok(found)
    }

    /// Those of `made` that are shown under `member`, as they are now; what is gone is left out.
    async fn all(&self, made: &[Made], member: &str) -> Result<Vec<Value>, ApiError> {
        let mut found = Vec::new();
        for (_, path) in made.iter().filter_map(place).filter(|(shown, _)| *shown == member) {
            if let Some(mut body) = self.get(&path).await? {
                found.push(body[member].take());
            }
        }
        Ok(found)
    }

    /// What `GET path` shows to this caller, scopes aside: who may ask for the effect may see it. `None` when it is gone.
    async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
        let Found::Operation(_, operation, parameters) = self.app.table.find(&Method::GET, bare) else {
            return Err(not_shown_again());
        };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::try_from(path).map_err(ApiError::internal)?;
        *request.headers_mut() = self.parts.headers.clone();
        *request.extensions_mut() = self.parts.extensions.clone();
        let request_id = Context::of(&self.parts).map(|context| context.request_id.clone()).unwrap_or_default();
        request.extensions_mut().insert(Context { request_id, parameters, grant: Some(self.grant.clone()) });
        let mut response = operation.run(request, self.app.clone()).await;
        match response.status() {
            StatusCode::OK => {
                let body = response.into_body().collect().await.map_err(ApiError::internal)?.to_bytes();
                serde_json::from_slice(&body).map(Some).map_err(ApiError::internal)
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                Err(response.extensions_mut().remove::<ApiError>().unwrap_or_else(|| ApiError::of_status(status)))
            }
        }
    }
}

fn action_of(made: &Made) -> Option<ActionId> {
    match made {
        Made::Action(id) => Some(*id),
        _ => None,
    }
}

fn create_link(base: &BaseUrl, id: ActionId) -> ActionLink {
    ActionLink { id, rel: "create".to_owned(), href: base.address(&format!("/v2/actions/{id}")) }
}

fn gone() -> ApiError {
    ApiError::conflict("This request was carried out before, and what it made is gone since. Nothing was done again.")
}

fn not_shown_again() -> ApiError {
    ApiError::conflict(
        "This request was carried out before. Nothing was done again, and its answer cannot be repeated.",
    )
}

fn secret(made: &[Made]) -> ApiError {
    let token = made.iter().find_map(|one| match one {
        Made::Token(id) => Some(id.to_string()),
        _ => None,
    });
    ApiError::conflict(format!(
        "This request was carried out before and made token {}, whose secret was shown then alone. Revoke it if the secret \
         was lost, and ask anew.",
        token.unwrap_or_default()
    ))
}

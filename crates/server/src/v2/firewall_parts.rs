//! The parts of a firewall: Droplets, tags and rules are added and taken away (FW-6).

use axum::extract::State;
use dewpoint_api::{FirewallDropletsRequest, FirewallId, FirewallRulesRequest, FirewallTagsRequest, Scope};
use dewpoint_control::firewalls::{FirewallPart, PartChange};

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Path};

pub(crate) fn operations() -> Vec<Operation> {
    let (droplets, tags, rules) = (
        "/v2/firewalls/{firewall_id}/droplets",
        "/v2/firewalls/{firewall_id}/tags",
        "/v2/firewalls/{firewall_id}/rules",
    );
    vec![
        Operation::post(droplets, add_droplets, Again::Empty)
            .id("firewalls_assign_droplets")
            .says("Lets a firewall guard more Droplets.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallDropletsRequest>(),
        Operation::delete(droplets, remove_droplets)
            .id("firewalls_delete_droplets")
            .says("Lets a firewall guard Droplets no more.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallDropletsRequest>(),
        Operation::post(tags, add_tags, Again::Empty)
            .id("firewalls_add_tags")
            .says("Lets a firewall guard the Droplets of more tags, now and later.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallTagsRequest>(),
        Operation::delete(tags, remove_tags)
            .id("firewalls_delete_tags")
            .says("Lets a firewall guard the Droplets of tags no more.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallTagsRequest>(),
        Operation::post(rules, add_rules, Again::Empty)
            .id("firewalls_add_rules")
            .says("Lets a firewall allow more.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallRulesRequest>(),
        Operation::delete(rules, remove_rules)
            .id("firewalls_delete_rules")
            .says("Lets a firewall allow less: each rule is named whole.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallRulesRequest>(),
    ]
}

/// `POST /v2/firewalls/{id}/droplets`: 204; 422 for a Droplet that is not there.
async fn add_droplets(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallDropletsRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Droplets(request), PartChange::Add).await?;
    Ok(Done)
}

/// `DELETE /v2/firewalls/{id}/droplets`, with a body: 204, also for those it does not guard.
async fn remove_droplets(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallDropletsRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Droplets(request), PartChange::Remove).await?;
    Ok(Done)
}

/// `POST /v2/firewalls/{id}/tags`: 204; 422 for a tag that is not there.
async fn add_tags(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallTagsRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Tags(request), PartChange::Add).await?;
    Ok(Done)
}

/// `DELETE /v2/firewalls/{id}/tags`, with a body: 204, also for those it does not have.
async fn remove_tags(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallTagsRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Tags(request), PartChange::Remove).await?;
    Ok(Done)
}

/// `POST /v2/firewalls/{id}/rules`: 204; those that are there already stay.
async fn add_rules(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallRulesRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Rules(request), PartChange::Add).await?;
    Ok(Done)
}

/// `DELETE /v2/firewalls/{id}/rules`, with a body: 204; 422 for a rule that is not there, and then none is removed.
async fn remove_rules(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallRulesRequest>,
) -> Result<Done, ApiError> {
    app.control.firewall_change_part(&caller, id, &FirewallPart::Rules(request), PartChange::Remove).await?;
    Ok(Done)
}

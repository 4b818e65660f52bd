//! Images. For now the public ones of the catalogue: private ones come with snapshots and imports.

use axum::extract::State;
use dewpoint_api::{Embedded, Image, ImageIdOrSlug, ImageResponse, ImagesResponse, PublicImageSort, Scope, Single};
use dewpoint_control::catalogue::ImageEntry;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ApiError, App, Json, Operation, Paging, Path, Query};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/images", list)
            .id("images_list")
            .says("Public images and the account's own.")
            .needs(&[Scope::ImageRead])
            .query::<ImageFilter>()
            .paged()
            .answers::<ImagesResponse>(200),
        Operation::get("/v2/images/{image_id}", get)
            .id("images_get")
            .says("One image, by its number or its slug.")
            .needs(&[Scope::ImageRead])
            .answers::<ImageResponse>(200),
    ]
}

/// Which images a list shows (IMG-1).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct ImageFilter {
    /// `distribution` or `application`: that kind of public images alone.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `true`: only the account's own.
    private: Option<String>,
    /// Only the account's own with this tag.
    tag_name: Option<String>,
}

impl ImageFilter {
    /// The kind of public images asked for: `None` for both, an error for a word that is neither.
    fn public_kind(&self) -> Result<Option<PublicImageSort>, ApiError> {
        match self.kind.as_deref().filter(|kind| !kind.is_empty()) {
            Some(kind) => {
                kind.parse().map(Some).map_err(|_| ApiError::unprocessable("type must be distribution or application."))
            }
            None => Ok(None),
        }
    }

    fn only_own(&self) -> bool {
        let private = self.private.as_deref().is_some_and(|word| matches!(word, "true" | "1" | "TRUE" | "True"));
        private || self.tag_name.as_deref().is_some_and(|tag| !tag.is_empty())
    }
}

/// `GET /v2/images`: public images by number, filtered (IMG-1).
async fn list(
    State(app): State<App>,
    paging: Paging,
    Query(filter): Query<ImageFilter>,
) -> Result<Json<ImagesResponse>, ApiError> {
    let kind = filter.public_kind()?;
    let shown = |entry: &&ImageEntry| !filter.only_own() && kind.is_none_or(|kind| kind == entry.spec.kind);
    let found: Vec<Embedded<Image>> =
        app.control.catalogue().images().iter().filter(shown).map(|entry| entry.embedded().clone()).collect();
    Ok(Json(paging.slice(found.into_iter())))
}

/// `GET /v2/images/{id or slug}` (IMG-2).
async fn get(State(app): State<App>, Path(image): Path<String>) -> Result<Json<ImageResponse>, ApiError> {
    let found = app.control.catalogue().image_named(&ImageIdOrSlug::from(image));
    let entry = found.ok_or_else(ApiError::not_found)?;
    Ok(Json(Single(entry.embedded().clone())))
}

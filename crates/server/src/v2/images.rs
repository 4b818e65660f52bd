//! Images: the public ones of the catalogue and the account's own (IMG-*).

use axum::extract::State;
use dewpoint_api::{
    Embedded, Image, ImageCreateRequest, ImageIdOrSlug, ImageResponse, ImageUpdateRequest, ImagesResponse,
    PublicImageSort, Scope, Single, TagName,
};
use dewpoint_control::catalogue::ImageEntry;
use dewpoint_store::images::ImageFilter;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, Query, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/images", list)
            .id("images_list")
            .says("Public images and the account's own.")
            .needs(&[Scope::ImageRead])
            .query::<ImageQuery>()
            .paged()
            .answers::<ImagesResponse>(200),
        Operation::post("/v2/images", create, Again::One("image"))
            .id("images_create_custom")
            .says("Fetches an image from an address.")
            .needs(&[Scope::ImageCreate])
            .body::<ImageCreateRequest>()
            .answers::<ImageResponse>(202),
        Operation::get("/v2/images/{image_id}", get)
            .id("images_get")
            .says("One image, by its number or its slug.")
            .needs(&[Scope::ImageRead])
            .answers::<ImageResponse>(200),
        Operation::put("/v2/images/{image_id}", update)
            .id("images_update")
            .says("Gives one of the account's images another name.")
            .needs(&[Scope::ImageUpdate])
            .body::<ImageUpdateRequest>()
            .answers::<ImageResponse>(200),
        Operation::delete("/v2/images/{image_id}", delete)
            .id("images_delete")
            .says("Deletes one of the account's images.")
            .needs(&[Scope::ImageDelete]),
    ]
}

/// Which images a list shows (IMG-1).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct ImageQuery {
    /// `distribution` or `application`: that kind of public images alone.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `true`: only the account's own.
    private: Option<String>,
    /// Only the account's own with this tag.
    tag_name: Option<String>,
}

impl ImageQuery {
    /// The kind of public images asked for: `None` for both, an error for a word that is neither.
    fn public_kind(&self) -> Result<Option<PublicImageSort>, ApiError> {
        match self.kind.as_deref().filter(|kind| !kind.is_empty()) {
            Some(kind) => {
                kind.parse().map(Some).map_err(|_| ApiError::unprocessable("type must be distribution or application."))
            }
            None => Ok(None),
        }
    }

    /// Which of the catalogue's images are shown, and which of the account's own; an own one is of neither public kind.
    fn wanted(&self) -> Result<(Option<Public>, Option<ImageFilter>), ApiError> {
        let kind = self.public_kind()?;
        let private = match self.private.as_deref() {
            Some("true" | "1" | "TRUE" | "True") => true,
            None | Some("" | "false" | "0" | "FALSE" | "False") => false,
            Some(_) => return Err(ApiError::bad_request("private must be true or false.")),
        };
        let own = kind.is_none();
        match self.tag_name.as_deref().filter(|tag| !tag.is_empty()) {
            Some(tag) => Ok((None, tag.parse::<TagName>().ok().filter(|_| own).map(ImageFilter::Tag))),
            None if private => Ok((None, own.then_some(ImageFilter::All))),
            None => Ok((Some(Public(kind)), own.then_some(ImageFilter::All))),
        }
    }
}

/// The catalogue's images of one kind, or of both.
#[derive(Debug)]
struct Public(Option<PublicImageSort>);

impl Public {
    fn shows(&self, entry: &ImageEntry) -> bool {
        self.0.is_none_or(|kind| kind == entry.spec.kind)
    }
}

/// `GET /v2/images`: public images by number, then the account's own by number, filtered (IMG-1).
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    Query(query): Query<ImageQuery>,
) -> Result<Json<ImagesResponse>, ApiError> {
    let (public, own) = query.wanted()?;
    let catalogue = app.control.catalogue().images().iter();
    let public: Vec<&ImageEntry> =
        catalogue.filter(|entry| public.as_ref().is_some_and(|public| public.shows(entry))).collect();
    let page = app.control.image_list(caller.account, public.len() as u64, own, paging.asked).await?;
    let first = paging.slice(public.into_iter().map(|entry| entry.embedded().clone())).items;
    let shown: Vec<Embedded<Image>> =
        first.into_iter().chain(page.rows.into_iter().map(|one| view::image(&caller, one))).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/images`: 202 with the image as `NEW` (IMG-4). Tags need the right to make them (AUTH-5).
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ImageCreateRequest>,
) -> Result<(StatusCode, Json<ImageResponse>), ApiError> {
    if !request.tags.is_empty() {
        caller.require(Scope::TagCreate)?;
    }
    let image = app.control.image_create(caller.account, request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::image(&caller, image)))))
}

/// `GET /v2/images/{id or slug}` (IMG-2).
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(image): Path<String>,
) -> Result<Json<ImageResponse>, ApiError> {
    let named = ImageIdOrSlug::from(image);
    if let Some(entry) = app.control.catalogue().image_named(&named) {
        return Ok(Json(Single(entry.embedded().clone())));
    }
    let ImageIdOrSlug::Id(id) = named else { return Err(ApiError::not_found()) };
    let found = app.control.image_get(caller.account, id).await?;
    Ok(Json(Single(view::image(&caller, found))))
}

/// `PUT /v2/images/{id}` (IMG-5); 403 for a public one.
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(image): Path<String>,
    Json(request): Json<ImageUpdateRequest>,
) -> Result<Json<ImageResponse>, ApiError> {
    let changed = app.control.image_update(caller.account, &image.into(), request).await?;
    Ok(Json(Single(view::image(&caller, changed))))
}

/// `DELETE /v2/images/{id}`: 204; 403 for a public one, 422 for one that is deleted already (IMG-6).
async fn delete(State(app): State<App>, caller: Caller, Path(image): Path<String>) -> Result<Done, ApiError> {
    app.control.image_delete(caller.account, &image.into()).await?;
    Ok(Done)
}

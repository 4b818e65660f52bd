//! Custom images: asked for by address, fetched by an action (IMG-4).

use dewpoint_api::{
    AccountId, ActionId, ActionKind, Distribution, ImageCreateRequest, ImageId, ImageKind, ImageStatus, RegionSlug,
    TagName, rules,
};
use dewpoint_store::{ImageRecord, Sequence, Tx, actions, counters, images, tags, tags::Tagged};
use http::{Uri, uri::Scheme};

use super::ImageView;
use crate::{
    Control, Error,
    actions::{NewAction, Resource, new_action},
};

/// The longest name of an image, in characters. Our choice.
pub(super) const NAME_MAX: usize = 255;

/// A request that was checked.
struct Wanted {
    name: String,
    url: String,
    region: RegionSlug,
    distribution: Distribution,
    description: String,
    tags: Vec<TagName>,
}

fn check(request: ImageCreateRequest) -> Result<Wanted, Error> {
    let missing = |member: &str| Error::invalid(format!("{member} is required and cannot be empty."));
    let name = checked_name(request.name.ok_or_else(|| missing("name"))?)?;
    let url = request.url.ok_or_else(|| missing("url"))?;
    check_url(&url)?;
    Ok(Wanted {
        name,
        url,
        region: request.region.ok_or_else(|| missing("region"))?,
        distribution: Distribution::of(request.distribution.as_deref().unwrap_or_default()),
        description: request.description,
        tags: rules::tag_names(&request.tags)?,
    })
}

/// A name an image may have.
pub(crate) fn checked_name(name: String) -> Result<String, Error> {
    if name.trim().is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "name must have 1 to {NAME_MAX} characters, none of them control characters."
        )));
    }
    Ok(name)
}

fn check_url(url: &str) -> Result<(), Error> {
    let parsed: Result<Uri, _> = url.parse();
    let fits = parsed.is_ok_and(|uri| {
        let scheme = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        scheme && uri.host().is_some_and(|host| !host.is_empty())
    });
    fits.then_some(()).ok_or_else(|| Error::invalid("url must be an http or https address of an image."))
}

impl Control {
    /// Accepts a custom image: its row is `NEW` when this returns, and an action fetches it.
    pub async fn image_create(&self, account: AccountId, request: ImageCreateRequest) -> Result<ImageView, Error> {
        let wanted = check(request)?;
        let region = self.catalogue().region(&wanted.region);
        if !region.is_some_and(|region| region.spec.available) {
            return Err(Error::invalid("Region is not available"));
        }
        let now = self.now();
        let view = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let id = ImageId(counters::draw(tx, Sequence::Image, 1)?);
                let record = ImageRecord {
                    id,
                    account,
                    kind: ImageKind::Custom,
                    name: wanted.name.clone(),
                    status: ImageStatus::New,
                    distribution: wanted.distribution.as_str().to_owned(),
                    description: wanted.description.clone(),
                    regions: vec![wanted.region.clone()],
                    droplet: None,
                    min_disk_gib: None,
                    size_bytes: None,
                    url: Some(wanted.url.clone()),
                    error_message: String::new(),
                    created_at: now,
                    expires_at: None,
                    deleted_at: None,
                };
                images::image_insert(tx, &record)?;
                let mut put = Vec::with_capacity(wanted.tags.len());
                for tag in &wanted.tags {
                    let tag = tags::tag_ensure(tx, account, tag)?;
                    tags::tag_resource(tx, account, &tag, &Tagged::image(id), now)?;
                    put.push(tag);
                }
                put.sort();
                put.dedup();
                let action = new_action(&NewAction {
                    id: ActionId(counters::draw(tx, Sequence::Action, 1)?),
                    account,
                    kind: ActionKind::Create,
                    resource: Resource::Image(id),
                    region: Some(&wanted.region),
                    request: "{}",
                    now,
                });
                actions::action_insert(tx, &action)?;
                Ok::<_, Error>(ImageView { record, tags: put })
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<Wanted, Error> {
        check(serde_json::from_str(json).expect("its shape is right"))
    }

    #[test]
    fn a_custom_image_needs_a_name_an_address_and_a_region_img_4() {
        let wanted =
            checked(r#"{"name":"n","url":"https://example.com/a.qcow2","region":"NYC3","distribution":"Plan 9"}"#);
        let wanted = wanted.expect("it is whole");
        assert_eq!((wanted.region.as_str(), wanted.distribution), ("nyc3", Distribution::Unknown));
        for bad in [
            r#"{"url":"https://example.com/a","region":"nyc3"}"#,
            r#"{"name":"n","region":"nyc3"}"#,
            r#"{"name":"n","url":"https://example.com/a"}"#,
            r#"{"name":"n","url":"ftp://example.com/a","region":"nyc3"}"#,
            r#"{"name":"n","url":"/etc/passwd","region":"nyc3"}"#,
            r#"{"name":"n","url":"https:///a","region":"nyc3"}"#,
            r#"{"name":" ","url":"https://example.com/a","region":"nyc3"}"#,
            r#"{"name":"n","url":"https://example.com/a","region":"nyc3","tags":["a b"]}"#,
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}

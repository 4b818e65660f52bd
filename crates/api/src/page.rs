//! Pages of a collection: what was asked, and the envelope that carries the answer.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::{ActionId, Invalid};

/// A thing that answers hold under its own name (behaviour rule PRO-2).
pub trait Resource {
    /// The root key of one: `droplet`.
    const ONE: &'static str;
    /// The root key of many: `droplets`.
    const MANY: &'static str;
}

/// Which page was asked for. `page` from 1, `per_page` 1 to 200 (behaviour rules PAG-1, PAG-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The page, from 1.
    pub page: u64,
    /// Objects a page.
    pub per_page: u64,
}

impl PageRequest {
    /// Objects a page when the request does not say.
    pub const PER_PAGE_DEFAULT: u64 = 20;
    /// Most objects a page; more is cut to it without complaint (our choice).
    pub const PER_PAGE_MAX: u64 = 200;

    /// Reads the two query parameters; missing and empty mean the default.
    ///
    /// Fails, as a 400 by our choice, when one is not a whole number of at least 1.
    pub fn from_query(page: Option<&str>, per_page: Option<&str>) -> Result<Self, Invalid> {
        let page = at_least_one("page", page)?.unwrap_or(1);
        let per_page = at_least_one("per_page", per_page)?.unwrap_or(Self::PER_PAGE_DEFAULT);
        Ok(Self { page, per_page: per_page.min(Self::PER_PAGE_MAX) })
    }

    /// How many objects come before this page.
    pub const fn offset(self) -> u64 {
        (self.page - 1).saturating_mul(self.per_page)
    }

    /// The last page of `total` objects; 1 when there are none.
    pub const fn last(self, total: u64) -> u64 {
        let pages = total.div_ceil(self.per_page);
        if pages == 0 { 1 } else { pages }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, per_page: Self::PER_PAGE_DEFAULT }
    }
}

fn at_least_one(name: &'static str, text: Option<&str>) -> Result<Option<u64>, Invalid> {
    let refusal = || Invalid::new(name, "must be a whole number of at least 1.");
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        // Digits alone: a parser that takes a sign would take what a form's blank was written as.
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(refusal()),
        Some(text) => match text.parse() {
            Ok(number) if (1..=u64::from(u32::MAX)).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(refusal()),
        },
    }
}

/// Where the other pages are. Empty when there is but one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// Addresses of other pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<Pages>,
}

/// Absolute addresses of other pages; one that would lead to the page itself is absent (behaviour rule PAG-4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pages {
    /// The first page; absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The page before; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The page after; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The last page; absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Links {
    /// The links of page `asked` out of `total` objects; `url` gives the absolute address of a page by its number.
    ///
    /// A page past the end links back to the last one and the first.
    pub fn of_page(asked: PageRequest, total: u64, url: impl Fn(u64) -> String) -> Self {
        let last = asked.last(total);
        let mut pages = Pages::default();
        if asked.page > 1 {
            pages.first = Some(url(1));
            pages.prev = Some(url((asked.page - 1).min(last)));
        }
        if asked.page < last {
            pages.next = Some(url(asked.page + 1));
            pages.last = Some(url(last));
        }
        Self { pages: (pages != Pages::default()).then_some(pages) }
    }
}

/// How many objects there are in all, the page aside (behaviour rule PAG-3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// Objects that match the filter, over all pages.
    pub total: u64,
}

/// Where to watch an action that an answer speaks of. Source: public OpenAPI, model `action_link`; behaviour rule ACT-5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionLink {
    /// The action.
    pub id: ActionId,
    /// What the action is to the object, such as `create`.
    pub rel: String,
    /// Its absolute address.
    pub href: String,
}

/// The `links` of an answer that started actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionLinks {
    /// The actions started, in the order of the objects.
    pub actions: Vec<ActionLink>,
}

/// One object under its name: `{ "region": … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Single<T>(pub T);

impl<T: Resource + Serialize> Serialize for Single<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(T::ONE, &self.0)?;
        map.end()
    }
}

impl<'de, T: Resource + Deserialize<'de>> Deserialize<'de> for Single<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Root<T>(PhantomData<T>);
        impl<'de, T: Resource + Deserialize<'de>> Visitor<'de> for Root<T> {
            type Value = Single<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object with the member `{}`", T::ONE)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    if key == T::ONE {
                        found = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                found.map(Single).ok_or_else(|| serde::de::Error::missing_field(T::ONE))
            }
        }
        deserializer.deserialize_map(Root(PhantomData))
    }
}

impl<T: Resource + JsonSchema> JsonSchema for Single<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Response", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "properties": { (T::ONE): item }, "required": [T::ONE] })
    }
}

/// A page of objects under their name: `{ "droplets": […], "links": …, "meta": … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection<T> {
    /// The objects of this page.
    pub items: Vec<T>,
    /// Where the other pages are.
    pub links: Links,
    /// How many there are in all.
    pub meta: Meta,
}

impl<T> Collection<T> {
    /// Everything there is, on one page.
    pub fn whole(items: Vec<T>) -> Self {
        let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
        Self { items, links: Links::default(), meta: Meta { total } }
    }
}

impl<T: Resource + Serialize> Serialize for Collection<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(T::MANY, &self.items)?;
        map.serialize_entry("links", &self.links)?;
        map.serialize_entry("meta", &self.meta)?;
        map.end()
    }
}

impl<'de, T: Resource + Deserialize<'de>> Deserialize<'de> for Collection<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Root<T>(PhantomData<T>);
        impl<'de, T: Resource + Deserialize<'de>> Visitor<'de> for Root<T> {
            type Value = Collection<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object with the member `{}`", T::MANY)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut items: Option<Vec<T>> = None;
                let (mut links, mut meta) = (Links::default(), None);
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    match key.as_ref() {
                        key if key == T::MANY => items = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                        "links" => links = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "meta" => meta = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let items = items.ok_or_else(|| serde::de::Error::missing_field(T::MANY))?;
                let whole = Collection::whole(items);
                Ok(Collection { links, meta: meta.unwrap_or(whole.meta), items: whole.items })
            }
        }
        deserializer.deserialize_map(Root(PhantomData))
    }
}

impl<T: Resource + JsonSchema> JsonSchema for Collection<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Collection", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<Vec<T>>();
        let links = generator.subschema_for::<Links>();
        let meta = generator.subschema_for::<Meta>();
        json_schema!({
            "type": "object",
            "properties": { (T::MANY): items, "links": links, "meta": meta },
            "required": [T::MANY, "links", "meta"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(page: u64, per_page: u64, total: u64) -> Links {
        Links::of_page(PageRequest { page, per_page }, total, |page| format!("u?page={page}"))
    }

    #[test]
    fn bounds_are_cut_and_nonsense_is_refused_pag_2() {
        let read = |page, per_page| PageRequest::from_query(page, per_page);
        assert_eq!(read(None, Some("")), Ok(PageRequest { page: 1, per_page: 20 }));
        assert_eq!(read(Some("3"), Some("999")), Ok(PageRequest { page: 3, per_page: 200 }));
        for bad in ["0", "-1", "x", "1.5", "99999999999999999999"] {
            assert!(read(Some(bad), None).is_err(), "{bad}");
            assert!(read(None, Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_name_only_pages_other_than_this_pag_4() {
        assert_eq!(links(1, 20, 20), Links::default());
        assert_eq!(links(1, 20, 0), Links::default());
        let first = links(1, 20, 41).pages.expect("three pages");
        assert_eq!((first.first, first.prev), (None, None));
        assert_eq!((first.next.as_deref(), first.last.as_deref()), (Some("u?page=2"), Some("u?page=3")));
        let last = links(3, 20, 41).pages.expect("three pages");
        assert_eq!((last.next, last.last), (None, None));
        assert_eq!((last.first.as_deref(), last.prev.as_deref()), (Some("u?page=1"), Some("u?page=2")));
        let past = links(9, 20, 41).pages.expect("a way back");
        assert_eq!(past.prev.as_deref(), Some("u?page=3"));
    }
}

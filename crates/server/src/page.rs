//! Pages of a collection, and the addresses that links in answers lead to (behaviour rules PAG-1 to PAG-8).

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use dewpoint_api::{Collection, Links, Meta, PageRequest};
use http::{HeaderMap, HeaderName, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{ApiError, App, Peer, ServerConfig};

/// What addresses in this answer begin with: the configured public URL, or else how the client called us (rule PAG-8).
///
/// `http://HOST`, or what `x-forwarded-proto` and `x-forwarded-host` say. Never a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The absolute address of `path`, which begins with a slash.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// What it is for a request to this address with these headers, from this peer.
    pub(crate) fn of_request(config: &ServerConfig, uri: &Uri, headers: &HeaderMap, peer: Option<Peer>) -> Self {
        if let Some(url) = &config.public_url {
            return Self(url.as_str().to_owned());
        }
        let host = first_word(headers, HeaderName::from_static("x-forwarded-host"))
            .or_else(|| first_word(headers, header::HOST))
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .filter(|host| is_host(host))
            .unwrap_or("localhost");
        let scheme = match first_word(headers, HeaderName::from_static("x-forwarded-proto")) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            None if peer.is_some_and(|peer| peer.is_secure) => "https",
            Some(_) | None => "http",
        };
        Self(format!("{scheme}://{host}"))
    }
}

impl FromRequestParts<App> for BaseUrl {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of_request(&app.config, &parts.uri, &parts.headers, Peer::of(&parts.extensions)))
    }
}

/// The first of a header's comma-separated words: each proxy on the way appends its own.
fn first_word(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let word = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
    (!word.is_empty()).then_some(word)
}

/// Whether `host` is a name or address with an optional port, and so cannot break out of the address it becomes part of.
fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// Which page is asked for, and the links to its neighbours. 400 when `page` or `per_page` is no number of at least 1.
#[derive(Clone, Debug)]
pub struct Paging {
    /// The page itself, for the query.
    pub asked: PageRequest,
    base: BaseUrl,
    uri: Uri,
}

impl Paging {
    /// One page of a collection: `items` of this page, out of `total` that match.
    pub fn collection<T>(&self, items: Vec<T>, total: u64) -> Collection<T> {
        Collection { items, links: self.links(total), meta: Meta { total } }
    }

    /// The page asked for out of everything there is. For collections that are in memory as a whole.
    pub fn slice<T>(&self, all: impl ExactSizeIterator<Item = T>) -> Collection<T> {
        let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let skipped = usize::try_from(self.asked.offset()).unwrap_or(usize::MAX);
        let length = usize::try_from(self.asked.per_page).unwrap_or(usize::MAX);
        self.collection(all.skip(skipped).take(length).collect(), total)
    }

    /// The links of this page out of `total` objects.
    pub fn links(&self, total: u64) -> Links {
        if self.asked.page == 1 && total <= self.asked.per_page {
            return Links::default();
        }
        let path = self.uri.path().strip_suffix('/').unwrap_or(self.uri.path());
        let mut start = self.base.address(path);
        start.push('?');
        for pair in self.uri.query().unwrap_or_default().split('&') {
            if !pair.is_empty() && name_of(pair) != "page" {
                start.push_str(pair);
                start.push('&');
            }
        }
        Links::of_page(self.asked, total, |page| format!("{start}page={page}"))
    }
}

impl FromRequestParts<App> for Paging {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let (mut page, mut per_page) = (None, None);
        for pair in parts.uri.query().unwrap_or_default().split('&') {
            let value = pair.split_once('=').map_or("", |(_, value)| value);
            match name_of(pair).as_ref() {
                "page" => page = Some(value),
                "per_page" => per_page = Some(value),
                _ => {}
            }
        }
        let asked =
            PageRequest::from_query(page, per_page).map_err(|invalid| ApiError::bad_request(invalid.to_string()))?;
        let base = BaseUrl::of_request(&app.config, &parts.uri, &parts.headers, Peer::of(&parts.extensions));
        Ok(Self { asked, base, uri: parts.uri.clone() })
    }
}

/// The decoded name of one `name=value` pair of a query.
fn name_of(pair: &str) -> Cow<'_, str> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    percent_decode_str(name).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use dewpoint_api::Pages;
    use http::HeaderValue;

    use super::*;
    use crate::PublicUrl;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn base(config: &ServerConfig, pairs: &[(&'static str, &'static str)]) -> String {
        BaseUrl::of_request(config, &Uri::from_static("/v2/droplets"), &headers(pairs), None).0
    }

    #[test]
    fn links_name_the_host_the_client_called_pag_8() {
        let config = ServerConfig::default();
        assert_eq!(base(&config, &[("host", "127.0.0.1:8080")]), "http://127.0.0.1:8080");
        assert_eq!(
            base(
                &config,
                &[("host", "inner:1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "dew.example.com, b")]
            ),
            "https://dew.example.com",
        );
        assert_eq!(base(&config, &[("host", "[::1]:80")]), "http://[::1]:80");
        assert_eq!(base(&config, &[]), "http://localhost");
        assert_eq!(base(&config, &[("host", "a/../b?c\"<d>")]), "http://localhost", "not a host");
        let configured = PublicUrl::parse("https://cloud.example.com/").expect("an address");
        let config = ServerConfig { public_url: Some(configured), ..ServerConfig::default() };
        assert_eq!(base(&config, &[("host", "inner:1")]), "https://cloud.example.com");
    }

    fn paging(uri: &'static str, page: u64, per_page: u64) -> Paging {
        Paging { asked: PageRequest { page, per_page }, base: BaseUrl("http://h".into()), uri: Uri::from_static(uri) }
    }

    #[test]
    fn links_keep_the_other_parameters_of_the_request_pag_5() {
        let links = paging("/v2/images/?type=distribution&page=2&per_page=2&private=a%20b", 2, 2).links(6);
        let url = |page| Some(format!("http://h/v2/images?type=distribution&per_page=2&private=a%20b&page={page}"));
        assert_eq!(links.pages, Some(Pages { first: url(1), prev: url(1), next: url(3), last: url(3) }));
    }

    #[test]
    fn one_page_in_all_has_no_links_and_the_last_page_leads_back_pag_4() {
        assert_eq!(paging("/v2/images", 1, 20).links(20).pages, None);
        assert_eq!(paging("/v2/images", 1, 20).links(0).pages, None);
        let last = paging("/v2/images?page=2", 2, 20).links(21).pages.expect("two pages");
        assert_eq!((last.next, last.last), (None, None));
        assert_eq!(last.prev.as_deref(), Some("http://h/v2/images?page=1"));
    }

    #[test]
    fn a_slice_is_the_page_asked_for_and_past_the_end_it_is_empty_pag_2() {
        let all = || (0..45_u32).collect::<Vec<_>>().into_iter();
        assert_eq!(paging("/v2/sizes", 3, 20).slice(all()).items, (40..45).collect::<Vec<_>>());
        let past = paging("/v2/sizes", 4, 20).slice(all());
        assert_eq!((past.items.len(), past.meta.total), (0, 45));
        assert_eq!(paging("/v2/sizes", u64::from(u32::MAX), 200).slice(all()).items, Vec::<u32>::new());
    }
}

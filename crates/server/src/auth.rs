//! Who asks, and what they may do.

use std::{convert::Infallible, ops::Deref, sync::Arc};

use axum::extract::FromRequestParts;
use dewpoint_api::Scope;
use dewpoint_control::Grant;
use http::{HeaderMap, header, request::Parts};

use crate::{ApiError, App, context::Context};

/// The bearer of the request's token, which the edge has checked before the handler runs.
///
/// Reads as its [`Grant`]: `caller.account`, `caller.token`. Only for operations that need a token; elsewhere it refuses.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Grant>);

impl Caller {
    /// Whether the token has this scope. For answers that leave out what it may not read (behaviour rule AUTH-6).
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.allows(scope)
    }

    /// 403 unless the token has this scope too. For bodies that need more than their operation does (rule AUTH-5).
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.has(scope) { Ok(()) } else { Err(ApiError::forbidden()) }
    }
}

impl Deref for Caller {
    type Target = Grant;
    fn deref(&self) -> &Grant {
        &self.0
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let grant = Context::of(parts).and_then(|context| context.grant.clone());
        grant.map(Self).ok_or_else(ApiError::unauthorized)
    }
}

/// The request's id, as `x-request-id` and the error body have it.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

impl FromRequestParts<App> for RequestId {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Context::of(parts).map_or_else(|| Self(Arc::from("")), |context| Self(context.request_id.clone())))
    }
}

/// The token of `Authorization: Bearer TOKEN`; the scheme in any case (behaviour rule AUTH-1). `None` for two such headers:
/// whoever checked the request before us may have looked at the other one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_bearer_scheme_compares_without_case_auth_1() {
        for (value, token) in [
            ("Bearer dop_v1_a", Some("dop_v1_a")),
            ("bearer  dop_v1_a ", Some("dop_v1_a")),
            ("BEARER x", Some("x")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic ZG9wOg==", None),
            ("dop_v1_a", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), token, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}

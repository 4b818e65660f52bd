//! What a refusal looks like on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    RegionSlug,
    word::{Word, words},
};

words! {
    /// The `id` of an error body: which kind of refusal it is. Each belongs to one status (behaviour rule ERR-2).
    pub enum ErrorId {
        /// 400: the body or a parameter cannot be read.
        BadRequest = "bad_request",
        /// 401: no token, or one that is unknown, expired or revoked.
        Unauthorized = "unauthorized",
        /// 403: the token's scopes or the state forbid it.
        Forbidden = "forbidden",
        /// 404: no such object or path.
        NotFound = "not_found",
        /// 405: the path is known, the method is not. Our choice of word.
        MethodNotAllowed = "method_not_allowed",
        /// 409: a duplicate, or still in use.
        Conflict = "conflict",
        /// 412: something else has to be done first. The word is our choice.
        PreconditionFailed = "precondition_failed",
        /// 413: the body is too large. Our choice of word.
        PayloadTooLarge = "payload_too_large",
        /// 422: well formed, but invalid or not possible now.
        UnprocessableEntity = "unprocessable_entity",
        /// 429: over a rate limit.
        TooManyRequests = "too_many_requests",
        /// 500: our fault; says no more than that.
        ServerError = "server_error",
        /// 503: not now. The word is our choice.
        ServiceUnavailable = "service_unavailable",
    }
}

impl ErrorId {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UnprocessableEntity => 422,
            Self::TooManyRequests => 429,
            Self::ServerError => 500,
            Self::ServiceUnavailable => 503,
        }
    }
}

/// The body of every answer that is not a success. Source: public OpenAPI, model `error`; behaviour rules ERR-1, ERR-7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The kind of refusal.
    pub id: Word<ErrorId>,
    /// One or more sentences for the person who made the request.
    pub message: String,
    /// The request's name in the server's log; the header `x-request-id` carries the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// More for programs to go by, where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_attributes: Option<ErrorAttributes>,
}

/// What a program can do about an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAttributes {
    /// Where the same request would find room (behaviour rule ERR-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_regions: Option<Vec<RegionSlug>>,
}

/// A member of a request that cannot be so whatever the state of the world. Becomes a 422.
///
/// Displays as the member's name followed by what is wrong, and so is fit to be an error body's `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The member, as the request names it.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl Invalid {
    /// Says that `field` is wrong.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_leaves_out_what_it_does_not_know() {
        let body = ErrorBody {
            id: ErrorId::NotFound.into(),
            message: "gone".to_owned(),
            request_id: None,
            error_attributes: None,
        };
        let text = serde_json::to_string(&body).expect("plain data");
        assert_eq!(text, r#"{"id":"not_found","message":"gone"}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).expect("its own text"), body);
    }

    #[test]
    fn every_error_id_reads_back_and_has_a_refusal_status() {
        for id in ErrorId::ALL {
            assert_eq!(id.as_str().parse(), Ok(*id));
            assert!((400..600).contains(&id.status()));
        }
        assert!("teapot".parse::<ErrorId>().is_err());
    }
}

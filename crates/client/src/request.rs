//! A request before it is sent.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use crate::{Error, operations::Operation};

/// What may stand in a path or a query as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// One request: where to, with what, and how patiently.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The operation's id, for spans; empty for what goes through the raw door.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// With query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) goes_to: Destination,
    /// What went wrong while it was put together, told when it is sent.
    pub(crate) problem: Option<Error>,
}

/// Which of the client's addresses and tokens a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The API.
    Api,
    /// Serverless inference, which may be elsewhere and may have a key of its own.
    Inference,
}

impl Request {
    /// A request for `operation`, with `parts` in the places that its path leaves open, in order.
    pub(crate) fn of(operation: &Operation, parts: &[&dyn fmt::Display]) -> Self {
        let mut target = String::with_capacity(operation.path.len() + 32);
        let (mut rest, mut parts, mut problem) = (operation.path, parts.iter(), None);
        while let Some((before, after)) = rest.split_once('{') {
            target.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let part = parts.next().map(ToString::to_string).unwrap_or_default();
            // An empty part, or dots that a server would resolve, would name another path.
            if matches!(part.as_str(), "" | "." | "..") {
                problem = Some(Error::config(format!("{name} cannot be {part:?}")));
            }
            match name.strip_prefix('*') {
                Some(_) => target.extend(part.split('/').flat_map(|one| ["/", one]).skip(1)),
                None => target.extend(percent_encode(part.as_bytes(), PLAIN)),
            }
            rest = after;
        }
        target.push_str(rest);
        Self { operation: operation.id, problem, ..Self::raw(operation.method(), target) }
    }

    /// A request for `target`, a path with or without a query.
    pub(crate) fn raw(method: Method, target: String) -> Self {
        Self {
            operation: "",
            method,
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            retries: None,
            goes_to: Destination::Api,
            problem: None,
        }
    }

    /// Sets a query parameter, in place of what it had.
    pub(crate) fn query(&mut self, name: &str, value: &dyn fmt::Display) {
        let name = percent_encode(name.as_bytes(), PLAIN).to_string();
        self.unquery(&name);
        let value = value.to_string();
        self.add_query(&name, &value);
    }

    fn unquery(&mut self, name: &str) {
        let Some((path, query)) = self.target.split_once('?') else { return };
        let kept: Vec<&str> =
            query.split('&').filter(|pair| pair.split('=').next().is_some_and(|given| given != name)).collect();
        self.target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    }

    fn add_query(&mut self, name: &str, value: &str) {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.extend(percent_encode(value.as_bytes(), PLAIN));
    }

    /// Sets the body.
    pub(crate) fn json<B: Serialize + ?Sized>(mut self, body: &B) -> Self {
        match serde_json::to_vec(body) {
            Ok(text) => {
                self.body = text.into();
                self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Err(error) => self.problem = Some(Error::config(format!("the body cannot be written as JSON: {error}"))),
        }
        self
    }

    /// Sets a header, in place of what it had.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => drop(self.headers.insert(name, value)),
            (Err(_), _) => self.problem = Some(Error::config(format!("{name:?} is no name of a header"))),
            (Ok(_), Err(_)) => self.problem = Some(Error::config(format!("header {name} has a value that none has"))),
        }
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &'static str, parts: &[&dyn fmt::Display]) -> Request {
        Request::of(&Operation { id: "x", method: "GET", path }, parts)
    }

    #[test]
    fn what_goes_into_a_path_cannot_leave_its_place() {
        assert_eq!(of("/v2/tags/{tag_id}/resources", &[&"env:prod"]).target, "/v2/tags/env:prod/resources");
        assert_eq!(of("/v2/tags/{tag_id}", &[&"a/../b?c#d"]).target, "/v2/tags/a%2F..%2Fb%3Fc%23d");
        assert_eq!(of("/v2/reserved_ipv6/{ip}", &[&"2001:db8::1"]).target, "/v2/reserved_ipv6/2001:db8::1");
        for bad in ["", ".", ".."] {
            assert!(of("/v2/tags/{tag_id}", &[&bad]).problem.is_some(), "{bad:?} names another path");
        }
    }

    #[test]
    fn a_query_parameter_is_set_once() {
        let mut request = of("/v2/droplets", &[]);
        request.query("tag_name", &"a&b=c");
        request.query("page", &1);
        request.query("page", &2);
        assert_eq!(request.target, "/v2/droplets?tag_name=a%26b%3Dc&page=2");
        assert_eq!(request.path(), "/v2/droplets");
    }
}

//! What the edge notes for the audit log: every request whose method may change something and whose path is an operation's.

use axum::extract::Request;
use dewpoint_control::{Control, Grant};
use dewpoint_store::AuditRecord;
use http::{Method, StatusCode, Uri};

use crate::{
    operation::{Access, Operation},
    peer::Peer,
};

/// Most characters of a path that are kept.
const PATH_MAX: usize = 512;
/// What of a query is kept: what chooses the resources. Anything else may be a secret that somebody put there by mistake.
const CHOOSING: [&str; 3] = ["tag_name", "name", "region"];

/// The status of a request whose client left before the answer: what it asked for may have been done or not.
const CLIENT_LEFT: u16 = 499;

/// A request on its way. Writes its entry when it goes, so that a client that leaves is written down too.
#[derive(Debug)]
pub(crate) struct Trail<'app> {
    control: &'app Control,
    entry: Option<AuditRecord>,
}

impl<'app> Trail<'app> {
    /// Of a request to this operation. One that only reads is not written down.
    pub(crate) fn begin(control: &'app Control, operation: &Operation, request: &Request, id: &str) -> Self {
        let method = request.method();
        // A model keeps nothing of what it is asked.
        let reads = *method == Method::GET || *method == Method::HEAD || operation.access == Access::ModelKey;
        let entry = (!reads).then(|| AuditRecord {
            at: control.clock().now(),
            account: None,
            token: None,
            operation: operation.id.to_owned(),
            method: method.as_str().to_owned(),
            path: resource(request.uri()),
            status: CLIENT_LEFT,
            address: Peer::of(request.extensions()).map(|peer| peer.address.to_string()),
            request_id: id.to_owned(),
            left_out: 0,
        });
        Self { control, entry }
    }

    /// Whose token it is.
    pub(crate) fn asked_by(&mut self, grant: &Grant) {
        if let Some(entry) = &mut self.entry {
            entry.account = Some(grant.account);
            entry.token = Some(grant.token);
        }
    }

    /// How it was answered.
    pub(crate) fn answered(mut self, status: StatusCode) {
        if let Some(entry) = &mut self.entry {
            entry.status = status.as_u16();
        }
    }
}

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.at = self.control.clock().now();
            self.control.audit_note(entry);
        }
    }
}

/// The path, and of the query what chooses resources.
fn resource(uri: &Uri) -> String {
    let mut text = uri.path().to_owned();
    let query = uri.query().unwrap_or_default();
    let kept = query.split('&').filter(|part| CHOOSING.contains(&part.split('=').next().unwrap_or_default()));
    for (position, part) in kept.enumerate() {
        text.push(if position == 0 { '?' } else { '&' });
        text.push_str(part);
    }
    // A URI is ASCII, so every position ends a character.
    text.truncate(PATH_MAX);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_query_only_what_chooses_resources_is_kept() {
        let kept = |uri: &'static str| resource(&Uri::from_static(uri));
        assert_eq!(kept("/v2/droplets/7"), "/v2/droplets/7");
        assert_eq!(kept("/v2/droplets?token=dop_v1_x&tag_name=web&names=y"), "/v2/droplets?tag_name=web");
        assert_eq!(kept("http://dew.test/v2/volumes?region=nyc3&name=data"), "/v2/volumes?region=nyc3&name=data");
        assert_eq!(resource(&format!("/{}", "x".repeat(9000)).parse().expect("a path")).len(), PATH_MAX);
    }
}

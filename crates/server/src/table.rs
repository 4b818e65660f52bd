//! Which operation a request means: paths to operations, by the raw (still percent-encoded) path.
//!
//! Routing looks at the raw path and decodes the parameters afterwards, so an encoded slash stays part of its parameter and
//! can neither reach another route nor climb out of its own (behaviour rule REG-6).

use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;

use crate::operation::Operation;

/// Every operation, findable by path and method.
#[derive(Debug)]
pub(crate) struct Table {
    operations: Vec<Operation>,
    paths: matchit::Router<Methods>,
}

/// What one path takes.
#[derive(Debug, Default)]
struct Methods {
    /// Position of each operation in the table.
    operations: Vec<(Method, usize)>,
    /// The header `allow` of a 405.
    allow: Option<HeaderValue>,
}

/// What a table has for a request.
#[derive(Debug)]
pub(crate) enum Found<'table> {
    /// This operation, at this position, with these decoded parameters.
    Operation(usize, &'table Operation, Vec<String>),
    /// The path, but not the method; these would do.
    OtherMethods(HeaderValue),
    /// Nothing.
    Nothing,
}

impl Table {
    /// Puts the operations in order. Panics when two have the same method and path, or name one parameter differently.
    pub(crate) fn new(operations: Vec<Operation>) -> Self {
        let mut by_path: Vec<(&'static str, Methods)> = Vec::new();
        for (position, operation) in operations.iter().enumerate() {
            let methods = match by_path.iter_mut().find(|(path, _)| *path == operation.path) {
                Some((_, methods)) => methods,
                None => &mut by_path.push_mut((operation.path, Methods::default())).1,
            };
            let twice = methods.operations.iter().any(|(method, _)| *method == operation.method);
            assert!(!twice, "{operation:?} is in the table twice");
            methods.operations.push((operation.method.clone(), position));
        }
        let mut paths = matchit::Router::new();
        for (path, mut methods) in by_path {
            methods.allow = Some(allow(&methods.operations));
            paths.insert(path, methods).expect("the paths of the table do not contradict each other");
        }
        Self { operations, paths }
    }

    /// Every operation, in the order they were given.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What the header `allow` of `path` says; `None` when there is no such path.
    pub(crate) fn allowed(&self, path: &str) -> Option<HeaderValue> {
        self.paths.at(without_slash(path)).ok()?.value.allow.clone()
    }

    /// What is meant by `method` on `path`. `HEAD` means `GET`; one trailing slash is forgiven.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(matched) = self.paths.at(without_slash(path)) else { return Found::Nothing };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let Some((_, position)) = matched.value.operations.iter().find(|(known, _)| known == method) else {
            return matched.value.allow.clone().map_or(Found::Nothing, Found::OtherMethods);
        };
        match matched.params.iter().map(|(_, raw)| decoded(raw)).collect() {
            Some(parameters) => Found::Operation(*position, &self.operations[*position], parameters),
            None => Found::Nothing,
        }
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

fn allow(operations: &[(Method, usize)]) -> HeaderValue {
    let mut names: Vec<&str> = operations.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    HeaderValue::from_str(&names.join(", ")).expect("method names are header text")
}

/// A parameter as text. `None` when it is not UTF-8 or holds a NUL, which no name of ours does and PostgreSQL cannot take.
fn decoded(raw: &str) -> Option<String> {
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Again;

    async fn nothing() {}

    fn table() -> Table {
        Table::new(vec![
            Operation::get("/v2/droplets", nothing).id("list"),
            Operation::post("/v2/droplets", nothing, Again::Empty).id("create"),
            Operation::get("/v2/droplets/{droplet_id}", nothing).id("get"),
            Operation::post("/v2/droplets/actions", nothing, Again::Empty).id("act_by_tag"),
            Operation::get("/v2/droplets/{droplet_id}/actions/{action_id}", nothing).id("action"),
        ])
    }

    #[track_caller]
    fn found(method: &Method, path: &str) -> (String, Vec<String>) {
        match table().find(method, path) {
            Found::Operation(_, operation, parameters) => (operation.id.to_owned(), parameters),
            Found::OtherMethods(allow) => (format!("405 {}", allow.to_str().expect("text")), Vec::new()),
            Found::Nothing => ("404".to_owned(), Vec::new()),
        }
    }

    #[test]
    fn a_path_and_a_method_lead_to_one_operation() {
        assert_eq!(found(&Method::GET, "/v2/droplets").0, "list");
        assert_eq!(found(&Method::HEAD, "/v2/droplets/").0, "list");
        assert_eq!(found(&Method::POST, "/v2/droplets/actions").0, "act_by_tag");
        assert_eq!(found(&Method::GET, "/v2/droplets/7/actions/9"), ("action".into(), vec!["7".into(), "9".into()]));
        assert_eq!(found(&Method::DELETE, "/v2/droplets").0, "405 GET, POST, HEAD, OPTIONS");
        for path in ["/", "", "*", "/v2", "/v2/droplets//", "/v2//droplets", "/v2/droplets/7/8/9"] {
            assert_eq!(found(&Method::GET, path).0, "404", "{path:?}");
        }
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_parameter_reg_6() {
        assert_eq!(found(&Method::GET, "/v2/droplets/a%2Factions%2F9").1, ["a/actions/9"]);
        assert_eq!(found(&Method::GET, "/v2/droplets/..%2f..%2fetc").1, ["../../etc"]);
        assert_eq!(found(&Method::GET, "/v2/droplets/%E5%90%8D").1, ["名"]);
        assert_eq!(found(&Method::GET, "/v2/%64roplets").0, "404", "names of ours are not encoded");
    }

    #[test]
    fn a_parameter_that_is_no_text_is_nothing() {
        for path in ["/v2/droplets/%ff", "/v2/droplets/a%00b"] {
            assert_eq!(found(&Method::GET, path).0, "404", "{path:?}");
        }
        assert_eq!(found(&Method::GET, "/v2/droplets/100%").1, ["100%"]);
    }
}

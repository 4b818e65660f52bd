//! One operation of the API, said once: from it come its route, its scope check, its entry in the OpenAPI document and its
//! line in the coverage test against `spec/operations.toml`.

use std::{fmt, future::Future, panic::AssertUnwindSafe, pin::Pin};

use axum::{
    extract::Request,
    handler::Handler,
    response::{IntoResponse as _, Response},
};
use dewpoint_api::Scope;
use dewpoint_control::Grant;
use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{ApiError, App, once::Again, rate::Bucket};

/// Who may call an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; no token is looked at.
    Open,
    /// A token with all scopes of one of these alternatives (behaviour rule AUTH-4). No alternative: any good token will do.
    Scopes(Vec<Vec<Scope>>),
    /// A token with every scope: what is Dewpoint's own, below `/dew/v1`.
    Full,
    /// A model access key, or a token with every scope (behaviour rule AUTH-8): inference.
    ModelKey,
    /// A token with every scope of the first account, which is the operator's: what is about all accounts.
    Operator,
}

impl Access {
    /// Whether the bearer of this token may go on.
    pub fn admits(&self, grant: &Grant) -> bool {
        let scopes = grant.scopes;
        match self {
            Self::Open => true,
            Self::Scopes(alternatives) if alternatives.is_empty() => true,
            Self::Scopes(alternatives) => alternatives.iter().any(|all| all.iter().all(|scope| scopes.allows(*scope))),
            Self::Full => scopes.is_full(),
            Self::ModelKey => scopes.is_full() || grant.is_model_key,
            Self::Operator => scopes.is_full() && grant.is_operator,
        }
    }
}

/// Makes the schema of a type, in the generator that the whole document shares.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

type HandlerFuture = Pin<Box<dyn Future<Output = Response> + Send>>;
type BoxedHandler = Box<dyn Fn(Request, App) -> HandlerFuture + Send + Sync>;

/// One operation. Made by [`Operation::get`] and its like, then told what it needs and answers.
pub struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    pub(crate) bucket: Bucket,
    pub(crate) success: StatusCode,
    pub(crate) answer: Option<SchemaOf>,
    /// What each event of its success says, when it can be asked for events.
    pub(crate) event: Option<SchemaOf>,
    pub(crate) body: Option<SchemaOf>,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) paged: bool,
    /// Whether it steers or watches what happens: it is neither counted, nor logged, nor struck by faults.
    pub(crate) steers: bool,
    /// How it is answered when it was carried out before; `None` for what is no POST.
    pub(crate) again: Option<Again>,
    handler: BoxedHandler,
}

impl Operation {
    fn new<H, T>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self {
            id: "",
            method,
            path,
            summary: "",
            access: Access::Scopes(Vec::new()),
            bucket: Bucket::Token,
            success: StatusCode::NO_CONTENT,
            answer: None,
            event: None,
            body: None,
            query: None,
            paged: false,
            steers: false,
            again: None,
            handler: Box::new(move |request, app| handler.clone().call(request, app)),
        }
    }

    /// `GET path`, and `HEAD path` with it. `path` names its parameters as `{droplet_id}`.
    pub(crate) fn get<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self::new(Method::GET, path, handler)
    }

    /// `POST path`. `again` says how it is answered when the same request was carried out before (`docs/once.md`).
    ///
    /// The store functions that its one write calls say what they make (`Tx::note`); the answer is made anew from that.
    pub(crate) fn post<H, T>(path: &'static str, handler: H, again: Again) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self { again: Some(again), ..Self::new(Method::POST, path, handler) }
    }

    /// `PUT path`.
    pub(crate) fn put<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self::new(Method::PUT, path, handler)
    }

    /// `PATCH path`.
    pub(crate) fn patch<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self::new(Method::PATCH, path, handler)
    }

    /// `DELETE path`.
    pub(crate) fn delete<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App, Future = HandlerFuture> + Sync,
        T: 'static,
    {
        Self::new(Method::DELETE, path, handler)
    }

    /// Its name: the public `operationId`, or one of our own. Every operation has one.
    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// What it does, in one sentence of ours for the document.
    pub(crate) fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The scopes its token must have, all of them. Said again: an alternative (behaviour rule AUTH-4). None: any token.
    pub(crate) fn needs(mut self, scopes: &[Scope]) -> Self {
        match &mut self.access {
            Access::Scopes(alternatives) => alternatives.push(scopes.to_vec()),
            Access::Open | Access::Full | Access::ModelKey | Access::Operator => {
                self.access = Access::Scopes(vec![scopes.to_vec()])
            }
        }
        self
    }

    /// Needs a token with every scope.
    pub(crate) fn needs_full_token(mut self) -> Self {
        self.access = Access::Full;
        self
    }

    /// Needs a model access key, or a token with every scope.
    pub(crate) fn needs_model_key(mut self) -> Self {
        self.access = Access::ModelKey;
        self
    }

    /// Steers the simulator, which all accounts share: needs a full token of the operator's, and is itself neither counted, nor logged, nor struck by faults.
    pub(crate) fn steers(mut self) -> Self {
        self.steers = true;
        self.needs_operator()
    }

    /// Only looks at what happens: needs a full token, and is itself neither counted, nor logged, nor struck by faults.
    pub(crate) fn watches(mut self) -> Self {
        self.steers = true;
        self.needs_full_token()
    }

    /// Needs a token with every scope of the operator's account, the first one.
    pub(crate) fn needs_operator(mut self) -> Self {
        self.access = Access::Operator;
        self
    }

    /// Needs no token.
    pub(crate) fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// Also counts against a limit of its own.
    pub(crate) fn counted_in(mut self, bucket: Bucket) -> Self {
        self.bucket = bucket;
        self
    }

    /// The shape of the request body.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// The query parameters it reads, as the members of a struct.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// Takes `page` and `per_page` (behaviour rule PAG-1).
    pub(crate) fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    /// The status of success, and the shape of its body.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answer = Some(SchemaGenerator::subschema_for::<T>);
        self.answers_empty(status)
    }

    /// That it can be asked to answer bit by bit, as server-sent events, and the shape of what each of these says.
    pub(crate) fn streams<T: JsonSchema>(mut self) -> Self {
        self.event = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// The status of success when its body is empty. 204 unless said otherwise.
    pub(crate) fn answers_empty(mut self, status: u16) -> Self {
        self.success = StatusCode::from_u16(status).expect("a table of ours names real statuses");
        self
    }

    /// Its name: the public `operationId`, or one of our own.
    pub fn name(&self) -> &'static str {
        self.id
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path, with parameters as `{droplet_id}`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Who may call it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The status of its success.
    pub fn success(&self) -> StatusCode {
        self.success
    }

    /// Whether it is a POST that is carried out at most once (`docs/once.md`).
    pub fn is_done_once(&self) -> bool {
        !matches!(self.again, None | Some(Again::Never(_)))
    }

    /// Runs its handler, and answers for it if it panics. The caller has checked access.
    pub(crate) async fn run(&self, request: Request, app: App) -> Response {
        let handler = AssertUnwindSafe((self.handler)(request, app));
        handler.catch_unwind().await.unwrap_or_else(|_| after_panic())
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish()
    }
}

/// The answer to an operation whose handler panicked. The panic's own text went to the log by the panic hook.
fn after_panic() -> Response {
    ApiError::internal(HandlerPanicked).into_response()
}

#[derive(Debug)]
struct HandlerPanicked;

impl fmt::Display for HandlerPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler panicked")
    }
}

impl std::error::Error for HandlerPanicked {}

//! What is a Dewpoint server's own, below `/dew/v1`. The real service answers 404 there. All of it needs a full token.

use std::net::IpAddr;

use dewpoint_api::{
    AccountCreateRequest, AccountCreateResponse, AccountEntry, ActionId, AuditResponse, Event, EventsResponse,
    KeyLimits, KeyLimitsResponse, ModelUsage, ServedModel, ServedModelRequest, Token, TokenCreateRequest,
    TokenCreateResponse, TokenId, UsageResponse,
};

use super::stories::{ActionStory, DropletAccess, DropletPassword, DropletStory, Reach};
use crate::{
    ByteStream, Call, EventStream, Kept, List, NamesDroplet, Result, envelope, operations as op, request::Request,
    sse::SseEvent, stream::Seen,
};

groups! {
    /// What is a Dewpoint server's own.
    Dewpoint;
    /// What the public API does not tell of Droplets.
    DewpointDroplets;
    /// What the public API does not tell of actions.
    DewpointActions;
    /// Access tokens of the account.
    Tokens;
    /// Models that are added to the running server: for its operator.
    ServedModels;
    /// Accounts of the server: for its operator, who bears a full token of the first account.
    Accounts;
}

leads! { Dewpoint {
    /// How far Droplets are on the way to ready, and how to reach them.
    droplets -> DewpointDroplets;
    /// The steps of actions.
    actions -> DewpointActions;
    /// Access tokens.
    tokens -> Tokens;
    /// Models that are added to the running server.
    models -> ServedModels;
    /// Accounts.
    accounts -> Accounts;
    /// What steers the simulator.
    simulator -> SimulatorControl;
} }

impl Dewpoint {
    /// `GET /dew/v1/audit`: requests that changed something or were refused, newest first. Filters go by `.query(…)`:
    /// `account`, `token`, `operation`, `path`, `request_id`, `address`, `status`, `since`, `until`, `before`, `limit`.
    pub fn audit(&self) -> Call<Kept<AuditResponse>> {
        self.0.whole(&op::DEW_AUDIT_LIST, &[])
    }

    /// `GET /dew/v1/usage`: what the account's keys used of models, by minute, the newest first. Filters go by `.query(…)`:
    /// `from`, `to`, `key`, `model`. [`Dewpoint::usage_total`] is the sum.
    pub fn usage(&self) -> List<ModelUsage> {
        self.0.list(&op::DEW_USAGE_LIST, &[])
    }

    /// `GET /dew/v1/usage`: the sum of what the account's keys used of models. Filters as of [`Dewpoint::usage`].
    pub fn usage_total(&self) -> Call<Kept<UsageResponse>> {
        self.0.whole(&op::DEW_USAGE_LIST, &[]).query("per_page", 1)
    }

    /// `GET /dew/v1/model-keys/{uuid}/limits`: what a model access key may have.
    pub fn model_key_limits(&self, key: impl Into<TokenId>) -> Call<Kept<KeyLimitsResponse>> {
        self.0.whole(&op::DEW_MODEL_KEYS_LIMITS, &[&key.into()])
    }

    /// `PUT /dew/v1/model-keys/{uuid}/limits`: sets all limits of a model access key; they hold from the answer on.
    pub fn limit_model_key(&self, key: impl Into<TokenId>, limits: &KeyLimits) -> Call<Kept<KeyLimitsResponse>> {
        self.0.whole_from(&op::DEW_MODEL_KEYS_LIMIT, &[&key.into()], limits)
    }

    /// `GET /dew/v1/reach`: whether a Droplet (`droplet:7`) or an address reaches an address, over `tcp`, `udp` or `icmp`;
    /// by which rule, or what stands in the way. A port is needed but for `icmp`.
    pub fn reach(&self, from: &str, to: IpAddr, protocol: &str, port: Option<u16>) -> Call<Kept<Reach>> {
        let call = self.0.whole(&op::DEW_REACH, &[]).query("from", from).query("to", to).query("protocol", protocol);
        match port {
            Some(port) => call.query("port", port),
            None => call,
        }
    }

    /// `GET /dew/v1/events`: what changed in the account, the last events as a list. Filters go by `.query(…)`: `since`,
    /// `kind`, `type`, `id`, `objects`, `limit`.
    pub fn list_events(&self) -> Call<Kept<EventsResponse>> {
        self.0.whole(&op::DEW_EVENTS, &[])
    }

    /// `GET /dew/v1/events` as a stream: what changes in the account, as it changes, after the event `since` or from now on.
    ///
    /// It ends when the server ends or the token is good no more; ask again then with the last event's id.
    pub async fn events(&self, since: Option<&str>) -> Result<EventStream<Kept<Event>>> {
        let mut request = Request::of(&op::DEW_EVENTS, &[]);
        if let Some(since) = since {
            request.query("since", &since);
        }
        EventStream::open(&self.0, request, event, false).await
    }

    /// `POST /dew/v1/backup`: the whole state of the server at one moment, for the operator; `dew backup` writes it down.
    pub async fn backup(&self) -> Result<ByteStream> {
        ByteStream::open(&self.0, &Request { retries: Some(0), ..Request::of(&op::DEW_BACKUP_TAKE, &[]) }).await
    }
}

/// What a stream says of itself (a gap, its end) has a name of its own and is no event of the account.
fn event(told: &SseEvent) -> Result<Seen<Kept<Event>>> {
    match envelope::whole(told.data.as_bytes()) {
        Ok(event) => Ok(Seen::Item(event)),
        Err(_) => Ok(Seen::Nothing),
    }
}

impl Tokens {
    /// `POST /dew/v1/tokens`: its secret is in this answer only.
    pub fn create(&self, wanted: &TokenCreateRequest) -> Call<Kept<TokenCreateResponse>> {
        self.0.whole_from(&op::DEW_TOKENS_CREATE, &[], wanted)
    }

    /// `GET /dew/v1/tokens`.
    pub fn list(&self) -> List<Token> {
        self.0.list(&op::DEW_TOKENS_LIST, &[])
    }

    /// `DELETE /dew/v1/tokens/{id}`: it is good no more at once.
    pub fn revoke(&self, id: impl Into<TokenId>) -> Call<()> {
        self.0.done(&op::DEW_TOKENS_REVOKE, &[&id.into()])
    }
}

impl ServedModels {
    /// `POST /dew/v1/models`: a file on the server's host, which it copies and then loads, or Droplets with a tag.
    pub fn add(&self, wanted: &ServedModelRequest) -> Call<Kept<ServedModel>> {
        self.0.one_from(&op::DEW_MODELS_ADD, &[], wanted)
    }

    /// `GET /dew/v1/models`: the models that were added, and how far each is.
    pub fn list(&self) -> List<ServedModel> {
        self.0.list(&op::DEW_MODELS_LIST, &[])
    }

    /// `GET /dew/v1/models/{name}`.
    pub fn get(&self, name: &str) -> Call<Kept<ServedModel>> {
        self.0.one(&op::DEW_MODELS_GET, &[&name])
    }

    /// `DELETE /dew/v1/models/{name}`: what answers for it ends, and its file is removed.
    pub fn delete(&self, name: &str) -> Call<()> {
        self.0.done(&op::DEW_MODELS_DELETE, &[&name])
    }
}

impl Accounts {
    /// `POST /dew/v1/accounts`: with a full token of its own, which is in this answer only.
    pub fn create(&self, wanted: &AccountCreateRequest) -> Call<Kept<AccountCreateResponse>> {
        self.0.whole_from(&op::DEW_ACCOUNTS_CREATE, &[], wanted)
    }

    /// `GET /dew/v1/accounts`.
    pub fn list(&self) -> List<AccountEntry> {
        self.0.list(&op::DEW_ACCOUNTS_LIST, &[])
    }
}

impl DewpointDroplets {
    /// `GET /dew/v1/droplets/{id}`: how far a Droplet is on the way from accepted to ready, and when it got where.
    pub fn get(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletStory>> {
        self.0.whole(&op::DEW_DROPLETS_GET, &[&droplet.droplet_id()])
    }

    /// `GET /dew/v1/droplets/{id}/access`: where on the server's host the Droplet's ports are reached.
    pub fn access(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletAccess>> {
        self.0.whole(&op::DEW_DROPLETS_ACCESS, &[&droplet.droplet_id()])
    }

    /// `GET /dew/v1/droplets/{id}/password`: the root password, shown once. Never sent again when its answer is lost.
    pub fn password(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletPassword>> {
        self.0.whole(&op::DEW_DROPLETS_PASSWORD, &[&droplet.droplet_id()]).retries(0)
    }

    /// `GET /dew/v1/droplets/{id}/console`: the end of what a Droplet wrote to its serial console, at most 64 KiB.
    pub fn console(&self, droplet: impl NamesDroplet) -> Call<Vec<u8>> {
        self.0.bytes(&op::DEW_DROPLETS_CONSOLE, &[&droplet.droplet_id()])
    }

    /// The same, and then what it goes on to write, until the Droplet is off or the server ends.
    pub async fn console_follow(&self, droplet: impl NamesDroplet) -> Result<ByteStream> {
        let mut request = Request::of(&op::DEW_DROPLETS_CONSOLE, &[&droplet.droplet_id()]);
        request.query("follow", &true);
        ByteStream::open(&self.0, &request).await
    }

    /// `POST /dew/v1/droplets/{id}/console`: types into a Droplet's serial console, 1 to 4096 bytes. Enter is `\r`.
    pub fn type_into(&self, droplet: impl NamesDroplet, text: &str) -> Call<()> {
        let keys = serde_json::json!({ "input": text });
        self.0.done_from(&op::DEW_DROPLETS_CONSOLE_TYPE, &[&droplet.droplet_id()], &keys)
    }

    /// `GET /dew/v1/droplets/{id}/metadata`: the beginning of what the metadata service has for a Droplet.
    pub fn metadata(&self, droplet: impl NamesDroplet) -> Call<String> {
        self.0.text(&op::DEW_DROPLETS_METADATA, &[&droplet.droplet_id()])
    }

    /// `GET /dew/v1/droplets/{id}/metadata/{path}`: what a Droplet finds there, such as `v1.json` or `v1/hostname`.
    pub fn metadata_at(&self, droplet: impl NamesDroplet, path: &str) -> Call<String> {
        self.0.text(&op::DEW_DROPLETS_METADATA_PATH, &[&droplet.droplet_id(), &path])
    }
}

impl DewpointActions {
    /// `GET /dew/v1/actions/{id}`: an action with the timeline of its steps and, when it errored, the reason.
    pub fn get(&self, id: impl Into<ActionId>) -> Call<Kept<ActionStory>> {
        self.0.whole(&op::DEW_ACTIONS_GET, &[&id.into()])
    }
}

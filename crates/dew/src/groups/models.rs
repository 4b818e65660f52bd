//! `dew model`, `dew model-key`, `dew gradient`, `dew chat`, `dew embeddings` and `dew usage`: models, and the keys to ask them with.

use crate::{
    commands::{chat, embeddings, model},
    tables::{EMBEDDING, KEY_LIMITS, LISTED_MODEL, MODEL_KEY, NEW_MODEL_KEY, SERVED_MODEL, USAGE},
    tree::{
        kind::Kind,
        spec::{Group, Place, Verb, Waits, arg, delete, flag, get, group, id, list, post, put},
    },
};

pub(super) fn group_of_models() -> Group {
    let one = "/dew/v1/models/{served-model}";
    let added = || id("served-model", Kind::ServedModel);
    group("model", &[], "Models that the server serves: files on its host, and Droplets").verbs([
        post("add", "Add a model: a GGUF file on the server's host, or Droplets with a tag", model::MODELS)
            .aliases(&["a", "create"])
            .examples(
                "  dew model add smollm2 --file smollm2.gguf --wait
  dew model add llama --droplets-tag gpu --port 8000",
            )
            .with([
                arg("name", Kind::Text("NAME"), Place::Body("name"), "What requests call it"),
                flag("file", Kind::Text("FILE"), Place::Code, "Its file, which the server copies"),
                flag("droplets-tag", Kind::Tag, Place::Body("droplets.tag"), "The tag of the Droplets that serve it"),
                flag("port", Kind::Whole("PORT"), Place::Body("droplets.port"), "The port they answer on"),
                flag(
                    "owned-by",
                    Kind::Text("NAME"),
                    Place::Body("owned_by"),
                    "Who runs it, as its list tells [default: dewpoint]",
                ),
            ])
            .shows(&SERVED_MODEL)
            .waits(Waits::Actions)
            .run(|session, verb, given| Box::pin(model::add(session, verb, given))),
        list("list", "List the models that were added, and how far each is", model::MODELS)
            .aliases(&["ls"])
            .shows(&SERVED_MODEL),
        get("get", "Show a model, and why it does not answer", one)
            .aliases(&["g"])
            .with([added()])
            .shows(&SERVED_MODEL),
        delete("delete", "Take models away, with the server's copy of their files", one)
            .aliases(&["d", "rm"])
            .with([added().many()])
            .destroys("delete model"),
    ])
}

pub(super) fn group_of_model_keys() -> Group {
    let one = "/v2/gen-ai/models/api_keys/{model-key}";
    let key = || [id("model-key", Kind::ModelKey)];
    let name = |help| arg("name", Kind::Text("NAME"), Place::Body("name"), help);
    let limit = |name, member, help| flag(name, Kind::Whole("NUMBER"), Place::Body(member), help);
    group("model-key", &["mk"], "Model access keys: each is good for asking models, and for nothing else").verbs([
        list("list", "List keys, without their secrets", "/v2/gen-ai/models/api_keys")
            .aliases(&["ls"])
            .shows(&MODEL_KEY),
        post("create", "Make a key; its secret is shown this once", "/v2/gen-ai/models/api_keys")
            .aliases(&["c"])
            .with([name("What it is called")])
            .shows(&NEW_MODEL_KEY),
        put("update", "Rename a key", one)
            .aliases(&["u"])
            .with(key())
            .with([flag("name", Kind::Text("NAME"), Place::Body("name"), "The new name").required()])
            .shows(&MODEL_KEY),
        put(
            "regenerate",
            "Give a key another secret, shown this once; the old one is refused at once",
            "/v2/gen-ai/models/api_keys/{model-key}/regenerate",
        )
        .with(key())
        .destroys("end the secret of model key")
        .shows(&NEW_MODEL_KEY),
        get("limits", "Show what a key may have", "/dew/v1/model-keys/{model-key}/limits")
            .with(key())
            .shows(&KEY_LIMITS),
        put(
            "limit",
            "Set all that a key may have; what is not given is as the server's configuration says",
            "/dew/v1/model-keys/{model-key}/limits",
        )
        .with(key())
        .with([
            limit("requests-per-minute", "requests_per_minute", "Requests a minute"),
            limit("tokens-per-minute", "tokens_per_minute", "Tokens a minute, of requests and answers"),
            limit("tokens-per-day", "tokens_per_day", "Tokens a day, of requests and answers"),
        ])
        .shows(&KEY_LIMITS),
        delete("delete", "Delete keys; they are refused at once", one)
            .aliases(&["d", "rm"])
            .with([id("model-key", Kind::ModelKey).many()])
            .destroys("delete model key"),
    ])
}

/// doctl's word for what is about models.
pub(super) fn group_of_gradient() -> Group {
    group("gradient", &["genai"], "Models, by doctl's word").verbs([list(
        "list-models",
        "List the models that can be asked",
        "/v2/gen-ai/models",
    )
    .aliases(&["lm"])
    .shows(&LISTED_MODEL)])
}

pub(super) fn chat() -> Verb {
    let code = |name, kind, help| flag(name, kind, Place::Code, help);
    post("chat", "Ask a model, and see its answer as it comes", "/v1/chat/completions")
        .examples(
            "  dew chat dewpoint-scripted \"count to 5\"
  git diff | dew chat llama --system \"Write a commit message for this.\"
  dew chat llama                    # a conversation, until Ctrl-D",
        )
        .with([
            id("model", Kind::Model),
            arg("words", Kind::Text("WORDS"), Place::Code, "What to say [default: standard input]").many().optional(),
            code("system", Kind::Text("TEXT"), "How it is to answer"),
            code("max-tokens", Kind::Whole("TOKENS"), "Most tokens of an answer"),
            code("temperature", Kind::Text("NUMBER"), "From 0, the likeliest, to 2, wild"),
            code("seed", Kind::Whole("NUMBER"), "Makes the same answer likelier next time"),
        ])
        .run(|session, verb, given| Box::pin(chat::run(session, verb, given)))
}

pub(super) fn embeddings() -> Verb {
    post("embeddings", "Show where texts lie among others: a model's vector for each", "/v1/embeddings")
        .examples(
            "  dew embeddings dewpoint-scripted \"a cat\" \"a dog\"
  dew embeddings llama -o json < lines.txt",
        )
        .with([
            id("model", Kind::Model),
            arg("texts", Kind::Text("TEXT"), Place::Code, "The texts [default: the lines of standard input]")
                .many()
                .optional(),
            flag(
                "dimensions",
                Kind::Whole("NUMBER"),
                Place::Code,
                "How many numbers each has, with models that can give fewer",
            ),
        ])
        .shows(&EMBEDDING)
        .run(|session, verb, given| Box::pin(embeddings::run(session, verb, given)))
}

pub(super) fn usage() -> Verb {
    let query = |name, kind, place, help| flag(name, kind, Place::Query(place), help);
    list("usage", "Show what keys used of models, by minute, the newest first", "/dew/v1/usage")
        .examples("  dew usage --from 2026-11-22T00:00:00Z --model llama")
        .with([
            query("from", Kind::Text("TIME"), "from", "Minutes that began then or later"),
            query("to", Kind::Text("TIME"), "to", "Minutes that began before"),
            query("key", Kind::Text("ID"), "key", "The id of a model access key, or of a token"),
            query("model", Kind::Text("NAME"), "model", "The model that was asked for"),
        ])
        .shows(&USAGE)
}

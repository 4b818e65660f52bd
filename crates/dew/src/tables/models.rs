//! Models, their keys, and what was used of them.

use crate::output::{Json, Table, by, col};

pub(crate) static LISTED_MODEL: Table = Table {
    one: "model",
    many: "models",
    columns: &[col("ID", "ID", "id"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

pub(crate) static MODEL_KEY: Table = Table {
    one: "api_key_info",
    many: "api_key_infos",
    columns: &[col("ID", "ID", "uuid"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

pub(crate) static NEW_MODEL_KEY: Table = Table {
    one: "api_key_info",
    many: "api_key_infos",
    columns: &[col("ID", "ID", "uuid"), col("Name", "Name", "name"), col("Key", "Key", "secret_key")],
};

/// What a key may have.
pub(crate) static KEY_LIMITS: Table = Table {
    one: "in_force",
    // Never several; the same word would take each member for an object.
    many: "keys",
    columns: &[
        col("RequestsPerMinute", "Requests/Minute", "requests_per_minute"),
        col("TokensPerMinute", "Tokens/Minute", "tokens_per_minute"),
        col("TokensPerDay", "Tokens/Day", "tokens_per_day"),
    ],
};

/// What keys used of models.
pub(crate) static USAGE: Table = Table {
    one: "usage",
    many: "usage",
    columns: &[
        col("Minute", "Minute", "minute"),
        col("Key", "Key", "key_id"),
        col("Model", "Model", "model"),
        col("Requests", "Requests", "requests"),
        col("Errors", "Errors", "errors"),
        col("TokensIn", "Tokens In", "tokens_in"),
        col("TokensOut", "Tokens Out", "tokens_out"),
        col("Estimated", "Estimated", "estimated"),
    ],
};

/// An answer of a model, which is shown as it comes and is a table for `-o json` alone.
pub(crate) static COMPLETION: Table =
    Table { one: "completion", many: "completions", columns: &[col("ID", "ID", "id"), col("Model", "Model", "model")] };

/// A model's vector of one text. It is long: a table has its beginning.
pub(crate) static EMBEDDING: Table = Table {
    one: "embedding",
    many: "data",
    columns: &[
        col("Index", "Index", "index"),
        by("Dimensions", "Dimensions", |vector| vector.at("embedding").list().len().to_string()),
        by("Begins", "Begins", |vector| {
            let numbers = vector.at("embedding").list();
            let begins = numbers.iter().take(4).map(|number| match number {
                Json::Number(number) => {
                    number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:.4}"))
                }
                other => other.cell(),
            });
            let more = (numbers.len() > 4).then(|| "…".to_owned());
            begins.chain(more).collect::<Vec<_>>().join(" ")
        }),
        col("Embedding", "Embedding", "embedding").on_demand(),
    ],
};

pub(crate) static SERVED_MODEL: Table = Table {
    one: "model",
    many: "models",
    columns: &[
        col("Name", "Name", "name"),
        col("State", "State", "state"),
        by("ServedBy", "Served By", |model| match model.at("droplets").has("tag") {
            true => format!("droplets {}:{}", model.at("droplets.tag").cell(), model.at("droplets.port").cell()),
            false => "file".to_owned(),
        }),
        col("Bytes", "Bytes", "file.bytes"),
        col("Quantization", "Quantization", "file.quantization"),
        col("Context", "Context", "file.context"),
        col("Why", "Why", "why"),
        col("Architecture", "Architecture", "file.architecture").on_demand(),
        col("Parameters", "Parameters", "file.parameters").on_demand(),
        col("SHA256", "SHA-256", "file.sha256").on_demand(),
        col("PID", "PID", "file.pid").on_demand(),
        col("Created", "Created At", "created_at").on_demand(),
    ],
};

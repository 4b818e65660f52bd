//! JSON Schemas as grammars (GBNF, as llama.cpp reads them): a model held to one cannot write what does not follow the schema.
//!
//! Keywords that say nothing of the value (`title`, `format`, …) are passed over; one that does and cannot be held to is
//! refused by name, since an answer that only seems to follow the schema is worse than none. Properties come in the order
//! of the schema, the optional ones may be left out, others are not added; between the parts there is little white space.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use serde_json::{Map, Value};

use crate::{Function, Refusal, asked::invalid};

mod among;
mod integers;

/// Most rules of a grammar; beyond that each token would take too long.
const MOST_RULES: usize = 1000;
/// Most values in lists of them (`enum`), all together.
const MOST_VALUES: usize = 1000;
/// Most repetitions that a grammar can count.
const MOST_COUNTED: u64 = 1000;
/// The rules that are there in any case.
const COMMON: &str = r#"ws ::= | " " | "\n" " "{0,12}
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,17})
number ::= "-"? unsigned
unsigned ::= ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
pair ::= string ws ":" ws value
object ::= "{" ws (pair (ws "," ws pair)*)? ws "}"
array ::= "[" ws (value (ws "," ws value)*)? ws "]"
value ::= object | array | string | number | boolean | null
"#;
/// What tells people something, and the value nothing.
const ANNOTATIONS: [&str; 14] = [
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "strict",
];

/// The grammar of any JSON object.
pub fn of_object() -> String {
    format!("root ::= object\n{COMMON}")
}

/// The grammar of what follows `schema`, which stands at `at` in the request.
///
/// Fails with the keyword that cannot be held to.
pub fn of_schema(schema: &Value, at: &str) -> Result<String, Refusal> {
    let mut rules = Rules::new(schema);
    let root = rules.of(schema, at)?;
    Ok(rules.finish(&root))
}

/// The grammar of a call of one of these functions: `{"name": …, "arguments": …}`.
pub fn of_calls(functions: &[Function<'_>]) -> Result<String, Refusal> {
    let mut whole = String::new();
    let mut roots = Vec::new();
    for (number, function) in functions.iter().enumerate() {
        let none = Value::Object(Map::new());
        let parameters = function.parameters.unwrap_or(&none);
        let mut rules = Rules::new(parameters);
        rules.prefix = format!("f{number}-");
        let arguments = rules.arguments(parameters, &format!("tools[{number}].function.parameters"))?;
        let name = literal(&Value::from(function.name).to_string());
        roots.push(format!(
            r#""{{" ws "\"name\"" ws ":" ws {name} ws "," ws "\"arguments\"" ws ":" ws {arguments} ws "}}""#
        ));
        whole.push_str(&rules.text());
    }
    Ok(format!("root ::= {}\n{whole}{COMMON}", roots.join(" | ")))
}

/// The grammar of the arguments of a function whose parameters stand at `at` in the request.
pub fn of_arguments(function: &Function<'_>, at: &str) -> Result<String, Refusal> {
    let none = Value::Object(Map::new());
    let parameters = function.parameters.unwrap_or(&none);
    let mut rules = Rules::new(parameters);
    let root = rules.arguments(parameters, at)?;
    Ok(rules.finish(&root))
}

/// A text as a grammar has it.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

/// The rules of one schema, as they are made.
struct Rules<'a> {
    whole: &'a Value,
    prefix: String,
    made: Vec<(String, String)>,
    /// Rules by the references that lead to them, so that schemas may contain themselves.
    references: HashMap<String, String>,
    /// How many values there were in lists of them.
    values: usize,
}

impl<'a> Rules<'a> {
    fn new(whole: &'a Value) -> Self {
        Self { whole, prefix: "r".to_owned(), made: Vec::new(), references: HashMap::new(), values: 0 }
    }

    fn text(&self) -> String {
        self.made.iter().fold(String::new(), |mut text, (name, body)| {
            let _ = writeln!(text, "{name} ::= {body}");
            text
        })
    }

    fn finish(&self, root: &str) -> String {
        format!("root ::= {root}\n{}{COMMON}", self.text())
    }

    /// Keeps a place for a rule, so that it may be named before it is made.
    fn reserve(&mut self, at: &str) -> Result<usize, Refusal> {
        if self.made.len() >= MOST_RULES {
            return Err(invalid(
                at,
                format!("comes to more than {MOST_RULES} rules; this model cannot be held to it."),
            ));
        }
        self.made.push((format!("{}{}", self.prefix, self.made.len()), String::new()));
        Ok(self.made.len() - 1)
    }

    fn rule(&mut self, body: String, at: &str) -> Result<String, Refusal> {
        let place = self.reserve(at)?;
        self.made[place].1 = body;
        Ok(self.made[place].0.clone())
    }

    /// Parameters of a function: any object when they say nothing.
    fn arguments(&mut self, parameters: &Value, at: &str) -> Result<String, Refusal> {
        match parameters.as_object() {
            Some(members) if !members.keys().all(|name| ANNOTATIONS.contains(&name.as_str())) => {
                self.of(parameters, at)
            }
            _ => Ok("object".to_owned()),
        }
    }

    /// What stands for a value of `schema`: a rule's name, or an expression in brackets.
    fn of(&mut self, schema: &Value, at: &str) -> Result<String, Refusal> {
        let members = match schema {
            Value::Bool(true) => return Ok("value".to_owned()),
            Value::Object(members) => members,
            _ => return Err(invalid(at, "allows no value.")),
        };
        let told: Vec<&str> = members.keys().map(String::as_str).filter(|name| !ANNOTATIONS.contains(name)).collect();
        let alone = |name: &str| match told.iter().find(|other| **other != name && **other != "type") {
            Some(other) => Err(invalid(
                format!("{at}.{name}"),
                format!("stands beside {other}, and this model can be held to one of them only."),
            )),
            None => Ok(()),
        };
        if let Some(reference) = members.get("$ref") {
            alone("$ref")?;
            return self.reference(reference, &format!("{at}.$ref"));
        }
        for name in ["anyOf", "oneOf", "allOf"] {
            let Some(parts) = members.get(name).and_then(Value::as_array) else { continue };
            alone(name)?;
            if name == "allOf" && parts.len() > 1 {
                return Err(invalid(
                    format!("{at}.allOf"),
                    "has several schemas, and this model can be held to one of them only.",
                ));
            }
            return self.any_of(parts, &format!("{at}.{name}"));
        }
        if let Some(value) = members.get("const") {
            return Ok(literal(&value.to_string()));
        }
        if let Some(values) = members.get("enum").and_then(Value::as_array) {
            return self.among(values, at);
        }
        let kinds: Vec<&str> = match members.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            Some(kind) => kind.as_str().into_iter().collect(),
            None if told.is_empty() => return Ok("value".to_owned()),
            None => vec![implied(&told)],
        };
        let known: Vec<&str> = kinds.iter().flat_map(|kind| keywords(kind)).copied().collect();
        if let Some(other) = told.iter().find(|name| **name != "type" && !known.contains(name)) {
            return Err(invalid(format!("{at}.{other}"), "is a keyword that this model cannot be held to."));
        }
        let mut kinds: Vec<String> = kinds.iter().map(|kind| self.kind(kind, members, at)).collect::<Result<_, _>>()?;
        drop_repeated(&mut kinds);
        match kinds.as_slice() {
            [one] => Ok(one.clone()),
            several => self.rule(several.join(" | "), at),
        }
    }

    /// What one of these schemas allows. Those that are a value each are taken together as a list of them is.
    fn any_of(&mut self, parts: &[Value], at: &str) -> Result<String, Refusal> {
        let (mut values, mut others) = (Vec::new(), Vec::new());
        for (place, part) in parts.iter().enumerate() {
            let is_other = ["$ref", "anyOf", "oneOf", "allOf"].iter().any(|name| part.get(name).is_some());
            match part.get("const").filter(|_| !is_other) {
                Some(value) => values.push(value.clone()),
                None => others.push(self.of(part, &format!("{at}[{place}]"))?),
            }
        }
        if !values.is_empty() {
            others.push(self.among(&values, at)?);
        }
        drop_repeated(&mut others);
        self.rule(others.join(" | "), at)
    }

    fn kind(&mut self, kind: &str, members: &Map<String, Value>, at: &str) -> Result<String, Refusal> {
        match kind {
            "object" => self.object(members, at),
            "array" => self.array(members, at),
            "string" => match counted(members, ["minLength", "maxLength"], at)? {
                (0, None) => Ok("string".to_owned()),
                counts => self.rule(format!(r#""\"" char{} "\"""#, times(counts)), at),
            },
            "integer" => match integers::bounds(members, at)? {
                (None, None) => Ok("integer".to_owned()),
                (least, most) => self.rule(integers::between(least, most, at)?, at),
            },
            "number" => match integers::bounds(members, at)? {
                (None, None) => Ok("number".to_owned()),
                (Some(0), None) => Ok("unsigned".to_owned()),
                _ => Err(invalid(
                    at,
                    "has bounds of a number that is no integer; this model can be held to minimum 0 only.",
                )),
            },
            "boolean" | "null" => Ok(kind.to_owned()),
            other => Err(invalid(format!("{at}.type"), format!("is {other:?}, which is none."))),
        }
    }

    fn array(&mut self, members: &Map<String, Value>, at: &str) -> Result<String, Refusal> {
        let item = members
            .get("items")
            .map_or_else(|| Ok("value".to_owned()), |items| self.of(items, &format!("{at}.items")))?;
        let (least, most) = counted(members, ["minItems", "maxItems"], at)?;
        if most == Some(0) {
            return Ok(r#""[" ws "]""#.to_owned());
        }
        let more = times((least.saturating_sub(1), most.map(|most| most - 1)));
        let items = format!("{item} (ws \",\" ws {item}){more}");
        let items = if least == 0 { format!("({items})?") } else { items };
        self.rule(format!(r#""[" ws {items} ws "]""#), at)
    }

    fn object(&mut self, members: &Map<String, Value>, at: &str) -> Result<String, Refusal> {
        let none = Map::new();
        let properties = members.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required: Vec<&str> =
            members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if properties.is_empty() && required.is_empty() {
            return match members.get("additionalProperties") {
                None | Some(Value::Bool(true)) => Ok("object".to_owned()),
                Some(Value::Bool(false)) => Ok(r#""{" ws "}""#.to_owned()),
                Some(schema) => {
                    let value = self.of(schema, &format!("{at}.additionalProperties"))?;
                    let pair = self.rule(format!(r#"string ws ":" ws {value}"#), at)?;
                    self.rule(format!(r#""{{" ws ({pair} (ws "," ws {pair})*)? ws "}}""#), at)
                }
            };
        }
        let mut pairs: Vec<(String, bool)> = Vec::new();
        for (name, schema) in properties {
            let value = self.of(schema, &format!("{at}.properties.{name}"))?;
            pairs.push((self.pair(name, &value, at)?, required.contains(&name.as_str())));
        }
        for name in required.iter().filter(|name| !properties.contains_key(**name)) {
            pairs.push((self.pair(name, "value", at)?, true));
        }
        // From the last property to the first: what may follow once a property was written, and what may come before any was.
        let (mut tail, mut start) = (String::new(), String::new());
        for (pair, is_required) in pairs.iter().rev() {
            let begins = format!("{pair} {tail}");
            start = match (is_required, start.is_empty()) {
                (true, _) => begins,
                // An empty alternative at a line's end would take in the next line.
                (false, true) => format!("({begins})?"),
                (false, false) => format!("{begins} | {start}"),
            };
            start = self.rule(start, at)?;
            let follows = format!("(ws \",\" ws {pair}){} {tail}", if *is_required { "" } else { "?" });
            tail = self.rule(follows, at)?;
        }
        self.rule(format!(r#""{{" ws {start} ws "}}""#), at)
    }

    fn pair(&mut self, name: &str, value: &str, at: &str) -> Result<String, Refusal> {
        let name = literal(&Value::from(name).to_string());
        self.rule(format!(r#"{name} ws ":" ws {value}"#), at)
    }

    /// The rule of what `#/$defs/…` leads to, made once.
    fn reference(&mut self, reference: &Value, at: &str) -> Result<String, Refusal> {
        let reference = reference.as_str().unwrap_or_default();
        if let Some(rule) = self.references.get(reference) {
            return Ok(rule.clone());
        }
        let pointer = reference.strip_prefix('#');
        let Some(schema) = pointer.and_then(|pointer| self.whole.pointer(pointer)) else {
            return Err(invalid(at, format!("is {reference:?}, which leads to nothing in this schema.")));
        };
        let place = self.reserve(at)?;
        let name = self.made[place].0.clone();
        self.references.insert(reference.to_owned(), name.clone());
        let body = self.of(schema, reference)?;
        if body == name {
            return Err(invalid(at, "leads to itself and to nothing else."));
        }
        self.made[place].1 = body;
        Ok(name)
    }
}

/// Leaves of what is there several times the first: each would be tried for itself.
fn drop_repeated(expressions: &mut Vec<String>) {
    let mut known = HashSet::new();
    expressions.retain(|one| known.insert(one.clone()));
}

/// The type of a schema that names none, by its other keywords.
fn implied(told: &[&str]) -> &'static str {
    let has = |kind: &&&str| told.iter().any(|name| keywords(kind).contains(name));
    ["object", "array", "string", "number"].iter().find(has).copied().unwrap_or("object")
}

/// What can be held to of each type.
fn keywords(kind: &str) -> &'static [&'static str] {
    match kind {
        "object" => &["properties", "required", "additionalProperties"],
        "array" => &["items", "minItems", "maxItems"],
        "string" => &["minLength", "maxLength"],
        "integer" | "number" => &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        _ => &[],
    }
}

fn counted(members: &Map<String, Value>, names: [&str; 2], at: &str) -> Result<(u64, Option<u64>), Refusal> {
    let read = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) if count <= MOST_COUNTED => Ok(Some(count)),
            _ => Err(invalid(
                format!("{at}.{name}"),
                format!("is {value}; this model can be held to 0 to {MOST_COUNTED}."),
            )),
        },
    };
    let (least, most) = (read(names[0])?.unwrap_or(0), read(names[1])?);
    if most.is_some_and(|most| most < least) {
        return Err(invalid(format!("{at}.{}", names[1]), format!("is less than {}.", names[0])));
    }
    Ok((least, most))
}

fn times((least, most): (u64, Option<u64>)) -> String {
    most.map_or_else(|| format!("{{{least},}}"), |most| format!("{{{least},{most}}}"))
}

#[cfg(test)]
mod tests;

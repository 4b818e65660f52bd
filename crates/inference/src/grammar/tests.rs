//! Grammars are read here as llama.cpp reads them, by a small reader of their own, and texts are tried against them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;

/// A piece of a grammar, and how often it may come.
enum Atom {
    Text(Vec<char>),
    Class(bool, Vec<(char, char)>),
    Rule(String),
    Group(Vec<Vec<Item>>),
}
type Item = (Atom, usize, usize);

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn character(&mut self) -> char {
        let next = |reader: &mut Self| {
            let character = reader.rest.chars().next().expect("more");
            reader.rest = &reader.rest[character.len_utf8()..];
            character
        };
        match next(self) {
            '\\' => match next(self) {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'x' => {
                    let (code, rest) = self.rest.split_at(2);
                    self.rest = rest;
                    char::from(u8::from_str_radix(code, 16).expect("hexadecimal"))
                }
                other => other,
            },
            other => other,
        }
    }

    fn alternatives(&mut self) -> Vec<Vec<Item>> {
        let mut all = vec![Vec::new()];
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                return all;
            }
            if self.eat("|") {
                all.push(Vec::new());
                continue;
            }
            let atom = if self.eat("\"") {
                let mut text = Vec::new();
                while !self.eat("\"") {
                    text.push(self.character());
                }
                Atom::Text(text)
            } else if self.eat("[") {
                let (not, mut ranges) = (self.eat("^"), Vec::new());
                while !self.eat("]") {
                    let first = self.character();
                    let last = if self.rest.starts_with("-]") || !self.eat("-") { first } else { self.character() };
                    ranges.push((first, last));
                }
                Atom::Class(not, ranges)
            } else if self.eat("(") {
                let inner = self.alternatives();
                assert!(self.eat(")"), "{}", self.rest);
                Atom::Group(inner)
            } else {
                let end = self.rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
                let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                assert!(!name.is_empty(), "{}", self.rest);
                self.rest = rest;
                Atom::Rule(name.to_owned())
            };
            let (least, most) = if self.eat("?") {
                (0, 1)
            } else if self.eat("*") {
                (0, usize::MAX)
            } else if self.eat("{") {
                let (counts, rest) = self.rest.split_once('}').expect("closed");
                self.rest = rest;
                match counts.split_once(',') {
                    None => (counts.parse().expect("a number"), counts.parse().expect("a number")),
                    Some((least, "")) => (least.parse().expect("a number"), usize::MAX),
                    Some((least, most)) => (least.parse().expect("a number"), most.parse().expect("a number")),
                }
            } else {
                (1, 1)
            };
            all.last_mut().expect("one").push((atom, least, most));
        }
    }
}

type Read = BTreeMap<String, Vec<Vec<Item>>>;

fn read(grammar: &str) -> Read {
    let rule = |line: &str| {
        let (name, body) = line.split_once(" ::= ").expect("a rule");
        let mut reader = Reader { rest: body };
        let body = reader.alternatives();
        assert!(reader.rest.is_empty(), "{line}");
        (name.to_owned(), body)
    };
    grammar.lines().map(rule).collect()
}

/// Where what begins at `from` may end.
fn ends(rules: &Read, body: &[Vec<Item>], text: &[char], from: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for alternative in body {
        let mut places = BTreeSet::from([from]);
        for (atom, least, most) in alternative {
            let mut reached = if *least == 0 { places.clone() } else { BTreeSet::new() };
            for count in 1..=*most {
                places = places.iter().flat_map(|place| atom_ends(rules, atom, text, *place)).collect();
                if count >= *least {
                    let before = reached.len();
                    reached.extend(&places);
                    if reached.len() == before {
                        break;
                    }
                }
                if places.is_empty() {
                    break;
                }
            }
            places = reached;
        }
        all.extend(places);
    }
    all
}

fn atom_ends(rules: &Read, atom: &Atom, text: &[char], from: usize) -> BTreeSet<usize> {
    match atom {
        Atom::Text(wanted) => text[from..].starts_with(wanted).then_some(from + wanted.len()).into_iter().collect(),
        Atom::Class(not, ranges) => {
            let fits = |letter: &char| ranges.iter().any(|(first, last)| (first..=last).contains(&letter)) != *not;
            text.get(from).filter(|letter| fits(letter)).map(|_| from + 1).into_iter().collect()
        }
        Atom::Rule(name) => ends(rules, rules.get(name).unwrap_or_else(|| panic!("no rule {name}")), text, from),
        Atom::Group(inner) => ends(rules, inner, text, from),
    }
}

fn fits(grammar: &str, text: &str) -> bool {
    let (rules, text): (_, Vec<char>) = (read(grammar), text.chars().collect());
    ends(&rules, &rules["root"], &text, 0).contains(&text.len())
}

fn check(schema: &Value, right: &[&str], wrong: &[&str]) {
    let grammar = of_schema(schema, "s").unwrap_or_else(|refusal| panic!("{schema}: {refusal}"));
    for text in right {
        assert!(fits(&grammar, text), "{schema} has no room for {text}\n{grammar}");
    }
    for text in wrong {
        assert!(!fits(&grammar, text), "{schema} has room for {text}\n{grammar}");
    }
}

#[test]
fn objects_have_what_is_required_and_nothing_else() {
    let schema = json!({ "type": "object", "required": ["b"], "additionalProperties": false, "properties": {
        "a": { "type": "integer" }, "b": { "type": "string" }, "c": { "type": "boolean", "title": "C" },
    } });
    let right =
        [r#"{"a": 1, "b": "x", "c": true}"#, r#"{"b":"x"}"#, "{\n  \"b\": \"\\u00e9 \\\"é\",\n  \"c\": false\n}"];
    check(
        &schema,
        &right,
        &["{}", r#"{"a": 1}"#, r#"{"a": 1 "b": ""}"#, r#"{"b": "", "d": 1}"#, r#"{"b": "" ,}"#, r#"{"b": 1}"#],
    );
    let optional = json!({ "properties": { "a": { "const": 1 }, "b": { "const": "\n\"" } } });
    check(&optional, &["{}", r#"{"a":1}"#, r#"{"b":"\n\""}"#, r#"{"a":1,"b":"\n\""}"#], &[r#"{"a":2}"#, r#"{,"a":1}"#]);
    check(&json!({ "type": "object", "required": ["x"] }), &[r#"{"x": [1, {"y": null}]}"#], &["{}"]);
    check(
        &json!({ "type": "object", "additionalProperties": { "type": "null" } }),
        &["{}", r#"{"x": null}"#],
        &[r#"{"x": 1}"#],
    );
}

#[test]
fn lists_texts_numbers_and_choices_are_held_to() {
    check(
        &json!({ "type": "array", "items": { "enum": ["a", 1] }, "minItems": 1, "maxItems": 2 }),
        &[r#"["a"]"#, r#"[1, "a"]"#],
        &["[]", "[1,1,1]", "[2]"],
    );
    check(&json!({ "type": "array", "maxItems": 0 }), &["[]"], &["[1]"]);
    check(
        &json!({ "type": "string", "minLength": 2, "maxLength": 3 }),
        &[r#""ab""#, r#""a\nc""#],
        &[r#""a""#, r#""abcd""#, "\"a\nb\""],
    );
    check(&json!({ "type": ["string", "null"] }), &["null", "\"\""], &["1"]);
    check(&json!({ "type": "number" }), &["0", "-1.5e-10", "12"], &["01", "1.", ".5", "+1", "1e999"]);
    check(&json!({ "type": "number", "minimum": 0 }), &["0.5"], &["-0.5"]);
    check(
        &json!({ "anyOf": [{ "type": "integer" }, { "$ref": "#/$defs/n" }], "$defs": { "n": { "type": "null" } } }),
        &["1", "null"],
        &["1.5", "x"],
    );
    check(&json!({}), &["{}", "[1, \"x\", null]", "true"], &["", "nul"]);
}

#[test]
fn of_values_what_begins_alike_is_told_once() {
    let values =
        json!([1, 10, 100, 12, "a", "ab", "", null, true, "tea", "ten", "\u{e9}t\u{e9}", "\u{ea}tre", -1, [1], 10]);
    let right: Vec<String> = values.as_array().expect("a list").iter().map(ToString::to_string).collect();
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let wrong = ["", "2", "1000", "-", "\"", "\"te\"", "\"abc\"", "nul", "[1", "\"t\u{e9}\""];
    check(&json!({ "enum": values }), &right, &wrong);
    check(
        &json!({ "anyOf": [{ "const": "tea" }, { "type": "null" }, { "const": "ten" }] }),
        &["null", "\"ten\""],
        &wrong,
    );

    let many: Vec<String> = (0..1000).map(|number| format!("value number {number}")).collect();
    let alike: Vec<_> = many.iter().map(|value| json!({ "const": value, "title": "one of many" })).collect();
    for schema in [json!({ "enum": many }), json!({ "oneOf": alike })] {
        let rules = read(&of_schema(&schema, "s").expect("a grammar"));
        let widest = rules.values().map(Vec::len).max();
        assert!(widest <= Some(11), "each alternative of {widest:?} is tried at each token");
    }
    check(&json!({ "enum": many }), &["\"value number 0\"", "\"value number 999\""], &["\"value number 1000\""]);
    let same =
        of_schema(&json!({ "anyOf": vec![json!({ "type": ["string", "string"] }); 500] }), "s").expect("a grammar");
    assert!(!same.contains("string | string"), "{same}");
    let more: Vec<u32> = (0..1001).collect();
    let refusal =
        of_schema(&json!({ "items": { "enum": more }, "type": "array" }), "s").expect_err("too many").to_string();
    assert!(refusal.starts_with("s.items comes to more than 1000 values"), "{refusal}");
    // Each is the beginning of the next.
    let deep: Vec<String> = (0..900).map(|length| "1".repeat(length)).collect();
    assert!(of_schema(&json!({ "enum": deep }), "s").is_ok());
}

#[test]
fn bounds_of_integers_are_exact() {
    for (least, most) in [(0, 9), (3, 7), (0, 100), (7, 123), (-5, 5), (-120, -8), (99, 1001), (10, 10), (190, 210)] {
        let grammar =
            of_schema(&json!({ "type": "integer", "minimum": least, "maximum": most }), "s").expect("a grammar");
        for number in -1100..1100 {
            assert_eq!(
                fits(&grammar, &number.to_string()),
                (least..=most).contains(&number),
                "{number} of {least} to {most}\n{grammar}"
            );
        }
        assert!(!fits(&grammar, "007") && !fits(&grammar, "-0"));
    }
    check(&json!({ "type": "integer", "exclusiveMinimum": 0 }), &["1", "123456789"], &["0", "-1"]);
    check(&json!({ "type": "integer", "exclusiveMaximum": 10, "minimum": 8.0 }), &["8", "9"], &["10", "7"]);
}

#[test]
fn schemas_may_contain_themselves() {
    let tree = json!({ "$ref": "#/$defs/tree", "$defs": { "tree": { "type": "object", "required": ["a"], "properties": {
        "a": { "type": "integer" }, "b": { "type": "array", "items": { "$ref": "#/$defs/tree" } },
    } } } });
    check(&tree, &[r#"{"a": 1, "b": [{"a": 2}, {"a": 3, "b": []}]}"#], &[r#"{"a": 1, "b": [{}]}"#]);
    let endless = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } });
    assert!(of_schema(&endless, "s").is_err());
}

#[test]
fn calls_name_a_function_and_follow_its_parameters() {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let functions =
        [Function { name: "weather", parameters: Some(&parameters) }, Function { name: "time", parameters: None }];
    let grammar = of_calls(&functions).expect("a grammar");
    assert!(fits(&grammar, r#"{"name": "weather", "arguments": {"city": "Köln"}}"#));
    assert!(fits(&grammar, r#"{"name":"time","arguments":{}}"#));
    assert!(!fits(&grammar, r#"{"name": "weather", "arguments": {}}"#));
    assert!(!fits(&grammar, r#"{"name": "other", "arguments": {}}"#));
    assert!(fits(&of_arguments(&functions[0], "x").expect("a grammar"), r#"{"city": ""}"#));
    assert!(fits(&of_object(), r#"{"a": [1.5, "b"]}"#) && !fits(&of_object(), "[]"));
}

#[test]
fn what_cannot_be_held_to_is_refused_by_its_keyword() {
    for (schema, keyword) in [
        (json!({ "type": "string", "pattern": "^a" }), "s.pattern"),
        (
            json!({ "type": "object", "properties": { "a": { "type": "integer", "multipleOf": 2 } } }),
            "s.properties.a.multipleOf",
        ),
        (json!({ "type": "array", "uniqueItems": true }), "s.uniqueItems"),
        (json!({ "not": {} }), "s.not"),
        (json!({ "allOf": [{}, {}] }), "s.allOf"),
        (json!({ "anyOf": [{}], "properties": {} }), "s.anyOf"),
        (json!({ "$ref": "#/$defs/none" }), "s.$ref"),
        (json!({ "$ref": "other.json" }), "s.$ref"),
        (json!({ "type": "string", "maxLength": 100_000 }), "s.maxLength"),
        (json!({ "type": "array", "minItems": 3, "maxItems": 1 }), "s.maxItems"),
        (json!({ "type": "number", "maximum": 1.5 }), "s.maximum"),
        (json!({ "type": "integer", "minimum": 3, "maximum": 1 }), "s"),
        (json!({ "items": false }), "s.items"),
    ] {
        let refusal = of_schema(&schema, "s").map(|_| ()).expect_err("cannot be held to").to_string();
        assert!(refusal.starts_with(&format!("{keyword} ")), "{schema}: {refusal}");
    }
    let wide: Map<String, Value> =
        (0..2000).map(|number| (format!("p{number}"), json!({ "type": "string" }))).collect();
    assert!(of_schema(&json!({ "type": "object", "properties": wide }), "s").is_err());
}

"""The description that generated requests are made from and answers are held against, cut down to what is served.

The public description where DEW_OPENAPI names a copy of it, else the server's own document. It is large, so it is cut before
anything else reads it: operations that `spec/operations.toml` calls served, and the components that these lead to.
"""

import functools
import json
import os
import tomllib
from pathlib import Path

import httpx
import yaml
from jsonschema import Draft4Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

PUBLIC = os.environ.get("DEW_OPENAPI", "")
IS_PUBLIC = Path(PUBLIC).is_file()
WHY_NOT_PUBLIC = f"{PUBLIC} is no file" if PUBLIC else "DEW_OPENAPI is not set"
METHODS = ("get", "post", "put", "patch", "delete")


def operations():
    """Every operation of the public API in scope, as `spec/operations.toml` has it."""
    listed = Path(__file__).parents[2] / "spec" / "operations.toml"
    return tomllib.loads(listed.read_text(encoding="utf-8"))["operations"]


@functools.cache
def description():
    """The description of what is served."""
    if IS_PUBLIC:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        whole = yaml.load(Path(PUBLIC).read_text(encoding="utf-8"), loader)
    else:
        whole = httpx.get(f"{os.environ['DEW_TEST_HOSTILE_URL']}/dew/v1/openapi.json", timeout=30).raise_for_status().json()
    served = {(operation["path"], operation["method"].lower()) for operation in operations() if operation["status"] == "served"}
    return cut(whole, served)


def cut(whole, served):
    """The document with these operations alone, and no component that they do not lead to."""
    paths = {}
    for path, item in whole["paths"].items():
        kept = {name: here(part) for name, part in item.items() if name not in METHODS or (path, name) in served}
        if any(name in METHODS for name in kept):
            paths[path] = kept
    missing = served - {(path, name) for path, item in paths.items() for name in item}
    assert not missing, f"the description lacks what is served: {sorted(missing)}"
    # As JSON has it: YAML reads unquoted numbers and dates as keys and values that no schema knows.
    small = {**whole, "paths": paths, "components": {}, "tags": [], "servers": []}
    reached, open_ends = set(), [paths]
    while open_ends:
        for reference in references(open_ends.pop()):
            if reference in reached:
                continue
            reached.add(reference)
            _, _, kind, name = reference.split("/")[:4]
            part = whole["components"][kind][name]
            small["components"].setdefault(kind, {})[name] = part
            open_ends.append(part)
    small["components"]["securitySchemes"] = whole["components"].get("securitySchemes", {})
    return json.loads(json.dumps(small, default=str))


def here(part):
    """An operation as this server has it: at its own address, where inference is described as another host's."""
    return {name: inner for name, inner in part.items() if name != "servers"} if isinstance(part, dict) else part


def references(part):
    """What a part of the document refers to, wherever in it."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def body_is_valid(path, method, body):
    """Whether a request body is as the description wants it."""
    described = description()["paths"][path][method.lower()]["requestBody"]
    if "$ref" in described:
        described = description()["components"]["requestBodies"][described["$ref"].rpartition("/")[2]]
    return validator(described["content"]["application/json"]["schema"]).is_valid(body)


def stream_is_valid(path, method, text):
    """Raises what the description has against a stream of events; a stream that ends without its mark is no stream."""
    content = description()["paths"][path][method.lower()]["responses"]["200"]["content"]
    judge = validator(content["text/event-stream"]["schema"])
    for event in events(text):
        judge.validate(event)


def events(text):
    """What the events of a stream say, but for the mark at its end."""
    *said, mark, rest = text.split("\n\n")
    assert (mark, rest) == ("data: [DONE]", ""), f"a stream ends with {text[-200:]!r}"
    for event in said:
        assert event.startswith("data: "), f"no event: {event!r}"
        yield json.loads(event.removeprefix("data: "))


def validator(schema):
    """Judges by a schema of the description."""
    return _validators()(based(schema))


@functools.cache
def _validators():
    whole, draft, kind = description(), DRAFT202012, Draft202012Validator
    if IS_PUBLIC:
        whole, draft, kind = as_json_schema(whole), DRAFT4, Draft4Validator
    registry = Registry().with_resource("openapi", Resource(whole, draft))
    return lambda schema: kind(as_json_schema(schema) if IS_PUBLIC else schema, registry=registry)


def as_json_schema(part):
    """OpenAPI 3.0's `nullable` in words that JSON Schema knows."""
    if isinstance(part, list):
        return [as_json_schema(one) for one in part]
    if not isinstance(part, dict):
        return part
    converted = {str(name): as_json_schema(one) for name, one in part.items()}
    if converted.pop("nullable", None) is True:
        return {"anyOf": [{"type": "null"}, converted]}
    return converted


def based(schema):
    """The schema with its references leading into the whole document."""
    if isinstance(schema, dict):
        return {name: f"openapi{part}" if name == "$ref" else based(part) for name, part in schema.items()}
    return [based(part) for part in schema] if isinstance(schema, list) else schema

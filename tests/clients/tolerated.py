"""What the description asks for and Dewpoint does otherwise, on purpose: the rule that says so, and how to know the case.

Each entry is looked for in what schemathesis complains of. An entry that explains nothing any more fails the tests.
"""

from dataclasses import dataclass
from typing import Callable
from urllib.parse import parse_qsl, urlsplit

from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import JsonSchemaError

import served

PUBLIC, OWN = "the public description", "our own document"


@dataclass(frozen=True)
class Tolerated:
    """One way to differ. `explains(case, answer, failure)` tells whether it is the reason for a complaint."""

    rule: str
    why: str
    explains: Callable
    #: Which of the two descriptions it is about; both when empty.
    only: str = ""


def clamped(case, answer, failure):
    """More objects a page than there may be, and nothing else wrong."""
    asked, page = (str((case.query or {}).get(name, 1)) for name in ("per_page", "page"))
    return isinstance(failure, AcceptedNegativeData) and asked.isdecimal() and int(asked) > 200 and page.isdecimal()


def empty_is_absent(case, answer, failure):
    """A parameter of the query without a value."""
    sent = parse_qsl(urlsplit(answer.request.url).query, keep_blank_values=True)
    return isinstance(failure, AcceptedNegativeData) and any(value == "" for _, value in sent)


#: Members of a request for embeddings that the description has.
KNOWN = ("model", "input", "encoding_format", "user")
BY_REGION = ("GET /v2/volumes", "GET /v2/vpc_peerings")


def region_by_any_name(case, answer, failure):
    """A region that the description does not list; where it filters, nothing is there."""
    return isinstance(failure, AcceptedNegativeData) and case.operation.label in BY_REGION and "region" in case.query


def null_is_absent(case, answer, failure):
    """A null in the body where only a text or the like is described, and nothing else wrong."""
    without = without_nulls(case.body)
    if not isinstance(failure, AcceptedNegativeData) or without == case.body:
        return False
    return served.body_is_valid(case.path, case.method, without)


def page_of_one(case, answer, failure):
    """Numbers of pages, where one object is answered."""
    one = case.operation.label == "GET /v2/volumes/{volume_id}/actions/{action_id}"
    return one and isinstance(failure, AcceptedNegativeData) and not case.query.keys() - {"page", "per_page"}


def private_gateway(case, answer, failure):
    """The gateway of a private network."""
    return isinstance(failure, JsonSchemaError) and failure.instance is None and failure.instance_path[-1] == "gateway"


def tag_refused(case, answer, failure):
    """A 400 in our one shape of errors, where the description has one that occurs nowhere else."""
    ours = {"id", "message", "request_id"}
    return isinstance(failure, JsonSchemaError) and case.operation.label == "POST /v2/tags" and answer.json().keys() == ours


def key_made(case, answer, failure):
    """The key that was made, where only errors are described."""
    made = case.operation.label == "POST /v2/gen-ai/models/api_keys" and answer.status_code == 200
    return made and isinstance(failure, JsonSchemaError) and answer.json().keys() == {"api_key_info"}


def as_openai_has_it(case, answer, failure):
    """Numbers of tokens in place of texts, or members that only other services know, and nothing else wrong."""
    if case.operation.label != "POST /v1/embeddings" or not isinstance(failure, AcceptedNegativeData):
        return False
    without = {name: case.body[name] for name in case.body if name in KNOWN}
    if is_tokens(without["input"]) or isinstance(without["input"], list) and all(is_tokens(one) for one in without["input"]):
        without["input"] = "a text"
    return without != case.body and served.body_is_valid(case.path, case.method, without)


def is_tokens(part):
    return isinstance(part, list) and part != [] and all(isinstance(one, int) for one in part)


def without_nulls(part):
    if isinstance(part, dict):
        return {name: without_nulls(inner) for name, inner in part.items() if inner is not None}
    return [without_nulls(inner) for inner in part] if isinstance(part, list) else part


TOLERATED = [
    Tolerated("PAG-2", "per_page above 200 is answered as 200", clamped),
    Tolerated("PRO-5", "null in a body means what leaving the member out means", null_is_absent),
    Tolerated("PRO-5", "an empty parameter of the query is one that is not there", empty_is_absent),
    Tolerated("chapter 17", "regions are not held against the description's list of them", region_by_any_name, PUBLIC),
    Tolerated("PAG-10", "an action is no page, whatever its query says", page_of_one, PUBLIC),
    Tolerated("DRO-3", "a private network has no gateway", private_gateway, PUBLIC),
    Tolerated("AUTH-8", "a model access key is made, where the description has retired that", key_made, PUBLIC),
    Tolerated("INF-9", "embeddings are asked for as at OpenAI's: with numbers of tokens too, and members that we do not know", as_openai_has_it, PUBLIC),
    Tolerated("ERR-1", "one shape for every error", tag_refused, PUBLIC),
]
TOLERATED = [one for one in TOLERATED if one.only in ("", PUBLIC if served.IS_PUBLIC else OWN)]

"""Chat completions with `gradient` 3.12.2, strict: as it comes, with a model access key that it makes itself."""

import gradient
import pytest
from gradient import Gradient

from harness import fresh_name, undeclared

MODEL = "dewpoint-scripted"
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


@pytest.fixture
def client(monkeypatch, url, token):
    monkeypatch.setenv("GRADIENT_BASE_URL", url)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    with Gradient(_strict_response_validation=True) as client:
        yield client


@pytest.fixture
def chat(client, url):
    """A client that has nothing but a model access key."""
    key = client.inference.api_keys.create(name=fresh_name("key")).api_key_info
    with Gradient(base_url=url, model_access_key=key.secret_key, _strict_response_validation=True, max_retries=0) as chat:
        yield chat
    client.inference.api_keys.delete(key.uuid)


def asked(text, **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]} | more


def test_an_answer_at_once(chat):
    answer = chat.chat.completions.create(**asked("echo Hello 😀 there", logprobs=True, top_logprobs=20, n=2))
    assert not set(undeclared(answer))
    assert [choice.message.content for choice in answer.choices] == ["Hello 😀 there"] * 2
    assert all(choice.finish_reason == "stop" for choice in answer.choices)
    tokens = answer.choices[0].logprobs.content
    assert bytes(byte for token in tokens for byte in token.bytes).decode() == "Hello 😀 there"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_is_the_answer_bit_by_bit(chat):
    whole = chat.chat.completions.create(**asked("tell me")).choices[0].message.content
    chunks = list(chat.chat.completions.create(**asked("tell me", stream=True, stream_options={"include_usage": True})))
    assert not {name for chunk in chunks for name in undeclared(chunk)}
    *chunks, last = chunks
    assert last.choices == [] and last.usage.completion_tokens > 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]


def test_a_tool_is_called(chat):
    answer = chat.chat.completions.create(**asked("hi", tools=[WEATHER], tool_choice="required"))
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_what_is_wrong_is_an_error_that_says_so(chat):
    with pytest.raises(gradient.NotFoundError, match=MODEL):
        chat.chat.completions.create(**asked("hi") | {"model": "none"})
    with pytest.raises(gradient.UnprocessableEntityError, match="temperature"):
        chat.chat.completions.create(**asked("hi", temperature=3))


def test_a_key_opens_models_until_it_has_another_secret(client, url):
    key = client.inference.api_keys.create(name=fresh_name("key")).api_key_info
    assert key.uuid in {one.uuid for one in client.inference.api_keys.list(per_page=200).api_key_infos}
    renamed = client.inference.api_keys.update(path_api_key_uuid=key.uuid, name="other").api_key_info
    assert (renamed.name, renamed.secret_key) == ("other", None)
    fresh = client.inference.api_keys.update_regenerate(key.uuid).api_key_info.secret_key
    with Gradient(base_url=url, model_access_key=key.secret_key, max_retries=0) as old:
        with pytest.raises(gradient.AuthenticationError):
            old.chat.completions.create(**asked("hi"))
    with Gradient(base_url=url, model_access_key=fresh) as new:
        assert new.chat.completions.create(**asked("echo yes")).choices[0].message.content == "yes"
    assert client.inference.api_keys.delete(key.uuid).api_key_info.deleted_at is not None
    for uses, there in ((["MODEL_USECASE_AGENT", "MODEL_USECASE_SERVERLESS"], True), (["MODEL_USECASE_AGENT"], False)):
        assert (MODEL in {model.id for model in client.models.list(usecases=uses).models}) is there

"""Models that Droplets serve: a real guest is found by its tag, asked once it is well, and left when it is off."""

import json

from guest import eventually

# Answers checks and chat completions on port 80, which the engine forwards; notes what it is asked, and is well once it is told so.
SERVES = """#!/bin/sh
cat > /root/answer <<'END'
#!/bin/sh
read -r method path version
length=0
while read -r line; do
    line=$(echo "$line" | tr -d '\\r' | tr A-Z a-z)
    [ -n "$line" ] || break
    case "$line" in content-length:*) length=${line#*: } ;; esac
done
head -c "$length" > "/root/body-$$"
echo "$method $path" >> /root/asked
status="503 Service Unavailable" body='{"error":{"message":"not yet"}}'
if [ -e /root/well ]; then
    status="200 OK"
    message='{"role":"assistant","content":"from '$(hostname)'"}'
    body='{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'$message',"finish_reason":"stop"}]}'
fi
[ "$path" != /v1/chat/completions ] || mv "/root/body-$$" /root/body
printf 'HTTP/1.1 %s\\r\\ncontent-type: application/json\\r\\ncontent-length: %s\\r\\nconnection: close\\r\\n\\r\\n%s' "$status" "${#body}" "$body"
END
chmod 755 /root/answer
nc -ll -p 80 -e /root/answer > /dev/null 2>&1 < /dev/null &
"""


def test_a_guest_with_the_tag_answers_for_the_model_while_it_is_well(lab):
    tag, name = lab.fresh("serves"), lab.fresh("model")
    question = {"model": name, "messages": [{"role": "user", "content": "who are you?"}]}

    def ask():
        return lab.http.post("/v1/chat/completions", json=question)

    def listed():
        return name in [model["id"] for model in lab.http.get("/v1/models").json()["data"]]

    def refused():
        answer = ask()
        return answer.status_code == 503 and f"No Droplet with the tag {tag} answers" in answer.json()["message"]

    def look_now():
        """Upstreams are looked at again when tags change, and every 10 s else."""
        assert lab.http.post("/v2/tags", json={"name": lab.fresh("nudge")}).status_code == 201

    made = lab.http.post("/dew/v1/models", json={"name": name, "droplets": {"tag": tag, "port": 80}})
    assert made.status_code == 202, made.text
    try:
        assert refused() and not listed()

        guest = lab.droplet(tags=[tag], user_data=SERVES)
        look_now()
        eventually(lambda: "GET /v1/models" in guest.run("cat /root/asked || true"), bool, "check in the guest")
        # It is active and asked, and says that it is not well: whoever asks all the same hears its own words.
        assert not listed()
        answer = ask()
        assert answer.status_code == 503 and "not yet" in answer.text, answer.text
        assert lab.http.get(f"/dew/v1/models/{name}").json()["model"]["state"] == "waiting"

        guest.run("touch /root/well")
        look_now()
        eventually(listed, bool, "model that is listed")
        answer = ask()
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == f"from {guest.droplet.name}"
        assert answer.headers["x-dewpoint-model"] == name
        assert json.loads(guest.read("/root/body")) == question
        assert lab.http.get(f"/dew/v1/models/{name}").json()["model"]["state"] == "ready"

        guest.act("power_off")
        eventually(refused, bool, "refusal that names the tag")
        assert not listed()
    finally:
        assert lab.http.delete(f"/dew/v1/models/{name}").status_code == 204

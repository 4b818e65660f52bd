#!/usr/bin/env python3
"""Serves a model's file and streams an answer of it, then cleans up.

Starts `dew serve` on a free loopback port, adds the model as `dew model add --file` does, makes a model access key, asks by HTTP
and by `dew chat`, prints how to point other programs at it, and stops the server. Whatever happens, also Ctrl-C, no process and no
file stays behind. Only the standard library is needed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

NAME = "smollm2"
SERVER_SECONDS = 60
READY_SECONDS = 300
QUESTION = "In one sentence: what is dew?"


class Failure(Exception):
    """What went wrong, in a sentence for the person who ran the demo."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dew", required=True, help="the binary")
    parser.add_argument("--model", required=True, help="the model's file")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    directory = tempfile.mkdtemp(prefix="dew-demo-chat-")
    demo = Demo(os.path.abspath(arguments.dew), os.path.abspath(arguments.model), directory)
    try:
        demo.run()
        return 0
    except (Failure, urllib.error.URLError, subprocess.CalledProcessError) as failure:
        print(f"\nThe demo failed: {failure}\n{demo.log_end()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: cleaning up", file=sys.stderr)
        return 130
    finally:
        demo.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Demo:
    def __init__(self, dew, model, directory):
        self.dew, self.model, self.directory = dew, model, directory
        self.log = os.path.join(directory, "server.log")
        self.server = self.url = self.token = None

    def run(self):
        self.start()
        heading("Add the model")
        self.command("model", "add", NAME, "--file", self.model, "--wait")
        heading("Make a key for it")
        key = self.ask("POST", "/v2/gen-ai/models/api_keys", self.token, {"name": "demo"})["api_key_info"]["secret_key"]
        print("A model access key: good for asking models, and for nothing else")
        heading("Ask it")
        self.stream(key)
        heading("Ask it from the command line")
        self.command("chat", NAME, "Say hello.", "--max-tokens", "24")
        self.tell_how_to_connect()
        heading("Clean up")
        self.command("model", "delete", NAME, "--force")
        self.stop()
        print("Done: nothing is left but what was built, and the model's file in the target directory.")

    def start(self):
        heading("Start the server")
        command = [self.dew, "serve", "--engine", "sim", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self.directory, "data")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DEW_")}
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C reaches the demo, which then stops the server in order.
            self.server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + SERVER_SECONDS
        while not self.url:
            found = re.search(r"Serving on (http://[0-9.:]+)", self.log_end())
            self.url = found and found[1]
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise Failure("the server did not start")
            time.sleep(0.05)
        with open(os.path.join(self.directory, "data", "admin-token"), encoding="ascii") as file:
            self.token = file.read().strip()
        print(f"{self.url}, with the simulator as its engine")

    def command(self, *words):
        """Runs `dew` at the server, as a person would."""
        print(f"$ dew {' '.join(words)}", flush=True)
        environment = {**os.environ, "DEW_URL": self.url, "DEW_TOKEN": self.token, "HOME": self.directory}
        subprocess.run([self.dew, *words], env=environment, check=True, timeout=READY_SECONDS)

    def request(self, method, path, bearer, body):
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        return urllib.request.urlopen(request, timeout=READY_SECONDS)

    def ask(self, method, path, bearer, body):
        with self.request(method, path, bearer, body) as response:
            return json.load(response)

    def stream(self, key):
        """Asks and prints the answer as it comes; it has to end as streams do."""
        print(f"POST {self.url}/v1/chat/completions, stream: true\n{QUESTION}\n")
        messages = [{"role": "user", "content": QUESTION}]
        options = {"model": NAME, "messages": messages, "stream": True, "max_tokens": 60, "temperature": 0}
        began, first, pieces, finish = time.monotonic(), None, [], None
        with self.request("POST", "/v1/chat/completions", key, options) as response:
            for line in response:
                data = line.decode().strip().removeprefix("data: ")
                if not data or data.startswith((":", "[DONE]")):
                    continue
                event = json.loads(data)
                if event.get("error"):
                    raise Failure(event["error"]["message"])
                for choice in event["choices"]:
                    text = choice["delta"].get("content") or ""
                    finish = choice["finish_reason"] or finish
                    if text:
                        first = first or time.monotonic()
                        pieces.append(text)
                        print(text, end="", flush=True)
        if not finish or not "".join(pieces).strip():
            raise Failure("the answer is empty, or has no end")
        print(f"\n\nThe first words came after {first - began:.2f} s, {len(pieces)} pieces in {time.monotonic() - began:.2f} s ({finish})")

    def tell_how_to_connect(self):
        heading("Point your programs at a server like this")
        print(
            f"""  openai     OpenAI(base_url="{self.url}/v1", api_key=KEY).chat.completions.create(model="{NAME}", …)
  gradient   Gradient(base_url="{self.url}", model_access_key=KEY).chat.completions.create(model="{NAME}", …)
  curl       curl -N {self.url}/v1/chat/completions -H "Authorization: Bearer $KEY" -d '{{"model": "{NAME}", …}}'
KEY is what `dew model-key create NAME` prints."""
        )

    def log_end(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()[-4000:]
        except FileNotFoundError:
            return ""

    def stop(self):
        if self.server is None or self.server.poll() is not None:
            return
        self.server.terminate()
        try:
            self.server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


def heading(text):
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

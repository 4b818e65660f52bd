#!/usr/bin/env python3
"""Checks that what the documents name exists: files, make targets, commands and flags of dew, settings, environment.

Reads README.md, CHANGELOG.md and docs/*.md. The binary to ask for its help is DEW_BINARY, or the debug one in the target
directory, which is built when it is not there. Prints each name that leads nowhere and ends with 1 when there is one. Only the standard library is needed.
"""

import functools
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Directories whose files documents name, as opposed to places in a data directory or on a Droplet.
FOLDERS = ("crates", "docs", "migrations", "scripts", "spec", "tests", ".ci")


def main():
    os.chdir(ROOT)
    documents = ["README.md", "CHANGELOG.md", *sorted(glob.glob("docs/*.md"))]
    problems = [problem for document in documents for problem in check(document)]
    problems += left_out()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"check-docs: {len(documents)} documents, {len(problems)} names that lead nowhere")
    return 1 if problems else 0


def left_out():
    """Crates that plain cargo commands, and so `make test`, would pass over: all but the one that needs C++ are to be named."""
    with open("Cargo.toml", encoding="utf-8") as file:
        named = re.search(r"^default-members = \[(.*?)\]", file.read(), re.MULTILINE | re.DOTALL).group(1)
    there = {path.removesuffix("/Cargo.toml") for path in glob.glob("crates/*/Cargo.toml")} - {"crates/llama"}
    for crate in sorted(there - set(re.findall(r'"([^"]+)"', named))):
        yield f"Cargo.toml: {crate} is not among default-members"


def check(document):
    with open(document, encoding="utf-8") as file:
        text = file.read()
    for number, line in enumerate(text.splitlines(), start=1):
        found = [*links(line, document), *paths(line), *make_targets(line), *dew_commands(line), *environment(line)]
        for problem in found:
            yield f"{document}:{number}: {problem}"


def links(line, document):
    """Markdown links to files, relative to the document."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
        if re.match(r"[a-z]+:", target):
            continue
        if not os.path.exists(os.path.join(os.path.dirname(document), target)):
            yield f"no file {target}"


def paths(line):
    """Paths in code marks that begin with one of our folders; `<resource>` and `*` stand for anything."""
    for word in re.findall(r"`([^`\s]+)`", line):
        top = word.split("/", 1)[0]
        if "/" not in word or top not in FOLDERS:
            continue
        pattern = re.sub(r"<[^>]+>", "*", word.rstrip("/:,."))
        pattern = re.sub(r"::.*|:\d+$", "", pattern)
        if not glob.glob(pattern):
            yield f"no file {word}"


def make_targets(line):
    for target in re.findall(r"(?:`|^\s*|\$ )make ([a-z-]+)", line):
        if target not in targets():
            yield f"no target {target} in the Makefile"


@functools.cache
def targets():
    with open("Makefile", encoding="utf-8") as file:
        return set(re.findall(r"^([a-z-]+):", file.read(), flags=re.MULTILINE))


def dew_commands(line):
    """`dew COMMAND …` in code: the command and each long flag after it must be in its help."""
    for words in re.findall(r"(?:`|^\s*\$? ?|/|= ?\"?)dew ([a-z][^`|]*)", line):
        commands = []
        for word in words.split():
            if not re.fullmatch(r"[a-z0-9-]+", word) or not help_of((*commands, word)):
                break
            commands.append(word)
        if not commands:
            yield f"dew has no command {words.split()[0]}"
            continue
        known = help_of(tuple(commands))
        for flag in re.findall(r"(?<!\S)(--[a-z0-9-]+)", words):
            if flag not in re.findall(r"--[a-z0-9-]+", known):
                yield f"dew {' '.join(commands)} has no flag {flag}"


@functools.cache
def help_of(commands):
    """The help of a command, or nothing when there is no such command."""
    asked = subprocess.run([binary(), *commands, "--help"], capture_output=True, text=True, check=False)
    usage = re.search(r"Usage: dew ([a-z0-9 -]*)", asked.stdout)
    words = usage[1].split() if usage and asked.returncode == 0 else []
    return asked.stdout if words[: len(commands)] == list(commands) else ""


@functools.cache
def binary():
    given = os.environ.get("DEW_BINARY")
    path = given or os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "debug", "dew")
    if not given and not os.path.exists(path):
        subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "dew"], check=True)
    return path


def environment(line):
    """DEW_… variables must occur in the code or the scripts."""
    for name in re.findall(r"\bDEW_[A-Z_]+\b", line):
        if name not in variables():
            yield f"nothing reads {name}"


@functools.cache
def variables():
    found = set()
    for pattern in ("crates/**/*.rs", "scripts/*", "tests/**/*.py", ".ci/run"):
        for path in glob.glob(pattern, recursive=True, include_hidden=True):
            if os.path.isfile(path) and os.path.abspath(path) != os.path.abspath(__file__):
                with open(path, encoding="utf-8", errors="replace") as file:
                    found.update(re.findall(r"\bDEW_[A-Z_]+\b", file.read()))
    return found


if __name__ == "__main__":
    sys.exit(main())

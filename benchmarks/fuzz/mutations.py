"""The source of inputs: ``python -m benchmarks.fuzz.mutations RUNS SEED`` writes them to stdout.

libFuzzer, by way of Atheris, chooses inputs. It mutates bytes, recombines inputs, and keeps those
that reach new branches of aiohttp's parser of requests, which is instrumented here in its Python
form. Its custom mutator is the grammar: a production of a request is replaced by a new one. Each
input is written with its length in four bytes before it. libFuzzer ends the process it runs in, so
it has one of its own.
"""

import asyncio
import contextlib
import os
import random
import struct
import sys
import tempfile
from pathlib import Path
from unittest.mock import Mock

import atheris
from aiohttp import http_parser

from benchmarks.fuzz.grammar import Grammar, port_of
from benchmarks.services import PORTS

SEEDS = 200
"""Requests of the grammar with which libFuzzer begins."""
LONGEST = 24_000
"""Bytes of an input; more than the 8 kB of a header and the 10 kB of a body that are taken."""


def main(runs: int, seed: int) -> None:
    """Write ``runs`` inputs; ends the process."""
    grammar = Grammar(random.Random(seed))
    loop, protocol = asyncio.new_event_loop(), Mock()
    for parser in (
        http_parser.HttpParser,
        http_parser.HttpRequestParserPy,
        http_parser.HeadersParser,
        http_parser.HttpPayloadParser,
    ):
        for member in vars(parser).values():
            if hasattr(member, "__code__"):
                atheris.instrument_func(member)

    def emit(given: bytes) -> None:
        if not given:
            return
        _write(struct.pack(">I", len(given)) + given)
        parser = http_parser.HttpRequestParserPy(protocol, loop, limit=2**16)
        # Only the branches matter that it reaches.
        with contextlib.suppress(Exception):
            parser.feed_data(given[1:])

    def mutate(given: bytes, longest: int, _: int) -> bytes:
        mutated = _mutate(grammar, given)
        return atheris.Mutate(given, longest) if mutated is None else mutated[:longest]

    with tempfile.TemporaryDirectory() as folder:
        for number in range(min(SEEDS, runs)):
            (Path(folder) / f"{number:04}").write_bytes(grammar.input())
        options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", "-len_control=0"]
        atheris.Setup([sys.argv[0], *options, folder], emit, custom_mutator=mutate)
        atheris.Fuzz()


def _mutate(grammar: Grammar, given: bytes) -> bytes | None:
    """A new request, or one with a new production; None where bytes are to be mutated."""
    rng = grammar.rng
    kind = rng.random()
    if kind < 0.6 or not given:
        return grammar.input()
    if kind < 0.8:
        return None
    port = port_of(given)
    head, _, body = given[1:].partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    match rng.randrange(5):
        case 0:
            line = grammar.request_line(port)
        case 1:
            headers.insert(rng.randint(0, len(headers)), grammar.header())
        case 2 if headers:
            headers[rng.randrange(len(headers))] = grammar.header()
        case 3:
            body = grammar.body(port)
        case _:
            return bytes((rng.randrange(len(PORTS)),)) + given[1:]
    return given[:1] + b"\r\n".join((line, *headers, b"", body))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

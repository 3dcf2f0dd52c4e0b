"""`python -m calcom_stub`: arguments and life cycle (docs/interfaces.md, "Cal.com stub").

Prints one line to stderr when both listeners accept. Exit 0 after SIGTERM or SIGINT, 2 for unusable arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import TypeVar

from calcom_stub.command_line import add_listener_options, open_sockets
from calcom_stub.ledger import LedgerError
from calcom_stub.pacing import LatencyProfile
from calcom_stub.serving import Listener, run
from calcom_stub.stub import REQUESTS_PER_MIN, CalcomStub, Settings
from calcom_stub.world import WorldError, load_world

N = TypeVar("N", int, float)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        stub = CalcomStub(load_world(options.world), _settings(options))
        sockets = open_sockets(options)
    except (WorldError, LedgerError, OSError) as error:
        parser.error(str(error))
    run(
        [Listener(stub.api, sockets.api), Listener(stub.control, sockets.control)],
        on_serving=lambda: sockets.announce("calcom_stub"),
    )
    stub.close()
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        ledger_path=options.ledger,
        trace_path=options.trace,
        time_scale=options.time_scale,
        requests_per_min=options.requests_per_min,
        latency=options.latency,
        seed=options.seed,
    )


def _positive(convert: Callable[[str], N]) -> Callable[[str], N]:
    def parse(text: str) -> N:
        number = convert(text)
        if not 0 < number < inf:
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return number

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="calcom_stub", description="A stub of Cal.com API v2 on loopback.")
    add_listener_options(parser)
    parser.add_argument("--world", type=Path, required=True, help="world.json: who sells what")
    parser.add_argument("--ledger", type=Path, required=True, help="JSON lines of every change; a new file")
    parser.add_argument("--trace", type=Path, help="JSON lines of what the stub did")
    parser.add_argument("--time-scale", type=_positive(float), default=1.0, help="latencies are divided by it")
    parser.add_argument(
        "--requests-per-min", type=_positive(int), default=REQUESTS_PER_MIN, help="life-size limit per API key"
    )
    parser.add_argument("--latency", type=LatencyProfile, choices=list(LatencyProfile), default=LatencyProfile.REAL)
    parser.add_argument("--seed", type=int, default=0, help="of the latencies")
    return parser


if __name__ == "__main__":
    sys.exit(main())

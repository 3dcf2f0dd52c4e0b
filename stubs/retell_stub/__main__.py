"""`python -m retell_stub`: arguments and life cycle (docs/interfaces.md, "Retell stub").

Prints one line to stderr when both listeners accept. Exit 0 after SIGTERM or SIGINT, 2 for unusable arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from calcom_stub.command_line import add_listener_options, open_sockets
from calcom_stub.serving import Listener, run
from retell_stub.stub import RetellStub


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        sockets = open_sockets(options)
    except OSError as error:
        parser.error(str(error))
    stub = RetellStub(options.api_key)
    run(
        [Listener(stub.api, sockets.api), Listener(stub.control, sockets.control)],
        on_serving=lambda: sockets.announce("retell_stub"),
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="retell_stub", description="A stub of the Retell REST API on loopback.")
    add_listener_options(parser)
    parser.add_argument("--api-key", required=True, help="the key that the API accepts")
    return parser


if __name__ == "__main__":
    sys.exit(main())

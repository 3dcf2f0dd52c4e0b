"""The options that both stubs share: an API listener and a control listener, inherited or by port."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from socket import socket

from calcom_stub.serving import bound_socket


@dataclass(frozen=True)
class Sockets:
    api: socket
    control: socket

    def announce(self, stub: str) -> None:
        """Says on stderr, in one line, that the stub serves and where."""
        api, control = (sock.getsockname()[1] for sock in (self.api, self.control))
        sys.stderr.write(f"{stub} ready: API on port {api}, control on port {control}\n")
        sys.stderr.flush()


def add_listener_options(parser: argparse.ArgumentParser) -> None:
    for prefix, listener in (("", "API"), ("control-", "control")):
        group = parser.add_mutually_exclusive_group(required=True)
        group.add_argument(f"--{prefix}fd", type=int, help=f"inherited listening socket of the {listener} listener")
        group.add_argument(f"--{prefix}port", type=int, help="or a port on 127.0.0.1 (0: any free one)")


def open_sockets(options: argparse.Namespace) -> Sockets:
    """The sockets that the options name. Raises OSError."""
    return Sockets(
        api=bound_socket(options.fd, options.port),
        control=bound_socket(options.control_fd, options.control_port),
    )

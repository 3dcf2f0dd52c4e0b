"""What faults, load and collectors need to know of a running stack: addresses, processes, links. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class LinkName(StrEnum):
    """The links of the system; each is one proxy of Toxiproxy (CONTRACTS.md section 6)."""

    POSTGRES = "postgres"
    REDIS = "redis"
    CALCOM = "calcom"
    RETELL = "retell"
    SERVICE = "service"


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class Link:
    """One proxied connection: clients dial `listen`, Toxiproxy dials `upstream`."""

    name: LinkName
    listen: Address
    upstream: Address


@dataclass(frozen=True)
class Process:
    """A server of the stack. `own` processes count as ours when foreign CPU is measured (children included)."""

    name: str
    pid: int
    version: str | None = None
    log: Path | None = None


@dataclass(frozen=True)
class System:
    """A running stack, as faults, load and collectors see it.

    `database_url` and `admin_database_url` go straight to PostgreSQL, not through its link: the ledger is read and
    connections are held from outside. The admin role may use the connections that PostgreSQL reserves for superusers.
    """

    toxiproxy: Address
    links: Mapping[LinkName, Link]
    service: Address
    """What callers dial: the listen side of the service's link."""
    calcom_control: Address | None
    retell_control: Address | None
    database_url: str
    admin_database_url: str
    redis: Address
    processes: Mapping[str, Process] = field(default_factory=dict)
    time_scale: float = 1.0
    retell_api_key: str = ""

    def link(self, name: LinkName) -> Link:
        return self.links[name]

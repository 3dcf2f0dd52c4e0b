"""A stub of Cal.com API v2 that books, refuses, races and rate-limits as the real one is documented to do.

From the ground up: `wire_time`, `errors`, `world` < `calendar` < `slots`, `listing`, `views`, `validation`, `drafts`,
`queries` (pure: no HTTP, no waiting) < `operations` (one API operation with its waits: `pacing`, `behaviours`;
what it leaves behind: `ledger`, `trace`) < `api`, `control` (HTTP; `auth`, `versions`, `legacy`, `envelopes`), `gate`
(`rate_limit`) < `stub` (puts the parts together) < `__main__` (`command_line`, `serving`).
Imports nothing of the system under test and nothing of the harness.
"""

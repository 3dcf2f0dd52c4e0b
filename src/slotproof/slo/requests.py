"""One row per request, from its attempts: when it was due, when it was answered, with what."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slotproof.record.record import Record
from slotproof.record.schemas import Actor, Outcome

SERVED = (Outcome.OK.value, Outcome.TAKEN.value, Outcome.NOT_HELD.value, Outcome.PENDING.value)
"""Answers that are of use to the caller; `none` is an answer, but of no use."""
_STRENGTH = {outcome.value: outcome.strength for outcome in Outcome}


def request_frame(record: Record) -> pd.DataFrame:
    """Requests of callers and of the platform (external ones did not ask the service), by request number.

    Columns: `kind`; `intended_ns` of the first attempt; `answer`, the outcome of the first attempt that was not
    unknown, else "unknown"; `outcome`, the strongest of all; `latency_ns` from intended to the answer, infinite when
    there was none; `net_latency_ns`, less the time that the service waited for Cal.com in the answering attempt;
    `served_ns`, from intended to the first answer of use, infinite when there was none; `was_pending`.
    """
    ops = record.sent_frame
    ops = ops[ops["actor"] != Actor.EXTERNAL.value].sort_values(["request", "complete_ns", "op"], kind="stable")
    attempts = pd.DataFrame(
        {
            "request": ops["request"].to_numpy(np.int64),
            "kind": ops["kind"].to_numpy(object),
            "outcome": ops["outcome"].to_numpy(object),
            "intended_ns": ops["intended_ns"].to_numpy(np.int64),
            "complete_ns": ops["complete_ns"].to_numpy(np.int64),
            "upstream_ns": ops["upstream_ns"].fillna(0).to_numpy(np.int64),
        }
    )
    attempts["strength"] = attempts["outcome"].map(_STRENGTH)
    by_request = attempts.groupby("request", sort=True)
    requests = by_request.agg(kind=("kind", "first"), intended_ns=("intended_ns", "min"))
    answered = attempts[attempts["outcome"] != Outcome.UNKNOWN.value].drop_duplicates("request").set_index("request")
    served = attempts[attempts["outcome"].isin(SERVED)].drop_duplicates("request").set_index("request")
    strongest = attempts.sort_values(["request", "strength"], kind="stable").drop_duplicates("request", keep="last")
    requests["answer"] = answered["outcome"].reindex(requests.index).fillna(Outcome.UNKNOWN.value)
    requests["outcome"] = strongest.set_index("request")["outcome"]
    requests["latency_ns"] = _since_intended(answered["complete_ns"], requests)
    upstream_ns = answered["upstream_ns"].astype(float).reindex(requests.index).fillna(0.0)
    requests["net_latency_ns"] = requests["latency_ns"] - upstream_ns
    requests["served_ns"] = _since_intended(served["complete_ns"], requests)
    pending = attempts.loc[attempts["outcome"] == Outcome.PENDING.value, "request"]
    requests["was_pending"] = requests.index.isin(pending)
    return requests


def _since_intended(completed_ns: pd.Series[int], requests: pd.DataFrame) -> pd.Series[float]:
    since = completed_ns.reindex(requests.index).astype(float) - requests["intended_ns"].astype(float)
    return since.fillna(np.inf)

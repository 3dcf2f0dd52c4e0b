"""The demonstration: one scenario, one fault, two targets; the flawed one is caught, the hardened one passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slotproof.checks.base import FindingKind
from slotproof.evaluate import Evaluation
from slotproof.exit_codes import ExitCode
from slotproof.judgement import Judgement, Verdict
from slotproof.pipeline import Interruption, run
from slotproof.plan.resolve import Choices
from slotproof.progress import Listener

SCENARIO = "rush"
EXPERIMENT = "slow_calcom"
PROFILES = ("as-reviewed", "hardened")


@dataclass(frozen=True)
class DemoPart:
    profile: str
    evaluation: Evaluation

    @property
    def as_expected(self) -> bool:
        judgement = self.evaluation.judgement
        if self.profile == "as-reviewed":
            return judgement.verdict is Verdict.NO_GO and doubles(judgement) > 0
        return judgement.verdict is Verdict.GO

    @property
    def exit_code(self) -> int:
        """0 when it went as expected, else the run's own code (an unexpected GO is an objective of the demo missed)."""
        if self.as_expected:
            return ExitCode.GO
        return self.evaluation.judgement.exit_code or ExitCode.OBJECTIVE_MISSED


def run_demo(seed: int, out: Path, listener: Listener, interruption: Interruption) -> list[DemoPart]:
    """Both runs, with one seed. Ends after the first when it was interrupted."""
    parts: list[DemoPart] = []
    for profile in PROFILES:
        choices = Choices(scenario=SCENARIO, experiment=EXPERIMENT, profile=profile, seed=seed)
        parts.append(DemoPart(profile, run(choices, out, listener, interruption)))
        if interruption.asked:
            break
    return parts


def doubles(judgement: Judgement) -> int:
    """How many slots were sold twice."""
    return sum(finding.kind is FindingKind.DOUBLE_BOOKING for finding in judgement.findings)

# SPDX-License-Identifier: Apache-2.0
"""Figures of a bench run: kept with their limits, shown as a table, written as JSON."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``at_most`` is the mark that it has to meet and ``goal`` the one beyond."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the mark is met."""
        return self.at_most is None or self.value <= self.at_most


@dataclass(slots=True)
class Figures:
    """All figures of one run, in order."""

    measured: list[Figure] = field(default_factory=list)

    def report(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        at_most: float | None = None,
        goal: float | None = None,
        note: str = "",
    ) -> Figure:
        """Keep one figure. Judging it is left to the caller, so that a table is whole when one fails."""
        figure = Figure(name, value, unit, at_most, goal, note)
        self.measured.append(figure)
        return figure

    def table(self) -> list[str]:
        """Lines of a table for people."""
        width = max((len(figure.name) for figure in self.measured), default=0)
        lines = []
        for figure in self.measured:
            mark = "" if figure.at_most is None else f"<= {figure.at_most:g}"
            verdict = "" if figure.at_most is None else "met" if figure.holds else "MISSED"
            value = f"{figure.value:>12.2f} {figure.unit:4}"
            lines.append(f"{figure.name:{width}}  {value} {mark:>8}  {verdict:6}  {figure.note}")
        return [line.rstrip() for line in lines]

    def write(self, path: Path) -> None:
        """Write all figures and the machine that they hold for."""
        machine = {"kernel": platform.release(), "machine": platform.machine(), "cores": os.cpu_count()}
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": machine, "figures": [asdict(figure) for figure in self.measured]}
        path.write_text(json.dumps(document, indent=2) + "\n")


def assert_holds(*figures: Figure) -> None:
    """Fail with all figures that miss their mark."""
    missed = [f"{f.name}: {f.value:.2f} {f.unit}, wanted <= {f.at_most:g}" for f in figures if not f.holds]
    assert not missed, "; ".join(missed)

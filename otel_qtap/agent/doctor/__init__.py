# SPDX-License-Identifier: Apache-2.0
"""Is everything here that the agent needs? Looks and reports; changes nothing that outlives a check.

outcome      what one check found, and what to do
host         what is examined: settings, and where /proc and /sys are
examination  runs checks in order; one that rests on a failed one is skipped
remedies     what to add, as a flag, a field of a manifest or a command
registry     the checks, as a table: a new one is a function and a line there
report       all results: verdict, exit code, JSON form

The checks, by what they look at: configuration privileges confinement kernel features capture libraries
coverage collector store directories health environment clock. Ways to try the kernel out: bpf_syscalls
detached_mount.
"""

from otel_qtap.agent.doctor.examination import examine
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, Status
from otel_qtap.agent.doctor.registry import CHECKS
from otel_qtap.agent.doctor.report import Report, Result

__all__ = ["CHECKS", "Host", "Outcome", "Report", "Result", "Status", "examine"]

# SPDX-License-Identifier: Apache-2.0
"""Whether the environment makes settings."""

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn


def settings(host: Host) -> Outcome:
    """All variables at once: the agent would refuse to start with any that is wrong."""
    if isinstance(host.configuration, str):
        problems = host.configuration.splitlines()
        return fail(
            f"{len(problems)} settings refused" if len(problems) > 1 else problems[0],
            detail=host.configuration if len(problems) > 1 else "",
            remedy="Correct the variables; `otel-qtap config` shows all of them.",
        )
    ignored = host.configuration.ignored
    if ignored:
        return warn(
            f"set, but not read by otel-qtap: {', '.join(ignored)}",
            remedy="Unset them, if they were meant for the agent; `otel-qtap config` shows what it reads.",
        )
    given = len(host.configuration.sources)
    return ok(f"{given} setting{'' if given == 1 else 's'} given, the others at their defaults")

# SPDX-License-Identifier: Apache-2.0
"""The samplers that OTEL_TRACES_SAMPLER names (OpenTelemetry specification, trace/sdk, "Sampling").

A sampler is a function of the span's trace id and of the decision seen on the wire (None: a root
span, or a decision that the wire leaves to the receiver).
"""

from collections.abc import Callable

from otel_qtap.errors import SettingsError

Sampler = Callable[[bytes, bool | None], bool]

_PARENT_BASED = "parentbased_"


def new_sampler(name: str, ratio: float = 1.0) -> Sampler:
    """The sampler called ``name``; ``ratio`` (0 to 1) is OTEL_TRACES_SAMPLER_ARG.

    Raises SettingsError for an unknown name or a ratio out of range.
    """
    base = name.removeprefix(_PARENT_BASED)
    root: Sampler
    if base == "always_on":
        root = _always_on
    elif base == "always_off":
        root = _always_off
    elif base == "traceidratio":
        root = _trace_id_ratio(ratio)
    else:
        raise SettingsError(
            f"OTEL_TRACES_SAMPLER: {name!r} is not supported; choose always_on, always_off or traceidratio, "
            f"each also with the prefix {_PARENT_BASED}"
        )
    return _parent_based(root) if base != name else root


def _always_on(trace_id: bytes, observed: bool | None) -> bool:
    return True


def _always_off(trace_id: bytes, observed: bool | None) -> bool:
    return False


def _trace_id_ratio(ratio: float) -> Sampler:
    """By the last 8 bytes of the trace id, as the OpenTelemetry SDKs do, so that their decisions agree."""
    if not 0.0 <= ratio <= 1.0:
        raise SettingsError("OTEL_TRACES_SAMPLER_ARG: want a number from 0 to 1")
    bound = round(ratio * 2**64)

    def sampled(trace_id: bytes, observed: bool | None) -> bool:
        return int.from_bytes(trace_id[8:], "big") < bound

    return sampled


def _parent_based(root: Sampler) -> Sampler:
    def sampled(trace_id: bytes, observed: bool | None) -> bool:
        return root(trace_id, None) if observed is None else observed

    return sampled

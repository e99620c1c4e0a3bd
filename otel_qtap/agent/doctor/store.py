# SPDX-License-Identifier: Apache-2.0
"""Whether the object store can be reached and written."""

import tempfile
from pathlib import Path

from otel_qtap.agent.directories import objects_directory
from otel_qtap.agent.doctor.directories import directory
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok
from otel_qtap.errors import SettingsError, StoreError
from otel_qtap.objectstore.own_requests import PROBE_KEY
from otel_qtap.objectstore.registry import open_store

_PROBE = b"Written by `otel-qtap doctor` to see that this bucket can be written; may be deleted.\n"
_REMEDY = "Correct OTEL_QTAP_OBJECTS_URL, the AWS_* variables, or the rights on the bucket."


def payloads(host: Host) -> Outcome:
    """The store of OTEL_QTAP_OBJECTS_URL: a directory is looked at, a bucket is written and read."""
    objects = host.settings.objects
    if path := objects_directory(objects.url):
        return directory(host, path, "OTEL_QTAP_OBJECTS_URL")
    try:
        store = open_store(
            objects.url, sse=objects.sse, sse_kms_key_id=objects.sse_kms_key_id, tags=objects.tags
        )
        if store is None:
            return ok("none: payloads are not stored")
        store.check()
        with tempfile.TemporaryDirectory(prefix="otel-qtap-doctor-") as scratch:
            path = Path(scratch, "probe")
            path.write_bytes(_PROBE)
            store.put(PROBE_KEY, path, len(_PROBE))
        found = store.get_range(PROBE_KEY, 0, len(_PROBE) - 1)
    except (StoreError, SettingsError) as error:
        return fail(str(error), remedy=_REMEDY)
    if found != _PROBE:
        return fail(f"{store.url} gives back something else than was written", remedy=_REMEDY)
    return ok(f"{store.url} was written and read")

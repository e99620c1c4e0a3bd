# SPDX-License-Identifier: Apache-2.0
"""What a process was is known when it is over, and nothing else is taken for it."""

from pathlib import Path

from otel_qtap.agent import glimpses as module
from otel_qtap.agent.glimpses import Glimpses
from otel_qtap.capture.records import Kind
from otel_qtap.discovery.procfs import ProcessReader
from tests.unit.agent.conftest import Mapper


class CountingReader(ProcessReader):
    """Counts how often all of a process is read."""

    reads = 0

    def facts(self, pid, start_time_ns=None):
        self.reads += 1
        return super().facts(pid, start_time_ns)


def test_a_process_is_read_once_for_each_program_that_it_runs(mapper: Mapper) -> None:
    reader = CountingReader()
    glimpses = Glimpses(reader)
    for _ in range(3):
        glimpses.take(mapper.notice(Kind.FILE_MAPPED))
    assert reader.reads == 1
    mapper.go_on_as("/usr/bin/cat")
    notice = mapper.notice(Kind.FILE_MAPPED)
    glimpses.take(notice)
    assert reader.reads == 2
    mapper.end()

    facts = glimpses.facts(notice)
    assert facts is not None
    assert facts.executable == "/usr/bin/cat"


def test_what_a_process_runs_now_is_what_counts(mapper: Mapper) -> None:
    glimpses = Glimpses(ProcessReader())
    glimpses.take(mapper.notice(Kind.FILE_MAPPED))
    mapper.go_on_as("/usr/bin/cat")

    facts = glimpses.facts(mapper.notice(Kind.PROCESS_SEEN))
    assert facts is not None
    assert facts.executable == "/usr/bin/cat"


def test_another_program_or_process_is_not_taken_for_one_that_is_over(mapper: Mapper) -> None:
    glimpses = Glimpses(ProcessReader())
    notice = mapper.notice(Kind.FILE_MAPPED)
    glimpses.take(notice)
    mapper.end()

    assert glimpses.facts(notice) is not None
    assert glimpses.facts(notice._replace(command="another")) is None
    assert glimpses.facts(notice._replace(start_time_ns=notice.start_time_ns + 10_000_000)) is None


def test_only_the_latest_are_kept(monkeypatch, library: Path) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    glimpses = Glimpses(ProcessReader())
    mappers = [Mapper(library) for _ in range(3)]
    notices = [mapper.notice(Kind.FILE_MAPPED) for mapper in mappers]
    for notice in notices:
        glimpses.take(notice)
    for mapper in mappers:
        mapper.end()

    assert [glimpses.facts(notice) is not None for notice in notices] == [False, True, True]

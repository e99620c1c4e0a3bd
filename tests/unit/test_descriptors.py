# SPDX-License-Identifier: Apache-2.0
"""What a forked child keeps open of what its parent had."""

import os
import socket

from otel_qtap.descriptors import close_others


def test_what_is_to_be_kept_and_the_standard_streams_stay_open() -> None:
    kept, dropped = socket.socketpair()

    def work() -> list[bool]:
        close_others([kept.fileno()])
        closed = []
        for number in (0, 1, 2, kept.fileno(), dropped.fileno()):
            try:
                os.fstat(number)
                closed.append(False)
            except OSError:
                closed.append(True)
        return closed

    # The pipe of the answer is among what is closed, so the exit code must tell.
    pid = os.fork()
    if pid == 0:
        os._exit(0 if work() == [False, False, False, False, True] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    kept.close()
    dropped.close()

# SPDX-License-Identifier: Apache-2.0
"""What supervisor and pipeline tell each other of files, and what of it is believed."""

import os

from otel_qtap.agent.plaintext.page import Mark, PlaintextPage
from otel_qtap.probes.spec import MAX_FILES


def in_a_child(work: object) -> None:
    pid = os.fork()
    if pid == 0:
        work()  # type: ignore[operator]
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_question_reaches_the_pipeline_and_its_answer_comes_back() -> None:
    page = PlaintextPage()
    assert not page.has_questions
    page.ask(7)
    page.ask(MAX_FILES - 1)

    def pipeline() -> None:
        assert page.has_questions
        page.answer(7, Mark.CIPHERTEXT)
        page.answer(MAX_FILES - 1, Mark.PLAIN)
        assert not page.has_questions

    in_a_child(pipeline)
    assert page.refused() == [7]
    assert page.mark(MAX_FILES - 1) == Mark.PLAIN


def test_what_was_not_asked_is_not_believed() -> None:
    page = PlaintextPage()
    page.answer(3, Mark.CIPHERTEXT)
    assert page.mark(3) == Mark.NONE

    def liar() -> None:
        page._page[:] = bytes((Mark.CIPHERTEXT,)) * MAX_FILES

    page.ask(9)
    in_a_child(liar)
    assert page.refused() == [9]


def test_a_file_that_is_given_up_is_asked_about_no_more() -> None:
    page = PlaintextPage()
    page.ask(5)
    page.answer(5, Mark.CIPHERTEXT)
    page.give_up(5)
    assert page.refused() == []
    page.ask(5)
    assert page.mark(5) == Mark.ASKED


def test_the_number_of_no_file_is_not_asked_about() -> None:
    page = PlaintextPage()
    page.ask(0)
    assert not page.has_questions
    page.give_up(0)

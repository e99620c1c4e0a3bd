# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.analysis import analyse
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.recognition import recognise
from otel_qtap.probes.s2n import LIBRARY
from otel_qtap.probes.spec import Shape
from tests.support.tls_ends import awscrt, library_file


def shapes(path: str) -> dict[str, Shape]:
    """Of the functions by which plaintext goes."""
    with ElfFile(path) as elf:
        assert "s2n" in recognise(elf).libraries
        found = analyse(elf, LIBRARY)
    return {site.function: Shape(site.cookie >> 24 & 255) for site in found.sites if site.cookie & 255 <= 2}


def test_sends_are_probed_where_all_of_them_pass():
    assert shapes(library_file("s2n")) == {
        "s2n_recv_impl": Shape.PLAIN,
        "s2n_sendv_with_offset": Shape.IOVEC,
    }


def test_where_the_kernel_takes_no_probe_there_it_is_the_usual_form_of_sending():
    path = str(awscrt() / "_awscrt.abi3.so")
    assert shapes(path) == {"s2n_recv_impl": Shape.PLAIN, "s2n_send": Shape.PLAIN}
    with ElfFile(path) as elf:
        refusals = {refusal.function: refusal.reason for refusal in analyse(elf, LIBRARY).refusals}
    assert refusals["s2n_sendv_with_offset"] == "the kernel takes no probe on its first instruction"

# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.plan import SiteKind
from otel_qtap.discovery.sites import emulated, probe_site, refused_by_kernel
from otel_qtap.probes.spec import Hook, ProbeFunction
from tests.unit.discovery.conftest import CODE_OFFSET

RETURN = "c3"


@pytest.fixture
def site_of(make_elf, tmp_path):
    def site_of(code: str, *, nargs: int = 3, needs_return: bool = True, force_classic: bool = False):
        path = tmp_path / "libssl-test.so"
        path.write_bytes(make_elf({"f": bytes.fromhex(code)}))
        probe = ProbeFunction(symbol="f", hook=Hook.READ, nargs=nargs, needs_return=needs_return)
        with ElfFile(str(path)) as elf:
            return probe_site(elf, elf.functions(["f"])["f"], probe, 7, force_classic=force_classic)

    return site_of


@pytest.mark.parametrize(
    ("code", "offset", "instruction"),
    [
        ("55" + RETURN, 0, "push rbp"),
        ("4157" + RETURN, 0, "push r15"),
        ("f30f1efa4156" + RETURN, 4, "push r14"),  # behind endbr64
        ("4885ff7405" + RETURN, 3, "je"),  # test rdi, rdi
        ("31c0e800000000" + RETURN, 2, "call"),
        ("90" + RETURN, 0, "nop"),
        ("669055" + RETURN, 2, "push rbp"),  # a two-byte nop is passed over
    ],
)
def test_the_first_emulated_instruction_is_a_pair_site(site_of, code, offset, instruction):
    site = site_of(code)
    assert (site.kind, site.reason) == (SiteKind.PAIR, "")
    assert site.file_offset == CODE_OFFSET + offset
    assert site.instruction.startswith(instruction)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("89c255" + RETURN, "an argument is overwritten"),  # mov edx, eax
        ("b20155" + RETURN, "an argument is overwritten"),  # mov dl, 1
        ("4883ec0855" + RETURN, "the stack pointer moves"),
        ("c355", "ret comes before"),
        ("ffd055" + RETURN, "call comes before"),
        ("31c031c04885c074fb" + RETURN, "a jump leads back"),  # je to the second instruction
        ("4885ff7400ebfc" + RETURN, "a jump leads back"),  # jmp to the je itself
        ("31c0" * 60 + "55" + RETURN, "no cheap instruction"),
        ("55" + "90" * 16384 + RETURN, "too long"),
    ],
)
def test_a_site_that_is_not_proven_is_the_first_byte_with_the_reason(site_of, code, reason):
    site = site_of(code)
    assert site.kind is SiteKind.CLASSIC
    assert site.file_offset == CODE_OFFSET
    assert reason in site.reason


def test_an_overwritten_register_beyond_the_arguments_does_not_matter(site_of):
    code = "89c255" + RETURN
    assert site_of(code, nargs=2).kind is SiteKind.PAIR
    assert site_of(code, nargs=3).kind is SiteKind.CLASSIC


def test_a_jump_back_to_the_entry_is_a_new_entry(site_of):
    assert site_of("f30f1efa55ebf9" + RETURN).kind is SiteKind.PAIR


def test_an_entry_only_probe_may_sit_behind_a_moved_stack_pointer(site_of):
    site = site_of("4883ec087400" + RETURN, needs_return=False)
    assert (site.kind, site.file_offset) == (SiteKind.ENTRY, CODE_OFFSET + 4)


def test_classic_sites_can_be_asked_for(site_of):
    site = site_of("f30f1efa55" + RETURN, force_classic=True)
    assert (site.kind, site.file_offset, site.instruction) == (SiteKind.CLASSIC, CODE_OFFSET, "endbr64")


@pytest.mark.parametrize(
    "code", ["6690", "0f1f440000", "66e800000000", "f2e800000000", "58", "4855", "4155c3"]
)
def test_only_what_every_kernel_emulates_counts(code):
    assert emulated(bytes.fromhex(code)) is (code == "4155c3")


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [
        ("2e2e2e2e4154", True),  # cs cs cs cs push r12
        ("662e0f1f840000000000", True),  # a long nop
        ("3effe0", True),  # notrack jmp rax
        ("f0ff07", True),  # lock inc dword ptr [rdi]
        ("f30f1efa", False),  # endbr64
        ("64488b042528000000", False),  # mov rax, qword ptr fs:[0x28]
        ("4154", False),
        ("b82e2e2e2e", False),  # an operand, not a prefix
    ],
)
def test_instructions_with_prefixes_that_uprobes_do_not_know_are_refused(code, is_refused):
    assert refused_by_kernel(bytes.fromhex(code)) is is_refused


@pytest.mark.parametrize("force_classic", [False, True])
def test_where_such_an_instruction_comes_first_there_may_be_no_site(site_of, force_classic):
    assert site_of("2e2e2e2e4154" + "55" + RETURN, force_classic=force_classic) is None


def test_a_cheap_site_behind_one_is_a_site(site_of):
    site = site_of("662e0f1f840000000000" + "55" + RETURN)
    assert (site.kind, site.file_offset) == (SiteKind.PAIR, CODE_OFFSET + 10)

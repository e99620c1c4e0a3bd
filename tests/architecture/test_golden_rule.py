# SPDX-License-Identifier: Apache-2.0
"""The permit: who may name a payload, and who may make one that is cleared to leave the process."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_qtap

PACKAGE = Path(otel_qtap.__file__).parent
PERMITS = {"ClearedPayload", "ClassifiedExchange"}
RAW = {"Exchange", "Payload"}
FORBIDDEN_NAMES = {
    "telemetry": {"otel_qtap.model.exchange": RAW, "otel_qtap.model.classified": PERMITS},
    "objectstore": {"otel_qtap.model.exchange": RAW},
}


def modules(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def constructions(tree: ast.AST, names: set[str]) -> list[str]:
    """Calls and subclasses of ``names``, under an alias or through a module too."""
    aliases = {name: name for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            aliases.update({a.asname: a.name for a in node.names if a.asname and a.name in names})
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in aliases:
                found.append(aliases[function.id])
            elif isinstance(function, ast.Attribute) and function.attr in names:
                found.append(function.attr)
        elif isinstance(node, ast.ClassDef):
            bases = {
                base.id if isinstance(base, ast.Name) else getattr(base, "attr", "") for base in node.bases
            }
            found.extend(sorted(bases & set(aliases)))
    return found


def violations(tree: ast.AST, forbidden: dict[str, set[str]]) -> list[str]:
    """Imports of forbidden names, and of any module through which they can be reached."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                names = forbidden.get(module, set())
                full = f"{module}.{alias.name}"
                if alias.name in names or (names and alias.name == "*") or reaches(full, forbidden):
                    found.append(full)
        elif isinstance(node, ast.Import):
            # ``import otel_qtap.errors`` alone binds the whole package, but its submodules only
            # become attributes when something imports them: naming the module is what counts.
            found.extend(alias.name for alias in node.names if reaches(alias.name, forbidden))
    return found


def reaches(module: str, forbidden: dict[str, set[str]]) -> bool:
    """Whether ``module`` is a forbidden module or a package above one."""
    return any(f"{name}.".startswith(f"{module}.") for name in forbidden)


def test_only_classification_makes_permits() -> None:
    made: dict[str, list[str]] = {}
    for path, tree in modules(PACKAGE):
        names = constructions(tree, PERMITS)
        if names:
            made.setdefault(path.relative_to(PACKAGE).parts[0], []).extend(names)
    assert set(made) == {"classification"}
    assert set(made["classification"]) == PERMITS


@pytest.mark.parametrize("room", FORBIDDEN_NAMES)
def test_rooms_behind_classification_cannot_name_a_raw_payload(room: str) -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path, tree in modules(PACKAGE / room)
        if (names := violations(tree, FORBIDDEN_NAMES[room]))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "from otel_qtap.model.classified import ClearedPayload\nClearedPayload(part=1)",
        "from otel_qtap.model.classified import ClearedPayload as C\nC(part=1)",
        "from otel_qtap.model import classified\nclassified.ClassifiedExchange(part=1)",
        "from otel_qtap.model.classified import ClearedPayload\nclass Mine(ClearedPayload): pass",
    ],
)
def test_the_check_sees_every_way_to_make_one(source: str) -> None:
    assert constructions(ast.parse(source), PERMITS)


@pytest.mark.parametrize(
    "source",
    [
        "from otel_qtap.model.exchange import Payload",
        "from otel_qtap.model.exchange import Attributes, Exchange as E",
        "from otel_qtap.model.exchange import *",
        "from otel_qtap.model import exchange",
        "from otel_qtap import model",
        "import otel_qtap.model.exchange",
        "import otel_qtap.model",
        "import otel_qtap.model.exchange as e",
        "def f():\n    from otel_qtap.model.classified import ClassifiedExchange",
    ],
)
def test_the_check_sees_every_way_to_name_one(source: str) -> None:
    assert violations(ast.parse(source), FORBIDDEN_NAMES["telemetry"])


def test_the_check_lets_metadata_pass() -> None:
    allowed = (
        "from otel_qtap.model.exchange import Attributes, SpanKind\nfrom otel_qtap.model.record import Record"
    )
    assert violations(ast.parse(allowed), FORBIDDEN_NAMES["telemetry"]) == []

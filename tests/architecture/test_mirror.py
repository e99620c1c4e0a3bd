# SPDX-License-Identifier: Apache-2.0
"""The test tree mirrors the source: a reader who knows a module knows where its tests are."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "otel_qtap"
UNIT = ROOT / "tests" / "unit"

EXEMPT = {
    "__main__.py": "one call, made by tests/unit/cli/test_main.py",
    "errors.py": "names; the one constructor keeps a flag, used by the tests of objectstore",
    "agent/doctor/outcome.py": "constructors of one value, which every check's test looks at",
    "protocols/http1/__init__.py": "composition: every test of the whole chain goes through it",
    "model/identity.py": "nouns; the one property puts two fields into a tuple",
}
"""Modules with code and without a test file of their own, and what tests them instead."""


def has_code(module: Path) -> bool:
    """Whether there is anything to test: a function that does something, unlike those of a Protocol."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(not isinstance(line, ast.Expr) for function in functions for line in function.body)


def mirror(module: Path) -> Path:
    """Where the tests of a module are; those of a package's own code are named after the package."""
    relative = module.relative_to(PACKAGE)
    stem = relative.parent.name if module.name == "__init__.py" else relative.stem
    return UNIT / relative.parent / f"test_{stem}.py"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def test_every_module_with_code_has_its_test_file() -> None:
    lacking = [
        name(module)
        for module in modules()
        if has_code(module) and not mirror(module).exists() and name(module) not in EXEMPT
    ]

    assert lacking == []


def test_every_unit_test_file_has_its_module() -> None:
    expected = {mirror(module) for module in modules()}
    strays = [str(path.relative_to(ROOT)) for path in UNIT.rglob("test_*.py") if path not in expected]

    assert strays == []


def test_exemptions_are_still_needed() -> None:
    exempted = {name(module): module for module in modules() if name(module) in EXEMPT}

    assert exempted.keys() == EXEMPT.keys()
    assert [known for known, module in exempted.items() if mirror(module).exists()] == []

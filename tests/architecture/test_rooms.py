"""The rooms and their arrows, as docs/architecture.md draws them."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "operator"
PURE = ("api", "contract", "decide", "evidence", "render")
FORBIDDEN_MODULES = frozenset(
    {
        "asyncio",
        "datetime.datetime.now",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "time",
        "uuid",
    }
)
CLOCKS = frozenset({"now", "utcnow", "today", "monotonic", "perf_counter"})
# What generates files and documentation is run by people, not by the operator.
GENERATORS = frozenset({"api/crd.py", "api/reference.py"})
HEAVY = {
    "operator": ("kopf", "kubernetes", "prometheus_api_client", "aiohttp"),
    "runtime": ("sklearn", "skops", "numpy", "pandas", "pyarrow", "uvicorn"),
}


def test_source_root_is_no_package() -> None:
    """`operator/__init__.py` would shadow the standard library's `operator`, and nothing would start."""
    assert not (SOURCE / "__init__.py").exists()


def test_imports_go_one_way() -> None:
    command = [
        Path(sys.executable).with_name("lint-imports"),
        "--config",
        ROOT / ".importlinter",
        "--no-cache",
    ]
    found = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def _pure_files() -> list[Path]:
    return [
        file
        for room in PURE
        for file in sorted((SOURCE / "modelmend" / room).rglob("*.py"))
        if file.relative_to(SOURCE / "modelmend").as_posix() not in GENERATORS
    ]


@pytest.mark.parametrize(
    "file", _pure_files(), ids=lambda file: file.relative_to(SOURCE / "modelmend").as_posix()
)
def test_pure_room_has_no_clock_no_dice_no_log_and_no_io(file: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found += [node.module] if node.module.partition(".")[0] in FORBIDDEN_MODULES else []
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_clock = isinstance(node.func, ast.Attribute) and name in CLOCKS and not node.args
            if is_clock or name in ("open", "print", "input"):
                found.append(f"{name}() in line {node.lineno}")
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"async in line {node.lineno}")

    assert found == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("modelmend.cli.__main__", (*HEAVY["operator"], *HEAVY["runtime"], "pydantic")),
        ("modelmend.cli.run", HEAVY["runtime"]),
        ("modelmend.cli.crds", (*HEAVY["operator"], *HEAVY["runtime"])),
        ("modelmend.cli.graph", (*HEAVY["operator"], *HEAVY["runtime"])),
        ("modelmend.decide", (*HEAVY["operator"], *HEAVY["runtime"])),
        ("modelmend.runtime.commands", HEAVY["operator"][:3]),
        ("modelmend.runtime.server.command", HEAVY["operator"][:3]),
        (
            "modelmend.cli.tune",
            (*HEAVY["operator"], *HEAVY["runtime"], "cronsim", "orjson", "rich.progress", "yaml"),
        ),
        ("modelmend.cli.explain", ("kopf", "prometheus_api_client", *HEAVY["runtime"], "rich.progress")),
        (
            "modelmend.cli.backtest",
            ("kopf", "kubernetes", "aiohttp", "matplotlib", "modelmend.act", *HEAVY["runtime"]),
        ),
        ("modelmend.cli.simulate", (*HEAVY["operator"][:3], "orjson", "modelmend.loop", "modelmend.act")),
    ],
)
def test_module_loads_without_what_its_image_does_not_have(module: str, absent: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*(name for name in {absent!r} if name in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE)},
    )

    assert found.stdout.strip() == ""


def test_help_names_every_command_and_loads_none() -> None:
    program = (
        "import sys; sys.argv = ['modelmend', '--help']; from modelmend.cli.__main__ import main; main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE)},
    )

    assert all(
        f" {name} " in found.stdout
        for name in (
            "run",
            "crds",
            "graph",
            "replay",
            "simulate",
            "backtest",
            "tune",
            "serve",
            "resolve",
            "train",
            "pack",
        )
    )


def test_kubectl_finds_a_plugin_with_the_same_commands() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    program = "import sys; sys.argv = ['kubectl-mend', '--help']; from modelmend.cli.__main__ import plugin; plugin()"
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCE)},
    )

    assert scripts["kubectl-mend"] == "modelmend.cli.__main__:plugin"
    assert "Usage: kubectl mend" in found.stdout
    assert " explain " in found.stdout


def test_command_whose_dependencies_are_missing_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['sklearn'] = None; sys.argv = ['modelmend', 'train'];"
        "from modelmend.cli import __main__; __main__.main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SOURCE)},
    )

    assert found.returncode != 0
    assert "modelmend[runtime]" in found.stderr


def test_generated_definitions_are_up_to_date() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "modelmend.api.crd", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SOURCE)},
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_only_shell_imports_kopf_and_only_act_imports_kubernetes() -> None:
    found: dict[str, set[str]] = {"kopf": set(), "kubernetes": set(), "prometheus_api_client": set()}
    for file in sorted((SOURCE / "modelmend").rglob("*.py")):
        room = file.relative_to(SOURCE / "modelmend").parts[0]
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                if (top := name.partition(".")[0]) in found:
                    found[top].add(room)

    assert found == {"kopf": {"shell"}, "kubernetes": {"act"}, "prometheus_api_client": {"observe"}}

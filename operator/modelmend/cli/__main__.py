"""`modelmend`: the operator, the commands of model pods, and tools for people.

Only the module of the command that is called is imported. The operator's image lacks what models need, the runtime's
image lacks what the operator needs, and `--help` waits for neither.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import typer


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command's function stands, what it does, and the extra that brings what it imports."""

    module: str
    summary: str
    extra: str | None = None


COMMANDS: Final = {
    "run": Command("modelmend.cli.run", "Run the operator.", "operator"),
    "crds": Command("modelmend.cli.crds", "Print the CustomResourceDefinitions.", "operator"),
    "graph": Command("modelmend.cli.graph", "Print the stages and their edges as a Mermaid diagram."),
    "replay": Command("modelmend.cli.replay", "Decide recorded worlds again and compare.", "operator"),
    "simulate": Command(
        "modelmend.cli.simulate", "Try a policy on a data set, without a cluster.", "simulate"
    ),
    "backtest": Command(
        "modelmend.cli.backtest", "Replay a policy over the history in a Prometheus.", "backtest"
    ),
    "tune": Command("modelmend.cli.tune", "Which limits to write for a wish, without a cluster."),
    "explain": Command(
        "modelmend.cli.explain", "Why a model is in its stage, and what it waits for.", "operator"
    ),
    "serve": Command("modelmend.runtime.server.command", "Serve one model; what model pods run.", "runtime"),
    "resolve": Command("modelmend.runtime.commands", "Verify an artifact; what resolve Jobs run.", "runtime"),
    "train": Command("modelmend.runtime.commands", "Make a candidate; what retraining Jobs run.", "runtime"),
    "pack": Command("modelmend.runtime.commands", "Make an artifact of a fitted pipeline.", "runtime"),
}


def main() -> None:
    """The entry point."""
    _app(_named())()


def plugin() -> None:
    """The entry point of `kubectl mend`, as which kubectl runs a program named kubectl-mend: the same commands."""
    _app(_named())(prog_name="kubectl mend")


def _named() -> str | None:
    return next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)


def _app(named: str | None) -> typer.Typer:
    app = typer.Typer(
        help="Keeps machine-learning models healthy on Kubernetes.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in COMMANDS.items():
        function = _function(name, command) if name == named else _stub
        app.command(name, help=command.summary if function is _stub else None)(function)
    return app


def _function(name: str, command: Command) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(command.module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("modelmend"):
            raise
        sys.exit(f"modelmend {name} needs {error.name}: install modelmend[{command.extra}]")
    return found


def _stub() -> None:
    """Never called: stands for a command in the list of commands."""


if __name__ == "__main__":
    main()

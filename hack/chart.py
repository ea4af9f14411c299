"""What the chart and manifests/ repeat: `--write` makes it anew, `--check` says whether it is old.

    crds/*.yaml              -> charts/modelmend/templates/crds/    Helm never upgrades a chart's own crds/ folder
    charts/modelmend         -> manifests/modelmend.yaml            for those who install without Helm

Called by `make generate`, and by tests/chart with --check. helm is the local cluster's: built on first use.
"""

import argparse
import difflib
import re
import sys
from pathlib import Path

from localcluster import binaries, commands, errors, settings

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "modelmend"
MANIFEST = ROOT / "manifests" / "modelmend.yaml"
RELEASE = "modelmend"
NAMESPACE = "modelmend-system"
# helm from source does not know its own cluster version; any one that the chart allows will do.
KUBERNETES = "1.35.0"

_METADATA = re.compile(r"^metadata:\n  name: (\S+)\n(?! )", re.MULTILINE)
_KEEP = """metadata:
  name: {name}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    helm.sh/resource-policy: keep
  {{{{- end }}}}
"""


class ChartError(Exception):
    """One sentence for the person who called."""


def crd_template(definition: str, source: str) -> str:
    """The template of a CRD. Raises ChartError where its metadata is not just a name: there is no room for ours."""
    literal = definition.replace("{{", '{{ "{{" }}')
    found = _METADATA.search(literal)
    if found is None:
        raise ChartError(
            f"{source}: metadata must be a name alone, or hack/chart.py has to learn to merge annotations."
        )
    patched = literal[: found.start()] + _KEEP.format(name=found[1]) + literal[found.end() :]
    return f"{{{{- /* Copied from {source} by hack/chart.py. */}}}}\n{{{{- if .Values.crds.enabled }}}}\n{patched}{{{{- end }}}}\n"


def crd_templates(root: Path = ROOT) -> dict[Path, str]:
    """Path and content of every CRD's template."""
    sources = sorted((root / "crds").glob("*.yaml"))
    if not sources:
        raise ChartError("crds/ is empty: run `python -m modelmend.api.crd` first.")
    folder = root / "charts" / "modelmend" / "templates" / "crds"
    return {
        folder / source.name: crd_template(source.read_text(), f"crds/{source.name}") for source in sources
    }


def helm() -> Path:
    """The helm program."""
    return binaries.find(settings.cache_folder(), "helm")


def render(*arguments: str, chart: Path = CHART) -> str:
    """`helm template` of the chart with these arguments."""
    command: list[str | Path] = [
        helm(),
        "template",
        RELEASE,
        chart,
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBERNETES,
    ]
    return commands.run([*command, *arguments], purpose="render the chart")


def manifest() -> str:
    """manifests/modelmend.yaml."""
    return "# The chart with its default values, rendered by hack/chart.py: change the chart.\n" + render(
        "--no-hooks"
    )


def stale(wanted: dict[Path, str]) -> list[str]:
    """A line for each file that is not as wanted, and for each copy of a CRD that is gone."""
    lines = []
    for path, content in wanted.items():
        present = path.read_text() if path.exists() else ""
        if present != content:
            difference = list(
                difflib.unified_diff(present.splitlines(), content.splitlines(), n=0, lineterm="")
            )
            lines.append(f"{path.relative_to(ROOT)} is old: " + " | ".join(difference[2:8]))
    lines += [f"{path.relative_to(ROOT)} has no source in crds/" for path in orphans(wanted)]
    return lines


def orphans(wanted: dict[Path, str]) -> list[Path]:
    """Templates of CRDs that no longer exist."""
    return [path for path in sorted((CHART / "templates" / "crds").glob("*.yaml")) if path not in wanted]


def write() -> None:
    """Makes everything anew. The manifest comes second, since it shows the copied CRDs."""
    copies = crd_templates()
    for path in orphans(copies):
        path.unlink()
    for path, content in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    MANIFEST.write_text(manifest())


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--write", action="store_true", help="make everything anew")
    chosen.add_argument(
        "--check", action="store_true", help="say what is old, and end with code 1 if anything is"
    )
    try:
        if parser.parse_args().write:
            write()
            return 0
        copies = crd_templates()
        lines = stale(copies) or stale({**copies, MANIFEST: manifest()})
    except (ChartError, errors.LocalClusterError) as error:
        sys.exit(str(error))
    for line in lines:
        print(f"{line}: run `make generate`", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

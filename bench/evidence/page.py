"""docs/evidence.md: the tables between two marks; what people wrote around them stays."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
BEGIN = "<!-- Begin of what `make bench-evidence` writes. Do not edit. -->"
END = "<!-- End of what `make bench-evidence` writes. -->"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(value: float) -> str:
    """.05, 1.00, or 0."""
    return "0" if not value else f"{value:.3f}".lstrip("0") if value < 0.1 else f"{value:.2f}"


def write(tables: str) -> None:
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables}\n\n{END}{tail}")

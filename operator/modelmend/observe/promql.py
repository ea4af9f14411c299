"""PromQL that somebody else wrote: read as far as it must be to be filled in and to stand beside others' in one query.

What a tenant writes is never pasted anywhere before it was read as Prometheus reads it: quotes, comments and brackets.
A text whose brackets and quotes close is one expression wherever it stands in brackets of ours, or a mistake that
Prometheus names; it cannot end our brackets and go on with a query of its own. `$name` and the others stand only within
texts in quotes, and are escaped for the quotes that they stand in.

    joined      label_replace(topk(2, (
                one
                )), "modelmend_query", "0", "", "") or label_replace(topk(2, (
                other
                )), "modelmend_query", "1", "", "")

Two series of each are enough to know that they are too many.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

INDEX: Final = "modelmend_query"
"""Label that tells the answers of a joined query apart."""
_VARIABLE: Final = re.compile(r"\$(namespace|name|version)(?![A-Za-z0-9_])")
_CLOSES: Final = {")": "(", "]": "[", "}": "{"}


class Unfit(Exception):
    """It cannot be asked; the text says why, and what to write instead."""


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The query with its variables as they are.

    Raises Unfit.
    """
    parts, open_, place = [], list[str](), 0
    while place < len(text):
        end = _end_of_piece(text, place)
        piece = text[place:end]
        place = end
        if piece[0] in "\"'`":
            piece = _filled(piece, variables)
        elif (found := _VARIABLE.match(text, end - 1)) is not None and piece == "$":
            raise Unfit(
                f'{found[0]} stands outside of quotes: compare a label with it, such as {{model="{found[0]}"}}'
            )
        elif piece in "([{":
            open_.append(piece)
        elif piece in ")]}" and (not open_ or open_.pop() != _CLOSES[piece]):
            raise Unfit(f"its {piece} closes no bracket: correct the query")
        parts.append(piece)
    if open_:
        raise Unfit(f"its {open_[-1]} is never closed: correct the query")
    return "".join(parts)


def joined(texts: Sequence[str]) -> str:
    """One query for all of these, each of them `filled`."""
    return " or ".join(
        f'label_replace(topk(2, (\n{text}\n)), "{INDEX}", "{place}", "", "")'
        for place, text in enumerate(texts)
    )


def _end_of_piece(text: str, begin: int) -> int:
    """Of a text in quotes, a comment, or any other single character."""
    opens = text[begin]
    if opens == "#":
        lines = (found for found in (text.find("\n", begin), text.find("\r", begin)) if found >= 0)
        return min(lines, default=len(text))
    if opens not in "\"'`":
        return begin + 1
    place = begin + 1
    while place < len(text) and (opens == "`" or text[place] not in "\n\r"):
        if text[place] == opens:
            return place + 1
        place += 2 if text[place] == "\\" and opens != "`" else 1
    raise Unfit(f"its text that begins with {text[begin : begin + 20]} is never closed: correct the query")


def _filled(piece: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        wanted = variables[found[1]]
        if piece[0] == "`":
            if "`" in wanted:
                raise Unfit(f"{found[0]} does not fit between backticks: write it in quotes")
            return wanted
        return wanted.replace("\\", "\\\\").replace(piece[0], f"\\{piece[0]}").replace("\n", "\\n")

    return piece[0] + _VARIABLE.sub(value, piece[1:-1]) + piece[-1]

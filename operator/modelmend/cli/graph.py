"""`modelmend graph`: the table of stages, drawn."""

from modelmend.decide import stages


def graph() -> None:
    """Print the stages and their edges as a Mermaid diagram."""
    print("stateDiagram-v2")
    for (begin, end), comment in stages.EDGES.items():
        print(f"    {begin} --> {end}: {comment.replace(':', ',').replace(';', ',')}")

"""`python -m modelmend.runtime.server`: what `modelmend serve` does, without the rest of the command line."""

import typer

from modelmend.runtime.server.command import serve

if __name__ == "__main__":
    typer.run(serve)

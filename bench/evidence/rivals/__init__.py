"""The packages river, nannyml and evidently, each in an environment of its own, on the very streams that our rules
see in the same run.

environment   makes one from its lock (`make lock` writes those), outside of the work tree
asked         hands arrays to a program in it, and takes what it says
by_river, by_nannyml, by_evidently
              those programs; each knows numpy and its package, and nothing of ours
"""

from bench.evidence.rivals.asked import Absent, ask

__all__ = ["Absent", "ask"]

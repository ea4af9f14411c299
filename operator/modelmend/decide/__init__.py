"""Observed in, Plan out: every rule of the product lives here, and nothing else decides.

Pure: no clock, no randomness, no logging, no I/O; `now` is a value. May import api and evidence. The loop
calls `decide.decide`; the simulator and the tests call the same function.

    observed, plan            the two values: facts in, status and actions out
    decision                  the ordered findings, and what is prescribed for the one that wins
    case, memory, situation   facts that findings share; what is noted before; what stands in the way, in words
    commands, resolve, direct, gate, rollout, rollback, healing         findings, by phase of life
    outcomes, reasons         how things begin and end, as changes of the status
    upkeep/                   the world that a status wants: servers, front, jobs, records, history
    judge, terms              everything that is asked of the evidence room
    moving, scores            the same for what is judged once a window: drift, and what starts from the holdout
    meanings                  what a breach of each type means, in words
    stages, conditions, standing, announce, moments                     what people are shown, and when to look again
    invariants                what must hold of every plan
"""

from modelmend.decide.decision import decide

__all__ = ["decide"]

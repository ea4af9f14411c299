"""When to look, at which key, and how many at once.

| file | what |
|---|---|
| queue | one worker per key; duplicates fold; a key that failed comes back later |
| reconcile | observe, decide, write the status, act, and say when to look again |
| pulse | polls Prometheus for the fleet and says whose numbers moved |
| lease | who leads; and the fence that every write asks |
| resync | a LIST of everything now and then, since watches lose deletions |
| engine | all of it, started and ended in order |
"""

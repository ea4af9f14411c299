"""How quickly the operator acts on the real node: `python -m bench.reaction` with PYTHONPATH=operator:hack:.

| file | what |
|---|---|
| breach | from a breach that Prometheus shows to the retraining Job |
| rollout | from the decision to roll back to the candidate's last answer; and a promotion; requests that failed |
| watching | what the API server tells, and when |

Everything is timed by one clock, at the one who sees it: this process is the client, the watcher and who asks
Prometheus.
"""

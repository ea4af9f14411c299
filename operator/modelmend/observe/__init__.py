"""Reads caches and Prometheus into Observed, and judges nothing.

| file | what |
|---|---|
| cluster | what the API server said last, of every kind that matters; filled by watches and by a LIST now and then |
| drift | whether a live object still is what was applied |
| servers, front, jobs, pods | raw objects to the parts of Observed, with one sentence for what is wrong |
| prometheus | a few queries for the whole fleet |
| questions, histograms, sums | what a window has counted, asked once it has ended |
| answers | what they bring, as one value |
| ledgers | what was counted, by rollout; restored from checkpoints, and written back to them |
| gather | all of it as one Observed |

May import api, evidence and decide.observed; `render.child` for the manifest that an object was applied from.
"""

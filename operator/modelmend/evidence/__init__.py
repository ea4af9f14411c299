"""What numbers prove: readings of counters in, verdicts with one sentence each out.

Everything here is arithmetic on counts that can be added over pods and over time. The room reads
nothing, writes nothing, keeps no time and rolls no dice: the same arguments give the same answer, in
the operator, in `modelmend simulate` and in a notebook. Durations come in as numbers of seconds.
It runs where there is neither numpy nor scipy, so it uses `math` alone.

| file | question it answers |
|---|---|
| counts | how many outcomes are new since the last poll, no matter which pods came and went |
| evalue | when an e-value is large enough |
| bounds | between which values does a share lie, however often one looks |
| detector | has a share of bad outcomes risen above its limit |
| accuracy | the verdict on a model's live accuracy |
| paired | is the candidate worse, or not worse, on requests that both models answered |
| split | is the candidate worse on traffic that was divided between the two |
| guards | must a candidate be stopped for errors or slowness, and is it to blame |
| offline | does a candidate pass the gate on the holdout |
| ledger | all of the above for one rollout, from poll to poll |
| verdict | the three verdicts, and the judgement that carries one |

The guarantees hold under one condition, said once: at every counted outcome, the probability of a bad
one given the past is within the limit (or: the two models are as the null hypothesis says). Labels that
come in correlated bunches break it; so one labelled row a request is counted as evidence.
"""

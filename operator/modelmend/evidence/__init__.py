"""What numbers prove: readings of counters in, verdicts with one sentence each out.

Everything here is arithmetic on counts that can be added over pods and over time. The room reads
nothing, writes nothing, keeps no time and rolls no dice: the same arguments give the same answer, in
the operator, in `modelmend simulate` and in a notebook. Durations come in as numbers of seconds.
It runs where there is neither numpy nor scipy, so it uses `math` alone.

| file | question it answers |
|---|---|
| verdict | the three verdicts, and the judgement that carries one |
| quality | one verdict and one sentence for any measure of quality |
| counts | how many outcomes are new since the last poll, no matter which pods came and went |
| confusion | the same by predicted and actual class |
| evalue | when an e-value is large enough |
| bounds | between which values does a share lie, however often one looks |
| detector | has a share of bad outcomes risen above its limit |
| voting | from rows to the detector: a vote a row, a poll or a block |
| bursts | do errors come in bursts, so that block mode should be on |
| family | the verdict on a model's live accuracy, precision, recall, f1 or balanced accuracy |
| tables | labels by class among the counters, and no more of them than signals ask for |
| regression | the same for MAE and RMSE |
| query | the verdict on any number from PromQL |
| psi, chisquare | how far has a histogram moved, and how far would it by chance |
| drift | the verdict on moved inputs or predictions |
| watch | which windows it and the next two look at, and what the last one said or counted |
| estimated | accuracy without labels, and whether labels contradict it |
| labelshift | which classes have become more frequent, without labels |
| combine | any or all of several signals |
| paired | is the candidate worse, or not worse, on requests that both models answered |
| pairblocks | the same where errors come in bursts |
| split | is the candidate worse on traffic that was divided between the two |
| margin | may it be promoted on such traffic |
| search | how many more are needed |
| guards | must a candidate be stopped for errors or slowness, and is it to blame |
| offline | does a candidate pass the gate on the holdout |
| slices | is it worse on a part of the holdout that somebody named |
| ledger | what is kept of one rollout from poll to poll |

The guarantees hold under one condition, said once: at every counted outcome, the probability of a bad one given the
past is within the limit (or: the two models are as the null hypothesis says). Labels that come in correlated
bunches break it; so one labelled row a request is counted as evidence, and where errors come in bursts that outlast
a request, `voting` and `pairblocks` let whole hours or days vote.
"""

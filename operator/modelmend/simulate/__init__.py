"""A policy tried on a data set before it is trusted: the operator's own rules, a real trainer, no cluster.

What is real: `decide`, `evidence`, the ledgers of `observe`, and of `runtime` the trainer, the packer, the prediction
log and every model. What is simulated: time, the cluster's children, who answers which request, when labels come.

    policy, table, first, replayed     what comes in: the ModelDeployment, the data, the first model, the replayed rows
    models, traffic, journal, jobs     what model pods and Jobs do
    world, clock                       what a cluster does, and time
    timeline, control, outcome         what came of it, beside a frozen model and one refitted every week
    report, picture, view              how people see it
    simulation                         all of it, in order; called by the command line

No room of the operator imports this one, and it imports neither kopf nor Kubernetes.
"""

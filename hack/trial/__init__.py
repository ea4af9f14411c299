"""ModelDeployments on the local cluster: what the tests on the node and the benchmarks share.

| file | what |
|---|---|
| cluster | kubectl and addresses of the cluster that is up; a room in it: the operator, a namespace, artifacts |
| deployment | one ModelDeployment with quick times |
| models | small models, and a world that moves |

Needs PYTHONPATH=operator:hack.
"""

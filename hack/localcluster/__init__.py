"""A real Kubernetes on one machine, for the demo, the end-to-end tests and the API tests.

Modelmend's promises are about what happens inside a cluster: a rollout that is interrupted, a field that somebody
else owns, a pod that dies. A mock would only repeat what we believe about Kubernetes, so we run the real one.

Two levels, both by `python3 hack/localcluster`:

    control-plane   etcd and kube-apiserver alone: no root, about five seconds. What the API tests stand on.
    up              a whole node as root, without a container engine; or `kind` where Docker answers.

Rooms, each importing only those above it:

    errors settings progress lock commands   words that everybody needs
    processes kernel pki                     what is started, and what it leaves in the kernel
    packages gobuild binaries                where programs come from (built once, cached by version)
    kubernetes controlplane                  the API alone
    archive baseimage containerd             images, and what runs them
    addons node images                       what a platform offers, the node, and our two images
    cluster kind command                     the order of things, and the command line

Only the standard library is used, because this runs before the project's environment exists.
"""

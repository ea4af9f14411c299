"""Each child object as a manifest, one file per kind.

Pure: no clock, no randomness, no I/O, so that the same arguments give the same bytes. What comes from outside
(the key of a Secret, an instant, an image) is passed in. May import api and contract. `act` calls it.

    deployment.manifest(owner, Server)          the pods of one version
    service.of_version / service.stable         the three arms of one version; the name that clients know
    route.manifest(owner, backends, inputs)     who gets how much of the traffic
    job.resolve / job.retrain                   one Job, one number, one result
    secret.manifest(owner, key)                 the key that signs prediction ids
    modelversion.manifest(owner, name, spec)    the record of one artifact
"""

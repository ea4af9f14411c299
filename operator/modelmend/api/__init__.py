"""ModelDeployment and ModelVersion as Python types: the only source of the CRDs.

What stands here is what `kubectl explain` prints. A field that does not work yet is not here. May import
contract; nothing else of Modelmend.
"""

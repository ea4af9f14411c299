"""`spec` of a ModelDeployment: what a person asks for.

Attribute docstrings become `kubectl explain` texts and the API reference. Rules that span fields stand in the
model they guard (`RULES`), in CEL and in Python side by side.

What is one of several (`log` or `dataset`, `minimum` or `maxDrop`) never has a default in the stored object:
a default that nobody applied is owned by nobody, would stay when a person later chooses the other one, and the
API server would refuse the pair. For the same reason `signals` is atomic: its default must go as a whole.
"""

from modelmend.api.spec.deployment import History, ModelDeploymentSpec
from modelmend.api.spec.evaluation import Evaluation, InconclusiveSlice, Requirement, Slice
from modelmend.api.spec.mapped import MappedClasses, MappedOutcomes, MappedRequests, Metrics
from modelmend.api.spec.model import Model, SecretRef, Storage
from modelmend.api.spec.retraining import (
    Approval,
    Budget,
    Data,
    Dataset,
    LogData,
    Pipeline,
    Retraining,
    Trainer,
    When,
)
from modelmend.api.spec.rollout import Analysis, Guards, Inconclusive, Rollout, Shadow, Step
from modelmend.api.spec.serving import Gateway, ParentRef, Resources, Serving
from modelmend.api.spec.signals import (
    OF_ONE_CLASS,
    Block,
    Monitoring,
    OnMissing,
    Signal,
    SignalAction,
    SignalEvidence,
    SignalType,
)
from modelmend.api.spec.template import ServerTemplate, Template, Variable

__all__ = [
    "OF_ONE_CLASS",
    "Analysis",
    "Approval",
    "Block",
    "Budget",
    "Data",
    "Dataset",
    "Evaluation",
    "Gateway",
    "Guards",
    "History",
    "Inconclusive",
    "InconclusiveSlice",
    "LogData",
    "MappedClasses",
    "MappedOutcomes",
    "MappedRequests",
    "Metrics",
    "Model",
    "ModelDeploymentSpec",
    "Monitoring",
    "OnMissing",
    "ParentRef",
    "Pipeline",
    "Requirement",
    "Resources",
    "Retraining",
    "Rollout",
    "SecretRef",
    "ServerTemplate",
    "Serving",
    "Shadow",
    "Signal",
    "SignalAction",
    "SignalEvidence",
    "SignalType",
    "Slice",
    "Step",
    "Storage",
    "Template",
    "Trainer",
    "Variable",
    "When",
]

#!/bin/sh
# MLServer takes a model from its environment where there is no model-settings.json.
set -eu
export MLSERVER_MODEL_NAME="$MODELMEND_MODEL" MLSERVER_MODEL_VERSION="$MODELMEND_VERSION"
export MLSERVER_MODEL_URI="$MODELMEND_PATH/model.joblib" MLSERVER_MODEL_IMPLEMENTATION=server.Labelled
# One process, as one container is one process to Prometheus.
export MLSERVER_PARALLEL_WORKERS=0
exec mlserver start /app

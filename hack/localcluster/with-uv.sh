#!/bin/sh
# Runs uv during an image build and leaves nothing of it in the layer: from the PATH where the builder binds it in
# (hack/localcluster/images.py), else borrowed from the package index for this one command.
set -eu
export UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
# Bytecode is trusted without a look at its source: nobody edits an image, and each import saves a stat.
export UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH
command -v uv > /dev/null && exec uv "$@"
python3 -m venv /tmp/borrowed
/tmp/borrowed/bin/pip install --quiet --no-cache-dir --disable-pip-version-check 'uv>=0.8,<1'
/tmp/borrowed/bin/uv "$@"
rm -rf /tmp/borrowed

#!/usr/bin/env bash
# Resolves the dependencies of pyproject.toml into locks/, with hashes and without any index address,
# so that a lock installs from whichever mirror a site uses. Called by `make lock`.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # hack/setup.sh links uv there when the system has none.
lock() {
  local out=$1; shift
  uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o "locks/$out.txt"
  echo "locks/$out.txt: $(grep -c '==' "locks/$out.txt") packages"
}
lock operator --extra operator
# The image that people run reads every scheme that the schema accepts.
lock runtime --extra runtime --extra s3 --extra gcs --extra azure
# Servers that are not ours (tests/foreign): a set of their own each, which no image of ours holds.
for folder in tests/foreign/*/; do
  uv pip compile "$folder/requirements.in" --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o "$folder/requirements.txt"
done
# One superset for working on the project: every room, the demo, the tests.
lock dev --extra operator --extra runtime --extra s3 --extra gcs --extra azure --extra demo --extra dev
# Packages that `make bench-evidence` compares with, each in an environment of its own.
for rival in river nannyml evidently; do
  uv pip compile "bench/evidence/rivals/$rival.in" --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o "bench/evidence/rivals/$rival.txt"
done

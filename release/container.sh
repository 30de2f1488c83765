#!/bin/sh
# The steps of the Dockerfile, so that they can be run and tested where no container engine is.
#   container.sh build SOURCE PREFIX   a new environment at PREFIX with Relook, `serve` and `ask`
#   container.sh healthy PORT          exits 0 when the server there answers
set -eu
case "${1:-}" in
  build)
    source=$2 prefix=$3
    "${PYTHON:-python3}" -m venv "$prefix"
    "$prefix/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
      -c "$source/constraints.txt" "$source[serve,ask]"
    ;;
  healthy)
    exec python3 -c '
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/api/v1/health", timeout=5).read()
' "$2"
    ;;
  *)
    echo "usage: container.sh build SOURCE PREFIX | healthy PORT" >&2
    exit 2
    ;;
esac

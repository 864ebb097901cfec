#!/usr/bin/env bash
# What an image needs, from a plain Debian 12 on: used by lektrack.def (%post) and by the Dockerfile.
# Lektrack lies in /opt/lektrack; a Detectron2 wheel beside this script is taken in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates python3 python3-venv fonts-dejavu-core >/dev/null

wheel=$(find apptainer -maxdepth 1 -name 'detectron2-*.whl' | head -1)
options=()
[[ -n $wheel ]] && options+=(--detectron2 "$wheel")
LEKTRACK_WITH_GPU=1 bash setup.sh install "${options[@]}"
ln -sf "$PWD/.venv/bin/lektrack" /usr/local/bin/lektrack

# Nothing is written into the image later: bytecode and compiled kernels are made now.
.venv/bin/python -m compileall -q .venv backend gui segannot board || true # some packages bring files for other Pythons
rm -rf /var/lib/apt/lists/* "${HOME:-/root}/.cache"

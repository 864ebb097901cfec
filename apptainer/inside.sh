#!/usr/bin/env bash
# Runs in the container: the first start makes settings and the sample project, every start the web app.
# Folders are bound by start.sh: /lektrack/data (project), /lektrack/state (settings, jobs, token), /lektrack/cache
# (compiled kernels, for every command: the image cannot be written); videos where they lie.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for folder in data state cache; do
  [[ -w /lektrack/$folder ]] || {
    echo "lektrack: error: /lektrack/$folder must be bound to a folder that this user can write" >&2
    exit 2
  }
done

export HOME=${HOME:-/lektrack/cache} # a user whom the image does not know has none
python=.venv/bin/python
"$python" -m backend.admin init --project /lektrack/data "$@"
[[ -d /lektrack/data/videos ]] || "$python" -m backend.admin sample
exec "$python" -m gui

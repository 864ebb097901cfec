#!/usr/bin/env bash
# Runs in the container: the first start makes settings and the sample project, every start the web app.
# Folders are bound by start.sh: /lektrack/data (project), /lektrack/state (settings, jobs, token); videos where they lie.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export LEKTRACK_STATE=/lektrack/state
export XDG_CACHE_HOME=/lektrack/data/.cache/home MPLCONFIGDIR=/lektrack/data/.cache/matplotlib
export PYTHONDONTWRITEBYTECODE=1
[[ -w /lektrack/data && -w /lektrack/state ]] || {
  echo "lektrack: error: /lektrack/data and /lektrack/state must be bound to folders that this user can write" >&2
  exit 2
}
mkdir -p "$XDG_CACHE_HOME" "$MPLCONFIGDIR"

python=.venv/bin/python
"$python" -m backend.admin init --project /lektrack/data "$@"
[[ -d /lektrack/data/videos ]] || "$python" -m backend.admin sample
exec "$python" -m gui

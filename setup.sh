#!/usr/bin/env bash
# Sets Lektrack up and runs it. No root, no manual edits; everything goes into .venv/ beside this file.
set -euo pipefail
from=$PWD # what is typed is meant from there
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
bash setup.sh COMMAND [OPTIONS]

  start         set up what is missing, make the sample project on the first start, start the web app
                (further arguments, --host and --port, go to the app)
  test          set up what is missing and run the tests, one worker for each core (further arguments go to
                pytest; -n 0 runs them in one process)
  demo          run the pipeline on the sample without the browser and say where the results are
  install       only set up what is missing; .venv/bin/lektrack then runs every script, from any folder
  weights fetch NAME | add FILE...
                bring start weights into the project, from the network or from files
  lint          check the code's style and the house rules
  browser       install Debian's Chromium for the browser tests (the only step that needs root)
  test-browser  run the browser tests
  wheels DIR    download every package into DIR, for a machine without a network
  lock          compile requirements*.in into requirements*.txt (for developers)

  --wheels DIR      install from the wheel folder DIR, without a network
  --sam2            also install what SegAnnot's SAM 2 engine needs
  --detectron2 X    also install Detectron2 from a wheel or a source folder that you have
  --python PROGRAM  use this Python (3.11 or 3.12)
TEXT
}

absolute() { case $1 in /*) echo "$1" ;; *) echo "$from/$1" ;; esac; }
die() { echo "setup.sh: error: $*" >&2; exit 2; }
say() { echo "setup.sh: $*" >&2; }

wheels='' detectron2='' sam2='' python="${LEKTRACK_PYTHON:-}" command='' rest=()
while (($#)); do
  case $1 in
    --wheels) wheels=${2:?--wheels needs a folder}; shift ;;
    --sam2) sam2=yes ;;
    --detectron2) detectron2=${2:?--detectron2 needs a wheel or a folder}; shift ;;
    --python) python=${2:?--python needs a program}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) if [[ -z $command ]]; then command=$1; else rest+=("$1"); fi ;;
  esac
  shift
done
[[ -z ${LEKTRACK_STATE:-} ]] || LEKTRACK_STATE=$(absolute "$LEKTRACK_STATE")
[[ -z $wheels ]] || wheels=$(absolute "$wheels")
[[ -z $detectron2 ]] || detectron2=$(absolute "$detectron2")
[[ -z $wheels || -d $wheels ]] || die "--wheels $wheels: no such folder"
[[ -z $detectron2 || -e $detectron2 ]] || die "--detectron2 $detectron2: no such wheel or folder"

VENV=${LEKTRACK_VENV:-.venv}
NEED_GB=8 # packages unpacked 5 GB, one more while pip works, and a reserve

usable_python() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1; }

find_python() {
  if [[ -n $python ]]; then
    usable_python "$python" || die "$python is not Python 3.11 or 3.12 ($("$python" --version 2>&1 | head -1 || true))"
    return
  fi
  for python in python3 python3.12 python3.11; do usable_python "$python" && return; done
  die "Python 3.11 or 3.12 is needed, found $(python3 --version 2>&1 | head -1); install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it with --python"
}

free_gb() { df -Pk . | awk 'NR == 2 { print int($4 / 1024 / 1024) }'; }

make_venv() {
  find_python
  (($(free_gb) >= NEED_GB)) || die "$PWD: $(free_gb) GB free, $NEED_GB GB are needed for the packages"
  say "making $VENV with $("$python" --version)"
  "$python" -c 'import ensurepip' 2>/dev/null || die "$python has no venv module (Debian, Ubuntu: apt-get install python3-venv)"
  rm -rf "$VENV" # a half-made one, or one of another Python
  "$python" -m venv "$VENV"
}

# True if the environment is there and is of the Python that was asked for, if one was.
usable_venv() {
  [[ -f $VENV/pyvenv.cfg ]] && usable_python "$VENV/bin/python" || return 1
  [[ -z $python ]] && return
  find_python
  [[ $("$python" -V) == $("$VENV/bin/python" -V) ]]
}

# Installs one list of packages unless exactly this list is there already. The stamp is written last.
install_list() {
  local list=$1 stamp="$VENV/installed-$1" sum source=()
  sum=$(sha256sum <"$list")
  [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return
  [[ -n $wheels ]] && source=(--no-index --find-links "$wheels")
  say "installing $(grep -c '==' "$list") packages of $list${wheels:+ from $wheels}; this can take minutes"
  # --no-deps: the lists are whole, without the opencv-python that trackeval asks for beside the headless one.
  "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps "${source[@]}" -r "$list" ||
    die "pip could not install $list (see above); without a network use --wheels DIR"
  echo "$sum" >"$stamp"
}

has_gpu() { [[ -n ${LEKTRACK_WITH_GPU:-} || -e /proc/driver/nvidia/version ]] || command -v nvidia-smi >/dev/null; }

# The command lektrack: python -m backend, from any folder; -P: nothing there is taken for a module of ours.
write_command() {
  local file="$VENV/bin/lektrack"
  {
    printf '#!/usr/bin/env bash\n# written by setup.sh\n'
    # shellcheck disable=SC2016 # expanded when the command runs
    printf 'PYTHONPATH=%q${PYTHONPATH:+:$PYTHONPATH} exec %q -P -m backend "$@"\n' \
      "$PWD" "$(realpath -s "$VENV/bin/python")"
  } >"$file.new"
  chmod 755 "$file.new"
  mv "$file.new" "$file"
}

install() {
  exec 9>.setup.lock
  flock -n 9 || { say "another setup.sh is installing; waiting for it"; flock 9; }
  if ! usable_venv; then make_venv; fi
  install_list requirements.txt
  if has_gpu; then install_list requirements-gpu.txt; fi
  if [[ -n $sam2 ]]; then install_list requirements-sam2.txt; fi
  if [[ -n $detectron2 ]]; then
    say "installing Detectron2 from $detectron2"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation "$detectron2" ||
      die "pip could not install $detectron2"
  fi
  write_command
  exec 9>&-
}

install_tests() {
  install
  install_list requirements-test.txt
}

# One worker of the tests for each core that may be used; more than eight would need more than 16 GB.
workers() { local cores; cores=$(nproc); echo $((cores < 8 ? cores : 8)); }

sample() {
  local project=$1
  [[ -f $project/sample_truth/sample.json ]] || say "making the sample project; this takes one to two minutes, longer on a busy machine"
  "$VENV/bin/python" -m backend.simulate --sample --out "$project"
}

project_folder() { "$VENV/bin/python" -c 'from backend.project.settings import load_settings; print(load_settings().project_folder)'; }

install_browser() {
  command -v chromium >/dev/null && return
  ((EUID == 0)) || die "Chromium is missing and installing it needs root: sudo bash setup.sh browser"
  say "installing Debian's chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
}

download_wheels() {
  local folder=${1:-}
  [[ -n $folder ]] || die "wheels needs a folder: bash setup.sh wheels DIR"
  folder=$(absolute "$folder")
  install
  "$VENV/bin/python" -m pip download --disable-pip-version-check --quiet --no-deps -d "$folder" \
    -r requirements.txt -r requirements-test.txt -r requirements-gpu.txt -r requirements-sam2.txt
  say "every package is in $folder; on the other machine: bash setup.sh start --wheels $folder"
}

# The true tracks of a clip of the sample, as a run of tracking: what a faultless tracker would give.
truth_tracks() {
  "$VENV/bin/python" -c 'import sys; from pathlib import Path
from backend.lek.truth_tracks import write_truth_tracks
write_truth_tracks(*map(Path, sys.argv[1:]))' "$1/sample_truth/$2" "$1/track_output/$2/ground-truth"
}

# Labelled pictures of the sample become a training set: export, COCO JSON, report. True tracks become statistics.
demo() {
  install
  local project video frames pictures=() masks=()
  project=$(project_folder)
  sample "$project"
  for video in lek-north lek-south; do
    frames=$(cd "$project/segannot/$video" && printf '%s,' [0-9]*.png | sed 's/\.png//g; s/,$//')
    "$VENV/bin/python" -m backend.export_frames --src "$video" --frames "$frames"
    pictures+=("$project/exported_frames/$video") masks+=("$project/segannot/$video")
  done
  if [[ ! -f $project/COCO_jsons/demo_train.json ]]; then
    "$VENV/bin/python" -m backend.mask2coco --img-folder-path "${pictures[@]}" --mask-folder-paths "${masks[@]}" \
      --json-path-train "$project/COCO_jsons/demo_train.json" --json-path-val "$project/COCO_jsons/demo_val.json" \
      --train-ratio 0.8
  fi
  if [[ ! -f $project/statistics/demo/report.html ]]; then
    for video in lek-north lek-south; do truth_tracks "$project" "$video"; done
    "$VENV/bin/python" -m backend.zone_stats --tracks "$project"/track_output/lek-{north,south}/ground-truth \
      --out "$project/statistics/demo" --bin-s 2
  fi
  say "results are in $project: sample_videos, segannot, exported_frames, COCO_jsons, track_output, statistics"
  say "training takes longer (.venv/bin/lektrack train --help), so the statistics are of the true tracks of the sample"
  say "open $project/COCO_jsons/demo_report.html and $project/statistics/demo/report.html in a browser"
}

# From where it was typed, so that files may be named as they lie there.
weights() {
  local lektrack
  lektrack=$(realpath -s "$VENV/bin/lektrack")
  cd "$from"
  exec "$lektrack" admin weights "$@"
}

lint() {
  install_tests
  "$VENV/bin/ruff" check .
  "$VENV/bin/ruff" format --check --quiet .
  "$VENV/bin/python" .ci/house_rules.py
  "$VENV/bin/shellcheck" setup.sh .ci/run apptainer/*.sh
}

lock() {
  command -v uv >/dev/null || die "lock needs uv (pip install uv)"
  for list in requirements requirements-test requirements-gpu requirements-sam2; do
    uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --no-annotate --no-header \
      --no-emit-index-url --no-emit-find-links --no-emit-package opencv-python "$list.in" -o "$list.txt"
  done
}

case $command in
  start) install; sample "$(project_folder)"; exec "$VENV/bin/python" -m gui "${rest[@]}" ;;
  test) install_tests; exec "$VENV/bin/python" -m pytest -n "$(workers)" --dist loadgroup "${rest[@]}" ;;
  test-browser) install_tests; exec "$VENV/bin/python" -m pytest -m browser "${rest[@]}" ;;
  demo) demo ;;
  install) install ;;
  weights) install; weights "${rest[@]}" ;;
  lint) lint ;;
  browser) install_browser ;;
  wheels) download_wheels "${rest[@]}" ;;
  lock) lock ;;
  '') usage; exit 2 ;;
  *) die "unknown command '$command'; bash setup.sh --help lists them" ;;
esac

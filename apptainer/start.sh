#!/usr/bin/env bash
# Starts Lektrack in its container and says where it is.
set -euo pipefail

usage() {
  cat <<'TEXT'
bash start.sh --data FOLDER [OPTIONS]

  --data FOLDER        the project: everything Lektrack makes (made if it is not there)
  --state FOLDER       settings, job table, token; on a local disk (by default FOLDER-state beside the project)
  --videos FOLDER      where videos lie; may be given several times; bound read-only
  --backup FOLDER      where backups go, on another disk; bound under the same path
  --host ADDRESS       127.0.0.1 (default): this machine only; 0.0.0.0: the whole network
  --port NUMBER        port of the web app (8501); services take the range of the settings (8880 to 8900)
  --image FILE         the image (lektrack.sif beside this script's folder; with docker its name, lektrack)
  --name NAME          name of the instance (lektrack)
  --engine ENGINE      apptainer (default), singularity, docker or podman
  --gpu yes|no         hand the NVIDIA GPUs in (default: if the host has a driver)
  --dry-run            print the command and do nothing

Stop it with stop.sh; jobs that are at work then go on after the next start.
TEXT
}

die() { echo "start.sh: error: $*" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data='' state='' host=127.0.0.1 port=8501 image='' name=lektrack engine=apptainer gpu='' dry=0 videos=() backup=''
while (($#)); do
  case $1 in
    --data) data=${2:?--data needs a folder}; shift ;;
    --state) state=${2:?--state needs a folder}; shift ;;
    --videos) videos+=("${2:?--videos needs a folder}"); shift ;;
    --backup) backup=${2:?--backup needs a folder}; shift ;;
    --host) host=${2:?--host needs an address}; shift ;;
    --port) port=${2:?--port needs a number}; shift ;;
    --image) image=${2:?--image needs a file or name}; shift ;;
    --name) name=${2:?--name needs a name}; shift ;;
    --engine) engine=${2:?--engine needs a name}; shift ;;
    --gpu) gpu=${2:?--gpu needs yes or no}; shift ;;
    --dry-run) dry=1 ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown option '$1'; --help lists them" ;;
  esac
  shift
done

[[ -n $data ]] || die "--data is missing: the folder where everything that Lektrack makes is kept"
if ! [[ $port =~ ^[0-9]{1,5}$ ]] || ((10#$port < 1 || 10#$port > 65535)); then die "--port $port is not allowed: use 1 to 65535"; fi
port=$((10#$port))
((port < 8880 || port > 8900)) || die "--port $port is not allowed: 8880 to 8900 are for the services"
byte='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])' hextets='([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}'
[[ $host =~ ^($byte(\.$byte){3}|$hextets)$ ]] || die "--host $host is not allowed: give an address of this machine, such as 127.0.0.1 or 0.0.0.0"
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || die "--name $name is not allowed: use letters, digits, '.', '_' and '-'"
[[ $engine =~ ^(apptainer|singularity|docker|podman)$ ]] || die "--engine $engine is not known: apptainer, singularity, docker, podman"
[[ $gpu =~ ^(|yes|no)$ ]] || die "--gpu $gpu is not allowed: yes or no"
data=$(realpath -m -- "$data")
state=$(realpath -m -- "${state:-$data-state}")
bindable() { [[ $1 != *[:,]* ]] || die "$1: a folder that is bound must not have ':' or ',' in its name"; }
bindable "$data"
bindable "$state"
if [[ $data/ == "$state"/* || $state/ == "$data"/* ]]; then die "--data $data and --state $state must lie beside each other"; fi
binds=("$data:/lektrack/data" "$state:/lektrack/state" "$state/cache:/lektrack/cache") inner=(--port "$port")
for folder in "${videos[@]}"; do
  folder=$(realpath -m -- "$folder")
  bindable "$folder"
  [[ -d $folder ]] || die "--videos $folder: no such folder"
  binds+=("$folder:$folder:ro")
  inner+=(--videos "$folder")
done
if [[ -n $backup ]]; then
  backup=$(realpath -m -- "$backup")
  bindable "$backup"
  [[ -d $backup ]] || die "--backup $backup: no such folder"
  binds+=("$backup:$backup")
fi
if [[ -z $gpu ]]; then
  gpu=no
  if [[ -e /proc/driver/nvidia/version ]] || command -v nvidia-smi >/dev/null; then gpu=yes; fi
fi

in_address=$host
[[ $host != *:* ]] || in_address="[$host]"
case $engine in
  apptainer | singularity)
    image=${image:-$here/../lektrack.sif}
    command=("$engine" instance start --no-home --cleanenv)
    [[ $gpu == yes ]] && command+=(--nv)
    for bind in "${binds[@]}"; do command+=(--bind "$bind"); done
    command+=("$image" "$name" --host "$host" "${inner[@]}")
    [[ -e $image ]] || ((dry)) || die "$image: no such image; build it: apptainer build lektrack.sif apptainer/lektrack.def"
    ;;
  docker | podman)
    # Inside, the app listens on all addresses of the container; the engine lets in only what --host says.
    command=("$engine" run --detach --init --restart unless-stopped --shm-size 2g --name "$name")
    command+=(--user "$(id -u):$(id -g)" --publish "$in_address:$port:$port" --publish "$in_address:8880-8900:8880-8900")
    [[ $engine == podman ]] && command+=(--userns keep-id)
    if [[ $gpu == yes ]]; then
      [[ $engine == docker ]] && command+=(--gpus all --env "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video")
      [[ $engine == podman ]] && command+=(--device nvidia.com/gpu=all)
    fi
    for bind in "${binds[@]}"; do command+=(--volume "$bind"); done
    command+=("${image:-lektrack}" --host 0.0.0.0 "${inner[@]}")
    ;;
esac

if ((dry)); then
  printf '%q ' "${command[@]}"
  echo
  exit 0
fi
command -v "$engine" >/dev/null || die "$engine is not installed"

alive() { # and has not ended meanwhile, to be started again by the engine
  case $engine in
    apptainer | singularity) "$engine" instance list 2>/dev/null | awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' ;;
    *) [[ $("$engine" inspect --format '{{.State.Running}} {{.RestartCount}}' "$name" 2>/dev/null) == "true "$1 ]] ;;
  esac
}

restarts='*'
if alive "$restarts"; then
  echo "start.sh: $name runs already; options change with stop.sh and a new start" >&2
else
  restarts=0
  mkdir -p "$data" "$state/cache"
  chmod 700 "$state"
  rm -f "$state/app.json" # of a start that was killed
  "${command[@]}"
fi

look="look at its output: apptainer instance list --logs, or $engine logs $name"
# The first start makes the sample; the app says where it listens in app.json.
for ((second = 0; second < 600; second++)); do
  if [[ -s $state/app.json && -s $state/token ]]; then
    shown=$in_address
    [[ $host == 0.0.0.0 || $host == :: ]] && shown=$(hostname)
    if [[ -t 1 ]]; then
      echo "Lektrack: http://$shown:$port/?token=$(<"$state/token")"
    else
      echo "Lektrack: http://$shown:$port/ (the token is in $state/token)"
    fi
    exit 0
  fi
  alive "$restarts" || die "Lektrack has ended; $look"
  sleep 1
done
die "Lektrack did not come up within 10 minutes; $look"

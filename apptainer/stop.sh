#!/usr/bin/env bash
# Stops Lektrack's container. Jobs that are at work are cut off and go on after the next start.
set -euo pipefail

die() { echo "stop.sh: error: $*" >&2; exit 2; }

name=lektrack engine=apptainer dry=0
while (($#)); do
  case $1 in
    --name) name=${2:?--name needs a name}; shift ;;
    --engine) engine=${2:?--engine needs a name}; shift ;;
    --dry-run) dry=1 ;;
    -h | --help)
      echo "bash stop.sh [--name NAME] [--engine apptainer|singularity|docker|podman] [--dry-run]"
      exit 0
      ;;
    *) die "unknown option '$1'; --help lists them" ;;
  esac
  shift
done
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || die "--name $name is not allowed: use letters, digits, '.', '_' and '-'"
case $engine in
  apptainer | singularity) commands=("$engine instance stop --timeout 30 $name") ;;
  docker | podman) commands=("$engine stop --time 30 $name" "$engine rm $name") ;;
  *) die "--engine $engine is not known: apptainer, singularity, docker, podman" ;;
esac
for command in "${commands[@]}"; do
  if ((dry)); then echo "$command"; else
    read -ra words <<<"$command"
    "${words[@]}"
  fi
done

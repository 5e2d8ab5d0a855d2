#!/usr/bin/env bash
# Holds the working tree's benchmarks against those of another revision: both
# run in turn, so that what else the machine does falls on both, and benchstat
# says what differs.
#
#   bench/compare.sh [REVISION]     default: main, or what is committed where this is main
#
# COUNT (6) runs of each, BENCH (Decode|Answer|Scrape/connectors=1000) which.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
base=${1:-$([ "$(git branch --show-current)" = main ] && echo HEAD || echo main)}
count=${COUNT:-6} bench=${BENCH:-Decode|Answer|Scrape/connectors=1000}
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

packages=(./connect/rest ./collector/... ./bench)
for side in base change; do
  [ "$side" = base ] && tree=$work/base || tree=$PWD
  for package in "${packages[@]}"; do
    (cd "$tree" && go test -c -o "$work/$side-$(basename "$package").test" "$package")
  done
done
for run in $(seq "$count"); do
  echo "run $run of $count" >&2
  for package in "${packages[@]}"; do
    for side in base change; do
      (cd "$package" && "$work/$side-$(basename "$package").test" -test.run '^$' -test.bench "$bench" -test.benchmem -test.benchtime "${BENCHTIME:-0.5s}") >>"$work/$side.txt"
    done
  done
done
go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da "base=$work/base.txt" "change=$work/change.txt"

#!/usr/bin/env bash
# The suite on real parts, from a bare machine with Go: installs what is missing
# (apt), builds the tools on a miss, runs the tests and sums up.
#
#   e2e/run.sh [go test flags]      for example: e2e/run.sh -run TestScenario
#
# Downloads and tools are kept in ${XDG_CACHE_HOME:-~/.cache}/kafka-connect-exporter;
# configurations, data, logs and the measured tables of the last run are in .e2e.
set -euo pipefail
cd "$(dirname "$0")"
start=$SECONDS

missing=()
command -v java >/dev/null && command -v keytool >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v chromium >/dev/null || missing+=(chromium fonts-dejavu-core)
command -v buildah >/dev/null || missing+=(buildah)
command -v npm >/dev/null || missing+=(nodejs npm)
for program in curl jq openssl; do # The runbooks' own.
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# As releases are built: so the product is compiled once, whichever test builds it.
export CGO_ENABLED=0 GOFLAGS="-trimpath ${GOFLAGS:-}"

echo "preparing tools"
../tools/build.sh prometheus alertmanager otelcol toxiproxy helm kustomize kubeconform \
  kubernetes etcd prometheus-operator goreleaser >/dev/null
rm -rf ../.e2e
mkdir ../.e2e
output=$(mktemp)
trap 'rm -f "$output" "$output".part' EXIT
status=0
twice=()
flags=("$@")

# suite DIRECTORY TIMEOUT PARALLEL PACKAGES... runs tests. What fails runs once more,
# alone: others' parts may have taken its processors. What fails again fails the
# suite; the summary names what needed a second run.
suite() {
  local directory=$1 timeout=$2 parallel=$3 part=$output.part tests packages
  shift 3
  if (cd "$directory" && go test -count=1 -v -timeout "$timeout" -p "$parallel" "${flags[@]}" "$@") 2>&1 | tee "$part"; then
    cat "$part" >>"$output"
    return
  fi
  cat "$part" >>"$output"
  tests=$(sed -n 's/^--- FAIL: \(Test[A-Za-z0-9_]*\) .*/\1/p' "$part" | sort -u | paste -sd '|')
  mapfile -t packages < <(sed -n 's/^FAIL\t\([^[:space:]]*\)\t.*/\1/p' "$part" | sort -u)
  if [ -z "$tests" ] || grep -qE '^panic: |\[(build|setup) failed\]' "$part"; then
    status=1
    return
  fi
  printf '\n== once more, alone: %s\n' "$tests"
  (cd "$directory" && go test -count=1 -v -timeout "$timeout" -p 1 "${flags[@]}" -run "^($tests)\$" "${packages[@]}") 2>&1 | tee "$part" || status=1
  cat "$part" >>"$output"
  twice+=("$tests")
}

# One at a time where times are asserted: parts would take each other's
# processors. The others mostly wait; their ports and folders are their own.
# A test that waits says so only with -v; the summary below is for those who do
# not read it.
suite . 22m 1 . ./cost ./incident
mapfile -t others < <(go list ./... | grep -vE '/e2e$|/(cost|incident)$')
suite . 22m 2 "${others[@]}"
# The status page in a browser, a module of its own.
suite page 5m 1 ./...
# Rules, routes, mixin and compose file by the tools that read them, likewise.
suite ../tools/artefacts 12m 1 ./...

echo
echo "== summary: $((SECONDS - start)) s"
grep -hE '^(---|    ---) (PASS|FAIL|SKIP)' "$output" || true
for table in ../.e2e/*.md; do
  [ -e "$table" ] && printf '\n%s\n' "$(basename "$table")" && cat "$table"
done
if [ "$status" = 0 ]; then echo "all passed${twice[*]:+, ${twice[*]} when run once more}"; else echo "FAILED: logs of all parts are in $(cd .. && pwd)/.e2e/logs"; fi
count() { grep -cE "^ *--- $1" "$output" || true; }
echo "$(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped"
exit "$status"

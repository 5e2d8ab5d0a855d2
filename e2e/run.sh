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
trap 'rm -f "$output"' EXIT
status=0
# One at a time where times are asserted: parts would take each other's
# processors. The others mostly wait; their ports and folders are their own.
# A test that waits says so only with -v; the summary below is for those who do
# not read it.
go test -p 1 -count=1 -v -timeout 22m "$@" . ./cost ./incident 2>&1 | tee "$output" || status=$?
mapfile -t others < <(go list ./... | grep -vE '/e2e$|/(cost|incident)$')
go test -p 2 -count=1 -v -timeout 22m "$@" "${others[@]}" 2>&1 | tee -a "$output" || status=$?
# The status page in a browser, a module of its own.
(cd page && go test -count=1 -v -timeout 5m "$@" ./...) 2>&1 | tee -a "$output" || status=$?
# Rules, routes, mixin and compose file by the tools that read them, likewise.
(cd ../tools/artefacts && go test -count=1 -v -timeout 12m "$@" ./...) 2>&1 | tee -a "$output" || status=$?

echo
echo "== summary: $((SECONDS - start)) s"
grep -hE '^(---|    ---) (PASS|FAIL|SKIP)' "$output" || true
for table in ../.e2e/*.md; do
  [ -e "$table" ] && printf '\n%s\n' "$(basename "$table")" && cat "$table"
done
if [ "$status" = 0 ]; then echo "all passed"; else echo "FAILED: logs of all parts are in $(cd .. && pwd)/.e2e/logs"; fi
count() { grep -cE "^ *--- $1" "$output" || true; }
echo "$(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped"
exit "$status"

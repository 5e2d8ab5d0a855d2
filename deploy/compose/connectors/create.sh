#!/bin/sh
# Creates each connector in this folder, or changes it to what stands here.
set -eu
cd "$(dirname "$0")"
url=${CONNECT_URL:-http://connect-1:8083}
for file in *.json; do
  # While a rebalance is under way a worker answers 409 or 500.
  curl -sS --fail-with-body --retry 20 --retry-delay 2 --retry-all-errors -o /dev/null \
    -X PUT -H 'Content-Type: application/json' --data "@$file" "$url/connectors/${file%.json}/config"
  echo "created ${file%.json}"
done

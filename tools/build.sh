#!/usr/bin/env bash
# Builds the tools of the suite on real parts, each from the module beside this
# script that pins it, and keeps them outside the tree: only a miss costs.
#
#   tools/build.sh NAME...      prints one line per tool: the folder of its programs
#
# Names: prometheus (with promtool), alertmanager (with amtool), otelcol, toxiproxy,
# helm, kustomize, kubeconform, kubernetes (kube-apiserver, and the schema of its API), etcd,
# prometheus-operator (its resource definitions), goreleaser,
# golangci (golangci-lint).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kafka-connect-exporter/tools
export GOFLAGS=-buildvcs=false GOWORK=off

# Plain "go build" downloads what the build tags need; "go mod download" would fetch every module named in go.sum.
build() { # name, output folder
  cd "$here/$1"
  case $1 in
  prometheus) # remove_all_sd leaves static, file and HTTP service discovery, and the cloud SDKs out.
    go build -tags remove_all_sd -trimpath -ldflags='-s -w -X github.com/prometheus/common/version.Version=3.15.0' -o "$2/" \
      github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool ;;
  alertmanager) # Its module lacks the compiled web page that it embeds, so it is built from a copy with a stub of one.
    go mod download github.com/prometheus/alertmanager
    cp -r "$(go list -m -f '{{.Dir}}' github.com/prometheus/alertmanager)" "$2/source"
    chmod -R u+w "$2/source"
    mkdir -p "$2/source/ui/app/dist"
    echo '<!doctype html><title>Alertmanager</title>' >"$2/source/ui/app/dist/index.html"
    gzip -9k "$2/source/ui/app/dist/index.html"
    (cd "$2/source" && go build -trimpath -ldflags='-s -w' -o "$2/" ./cmd/alertmanager ./cmd/amtool)
    rm -rf "$2/source" ;;
  otelcol)
    go build -trimpath -ldflags='-s -w' -o "$2/otelcol" . ;;
  toxiproxy)
    go build -trimpath -ldflags='-s -w' -o "$2/toxiproxy-server" github.com/Shopify/toxiproxy/v2/cmd/server ;;
  helm)
    go build -trimpath -ldflags='-s -w' -o "$2/" helm.sh/helm/v4/cmd/helm ;;
  kustomize)
    go build -trimpath -ldflags='-s -w' -o "$2/kustomize" sigs.k8s.io/kustomize/kustomize/v5 ;;
  kubeconform)
    go build -trimpath -ldflags='-s -w' -o "$2/" github.com/yannh/kubeconform/cmd/kubeconform ;;
  kubernetes) # An API server without its version refuses to start.
    local flags='-s -w' field
    for field in gitVersion=v1.36.3 gitMajor=1 gitMinor=36; do flags+=" -X k8s.io/component-base/version.$field"; done
    go build -trimpath -ldflags="$flags" -o "$2/" k8s.io/kubernetes/cmd/kube-apiserver
    cp "$(go list -m -f '{{.Dir}}' k8s.io/kubernetes)/api/openapi-spec/swagger.json" "$2/" ;;
  etcd)
    go build -trimpath -ldflags='-s -w' -o "$2/etcd" go.etcd.io/etcd/server/v3 ;;
  prometheus-operator) # Its resource definitions.
    go mod download github.com/prometheus-operator/prometheus-operator
    cp "$(go list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)"/example/prometheus-operator-crd/*.yaml "$2/" ;;
  golangci)
    go build -trimpath -ldflags='-s -w' -o "$2/" github.com/golangci/golangci-lint/v2/cmd/golangci-lint ;;
  goreleaser)
    go build -trimpath -ldflags='-s -w' -o "$2/" github.com/goreleaser/goreleaser/v2 ;;
  esac
}

for name; do
  [ -f "$here/$name/go.mod" ] || { echo "$0: no tool is called $name" >&2; exit 2; }
  # What a tool is built from names its folder: this script, its module, its sources.
  key=$(cat "$0" "$here/$name"/* | sha256sum | cut -c1-12)
  target=$cache/$name-$key
  mkdir -p "$cache"
  (
    flock 9 # Two runs at once build it once.
    if [ ! -d "$target" ]; then
      rm -rf "$target.partial"
      mkdir "$target.partial"
      echo "building $name" >&2
      build "$name" "$target.partial" >&2
      mv "$target.partial" "$target"
    fi
  ) 9>"$cache/$name.lock"
  echo "$target"
done

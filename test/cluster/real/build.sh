#!/usr/bin/env bash
# Builds the control plane that the real tier starts, once per machine, from Debian's source package of Kubernetes.
#
#   test/cluster/real/build.sh          prints the folder with the binaries; returns at once if they exist
#
# The folder follows the envtest convention (etcd and kube-apiserver side by side), so KUBEBUILDER_ASSETS can name it too.
# Needs Debian 12; as root, it installs missing packages. Takes about five minutes on two cores, 2 GB of disk, and 0.4 GB afterwards.
set -euo pipefail

version=1.20.2
revision=2 # raised, here and in binaries.ts, with every change of the build
packages=(golang-go golang-github-modern-go-reflect2-dev rsync make jq etcd-server dpkg-dev ca-certificates)
binaries=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
reflect2=/usr/share/gocode/src/github.com/modern-go/reflect2

cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/skerry
ready=$cache/kubernetes-$version-$revision

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
finish_if_ready() {
  if [ -d "$ready" ]; then
    echo "$ready"
    exit 0
  fi
}

finish_if_ready
mkdir -p "$cache"

# One build at a time: others wait here, and then find it done. Child processes inherit the lock, so that a compiler left
# behind by a killed build still blocks the next one.
exec 9>"$cache/build.lock"
if ! flock --nonblock 9; then
  say "another build is running; waiting for it"
  flock 9
fi
finish_if_ready

rm -rf "$cache"/building.* # left behind by an interrupted build
work=$(mktemp -d "$cache/building.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || fail "missing packages; run as root: apt-get install --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  # The package etcd-server would start a server, which no test uses; policy 101 prevents that.
  printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
  chmod +x "$work/policy-rc.d"
  apt-get -o DPkg::Lock::Timeout=600 update -qq >&2
  POLICYRCD="$work/policy-rc.d" DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# The system's own lists do not change: this one download uses copies of them, turned into source lists.
download_source() {
  mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/source"
  local list
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] && sed -n 's/^deb[[:space:]]/deb-src /p' "$list" >"$work/apt/parts/$(basename "$list" .list).list"
  done
  for list in /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/apt/parts/$(basename "$list")"
  done
  local options=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/parts" -o Dir::State::Lists="$work/apt/lists"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
  say "downloading the source of Kubernetes $version"
  # Third-party lists without sources fail here. Only the download below has to succeed.
  apt-get "${options[@]}" -qq update >&2 || say "some lists could not be read; continuing"
  (cd "$work/source" && apt-get "${options[@]}" -qq source --download-only kubernetes >&2)
  tarball=$(find "$work/source" -name "kubernetes_*$version.orig.tar.gz") # Debian calls it 1.20.5+really1.20.2
  [ -n "$tarball" ] || fail "Debian's kubernetes is no longer $version: $(ls -m "$work/source")"
}

unpack_source() {
  tree=$work/go/src/k8s.io/kubernetes # too old for module mode: it needs a place in a GOPATH
  mkdir -p "$tree"
  tar -xzf "$tarball" -C "$tree" --strip-components=1
  # reflect2 1.0.1, which the tree carries, corrupts memory when built with Go 1.18 or newer: the API server dies at
  # random under load ("fatal error: fault"). Debian's own 1.0.2 does not.
  rm -rf "$tree/vendor/github.com/modern-go/reflect2"
  cp -r "$reflect2" "$tree/vendor/github.com/modern-go/reflect2"
  # The validation of custom objects compares two reflect.Value, which since Go 1.18 point to one and the same zero: an empty
  # string would count as null. The code meant the nil before it.
  local zero='reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data))' validator
  for validator in "$tree/vendor/"{github.com/go-openapi/validate,k8s.io/kube-openapi/pkg/validation/validate}/type.go; do
    grep -qF "data == nil || $zero" "$validator" || fail "the comparison to mend is not in $validator"
    sed -i "s/data == nil || $zero/data == nil/" "$validator"
  done
  # Without a git tree, the makefile would set v0.0.0, and clients act on the server's version.
  cat >"$work/version" <<END
KUBE_GIT_COMMIT=debian
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v$version
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
END
}

build_binaries() {
  say "building ${binaries[*]} (minutes)"
  # With make, not go build: the makefile generates the OpenAPI code that the API server needs.
  (
    cd "$tree"
    export GOPATH=$work/go GOCACHE=$work/gocache GO111MODULE=off GOFLAGS='' GOPROXY=off CGO_ENABLED=0
    export KUBE_GIT_VERSION_FILE=$work/version
    make WHAT="${binaries[*]/#/cmd/}" >&2
  )
}

# Renaming is the last step, so that the folder is complete or absent.
keep_binaries() {
  local staged=$work/ready name
  mkdir "$staged"
  for name in "${binaries[@]}"; do
    install -m 755 "$tree/_output/local/bin/linux/$(dpkg --print-architecture)/$name" "$staged/$name"
    "$staged/$name" --version | grep -qF "v$version" || fail "$name does not say that it is v$version"
  done
  install -m 755 "$(command -v etcd)" "$staged/etcd"
  mv -T "$staged" "$ready"
}

install_packages
download_source
unpack_source
build_binaries
keep_binaries
say "built in $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$ready"

#!/bin/sh
# Installs a region into a Kubernetes cluster, or brings one up to date. Safe to be run again at any point. See docs/installing.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/bootstrap/common.sh
. "$here/common.sh"
# shellcheck source=deploy/bootstrap/token.sh
. "$here/token.sh"
# shellcheck source=deploy/bootstrap/charts.sh
. "$here/charts.sh"
# shellcheck source=deploy/bootstrap/images.sh
. "$here/images.sh"
# shellcheck source=deploy/bootstrap/preflight.sh
. "$here/preflight.sh"
# shellcheck source=deploy/bootstrap/storage.sh
. "$here/storage.sh"
# shellcheck source=deploy/bootstrap/region.sh
. "$here/region.sh"
# shellcheck source=deploy/bootstrap/keeping.sh
. "$here/keeping.sh"
# shellcheck source=deploy/bootstrap/hands.sh
. "$here/hands.sh"
# shellcheck source=deploy/bootstrap/component.sh
. "$here/component.sh"

usage() {
  cat <<'END'
install.sh [TOKEN | - ] [options]: installs a region into a Kubernetes cluster. Run it again to go on, or to upgrade.

The token comes from the cloud. Rather than as an argument, which others on this machine could see for a moment, give it in the
environment (SKERRY_TOKEN), in a file (--token-file), or on standard input ("-").

  --context NAME              of the kubeconfig, instead of the current one
  --dry-run                   say what would be done, and do nothing
  --yes                       do not ask
  --minimal                   only what databases do not run without
  --only COMPONENT            just this one; may be repeated. Components: see --list
  --skip COMPONENT            all but this one; may be repeated. "preflight" can be skipped too
  --values FILE               values for Skerry's chart; COMPONENT=FILE for another one. May be repeated
  --reset-values              forget the values, registry, proxy and authorities that earlier runs were given, which hold on otherwise
  --create-storage-classes C  make crate-premium and crate-local like the storage class C, where they are missing
  --offline DIR               take the charts from DIR, and ask nobody outside; --download DIR fills one
  --image-registry HOST       where the images of Skerry are to be pulled from
  --http-proxy URL  --https-proxy URL  --no-proxy LIST  --ca-file FILE
                              the way out, for this script and for what it installs of Skerry; addresses with a password
                              better in SKERRY_HTTP_PROXY and SKERRY_HTTPS_PROXY
  --tunnel-credentials FILE   credentials.json of the tunnel, instead of what the token refers to
  --token-file FILE           --cloud-key FILE (PEM, to check the token with; cloud.pem beside this script when left out)
  --no-wait                   do not wait until what is installed is ready
  --timeout SECONDS           for each component to become ready (600)
  --ignore-preflight          go on though the preflight found failures
  --components FILE           another list of components and versions
  --log FILE                  (skerry-install.log)
  --list                      the components with their versions
  --download DIR              fetch the charts of all components for --offline, and do nothing else
  --images                    print every image that is pulled, for a registry of the site, and do nothing else; also with --offline.
                              --cratedb VERSION adds that of databases of this version; may be repeated

A region works without each component that --list does not call needed: one that cannot be had, or that fails, is named and left out. It
ends with 0 when all is done, 1 when a step failed, 2 when it was called in a wrong way, 3 when it refused to begin, 4 when all is done
but what it lists.
END
}

valued='--context --only --skip --values --create-storage-classes --offline --image-registry --http-proxy --https-proxy --no-proxy --ca-file'
valued="$valued --tunnel-credentials --token-file --cloud-key --timeout --components --log --download --cratedb"

# The argument of a process can be read by everybody, its input by nobody: begin again without the token among the arguments.
# A file may be called like a token: what stands behind an option that takes a value is none.
hide_token() {
  found='' count=$# before=none
  while [ "$count" -gt 0 ]; do
    if among "$before" "$valued"; then
      set -- "$@" "$1"
      before=none
    else
      before=$1
      case $1 in skerry[0-9]*.*) found=$1 ;; *) set -- "$@" "$1" ;; esac
    fi
    shift
    count=$((count - 1))
  done
  [ -n "$found" ] || return 0
  exec sh "$0" --token-descriptor "$@" 3<<END
$found
END
}
hide_token "$@"

token=${SKERRY_TOKEN:-} token_file='' cloud_key='' offline='' only='' skip='' no_wait='' ignore_preflight='' download='' listing='' images='' minimal='' cratedb_versions=''
http_proxy_=${SKERRY_HTTP_PROXY:-} https_proxy_=${SKERRY_HTTPS_PROXY:-} no_proxy_='' ca_file='' image_registry='' storage_source='' tunnel_file='' value_files=''
trusted='' would_stop='' reset_values='' components=$here/components
unset SKERRY_TOKEN

value() {
  if [ $# -lt 2 ] || [ -z "$2" ]; then refuse "$1 needs a value" 'See --help.'; fi
}
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit 0 ;;
    --token-descriptor) read -r token <&3 && exec 3<&- ;;
    --dry-run) dry_run=1 ;;
    --yes | -y) yes=1 ;;
    --no-wait) no_wait=1 ;;
    --ignore-preflight) ignore_preflight=1 ;;
    --list) listing=1 ;;
    --images) images=1 ;;
    --minimal) minimal=1 ;;
    --reset-values) reset_values=reset-values ;;
    -) IFS= read -r token || [ -n "$token" ] || refuse 'there is no token on standard input' ;;
    --context | --only | --skip | --values | --create-storage-classes | --offline | --image-registry | --http-proxy | --https-proxy | \
      --no-proxy | --ca-file | --tunnel-credentials | --token-file | --cloud-key | --timeout | --components | --log | --download | \
      --cratedb)
      value "$@"
      case $1 in
        --context) context=$2 ;;
        --only) only="$only $2" ;;
        --skip) skip="$skip $2" ;;
        --values) value_files="$value_files$2
" ;;
        --create-storage-classes) storage_source=$2 ;;
        --offline) offline=$2 ;;
        --image-registry) image_registry=$2 ;;
        --http-proxy) http_proxy_=$2 ;;
        --https-proxy) https_proxy_=$2 ;;
        --no-proxy) no_proxy_=$2 ;;
        --ca-file) ca_file=$2 ;;
        --tunnel-credentials) tunnel_file=$2 ;;
        --token-file) token_file=$2 ;;
        --cloud-key) cloud_key=$2 ;;
        --timeout) wait_seconds=$2 ;;
        --components) components=$2 ;;
        --log) log_file=$2 ;;
        --download) download=$2 ;;
        --cratedb) cratedb_versions="$cratedb_versions $2" ;;
      esac
      shift
      ;;
    -*) refuse "there is no option $1" 'See --help.' ;;
    '') refuse 'the token that was given is empty' 'Was the variable set that was to hold it?' ;;
    *) refuse 'what was given is no token and no option' 'A token begins with "skerry1.". Was it cut when it was copied? See --help.' ;;
  esac
  shift
done

check_components "$components"
rows() { component_rows "$components" | awk '$2 != "retired"'; }
known=$(rows | cut -d ' ' -f 1 | tr '\n' ' ')
if [ -n "$minimal" ] && [ -n "$only" ]; then refuse '--minimal and --only exclude each other' '--minimal is --only for each component that is needed: see --list.'; fi
for each in $only $skip; do among "$each" "$known preflight" || refuse "there is no component $each" "There are: $known"; done
for file in "$ca_file" "$tunnel_file" "$token_file"; do [ -z "$file" ] || [ -r "$file" ] || refuse "$file cannot be read"; done
case $wait_seconds in '' | *[!0-9]*) refuse "--timeout takes seconds, not $wait_seconds" ;; esac
[ -z "$offline" ] || [ -d "$offline" ] || refuse "there is no folder $offline" 'Fill one on a machine with internet: ./install.sh --download DIR'
printf '%s' "$value_files" | while IFS= read -r each; do
  [ -r "${each#*=}" ] || refuse "${each#*=} cannot be read"
done || exit 2

given_only=$only
[ -z "$minimal" ] || only=$(rows | awk '$2 == "needed" { print $1 }' | tr '\n' ' ')
wanted() {
  if among "$1" "$skip"; then return 1; fi
  [ -z "$only" ] || among "$1" "$only"
}

if [ -n "$listing" ]; then
  rows | while read -r name role chart _ version namespace least _; do
    if wanted "$name"; then printf '%-20s %-7s %-22s %-9s %-15s %-5s %s\n' "$name" "$role" "$chart" "$version" "$namespace" "$least" "$(about "$components" "$name" why)"; fi
  done
  exit 0
fi

need_tools
make_scratch
trust
rows >"$scratch/rows"
: >"$scratch/left-out"
if [ -n "$download$images" ]; then
  set_proxy
  if [ -n "$download" ]; then download "$download"; else list_images; fi
  end_with_left_out
fi

open_log
if [ -n "$token_file" ]; then
  case $(find "$token_file" -prune -perm -004) in '') ;; *) say "Others can read $token_file: chmod 600 $token_file" ;; esac
  token=$(cat "$token_file")
fi
signature=''
read_token
token_header=$token token=''
need_cluster
set_proxy
[ -n "$dry_run" ] || take_lock

say "Region $region_id of $region_cloud (token's signature $signature)"
say "Cluster $(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}'), context ${context:-$(kube config current-context 2>/dev/null || echo 'of the pod')}"
confirm 'Install into this cluster?'
if [ -z "$storage_source$yes$dry_run$given_only" ]; then offer_storage_classes; fi
for each in $known; do
  if wanted "$each"; then step_total=$((step_total + 1)); fi
done
[ -z "$storage_source" ] || step_total=$((step_total + 1))
if ! among preflight "$skip"; then step_total=$((step_total + 1)); fi

if ! among preflight "$skip"; then preflight; fi
if [ -n "$storage_source" ]; then storage_classes; fi
while read -r name role chart repository version namespace least present wait definition keep <&4; do
  if wanted "$name"; then
    begin "$name" "$chart $version" ''
    attempt component
  fi
done 4<"$scratch/rows"
tell_retired

if [ -n "$dry_run" ]; then
  [ -z "$would_stop" ] || stop 'Nothing was changed. The preflight, above, stands in the way of all this.'
  say 'Nothing was changed.'
elif wanted skerry; then
  say "Region $region_id is installed. See how it is: kubectl -n skerry get pods"
else
  say 'Done.'
fi
end_with_left_out

#!/bin/sh
# Installs a region into a Kubernetes cluster, or upgrades one. It can be run again at any point. See docs/installing.md.
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
# shellcheck source=deploy/bootstrap/import.sh
. "$here/import.sh"

usage() {
  cat <<'END'
install.sh [TOKEN | - ] [options]: installs a region into a Kubernetes cluster. Run it again to continue, or to upgrade.

The token comes from the cloud. Other users of this machine can briefly see an argument, so rather pass the token in the environment
(SKERRY_TOKEN), in a file (--token-file), or on standard input ("-"). A region that its cloud knows already, by the Secret skerry-identity,
needs none.

  --context NAME              the context of the kubeconfig; default: the current one
  --dry-run                   print what would be done, and change nothing
  --yes                       do not ask
  --minimal                   only what databases cannot run without
  --only COMPONENT            only this one; may be repeated. For components see --list
  --skip COMPONENT            all but this one; may be repeated. "preflight" can be skipped too
  --values FILE               values for Skerry's chart; COMPONENT=FILE for another one. May be repeated
  --reset-values              forget the values, registry, proxy and CA certificates of earlier runs, which otherwise stay in effect
  --create-storage-classes C  create crate-premium and crate-local as copies of the storage class C, where they are missing
  --offline DIR               take the charts from DIR, and contact nobody outside; --download DIR creates one
  --image-registry HOST       pull Skerry's images from this registry
  --http-proxy URL  --https-proxy URL  --no-proxy LIST  --ca-file FILE
                              for this script and for Skerry's pods. Pass addresses with a password in SKERRY_HTTP_PROXY and
                              SKERRY_HTTPS_PROXY instead
  --tunnel-credentials FILE   credentials.json of the tunnel, instead of those that the token refers to
  --token-file FILE
  --cloud-key FILE            PEM, to verify the token; default: cloud.pem beside this script
  --no-join                   do not join the cloud that the token names: the region tells it nothing
  --no-wait                   do not wait until the components are ready
  --timeout SECONDS           how long to wait for each component to become ready; default: 600
  --import FILE               make a region again from its file, once it is installed: docs/recovery.md. With the options of the
                              agent's command: --old-cluster-is-gone, --adopt-region, --older-file, --host OLD=NEW (may be repeated)
  --ignore-preflight          continue although preflight found failures
  --components FILE           another list of components and versions
  --log FILE                  default: skerry-install.log
  --show-token                print what the token says, and do nothing else: nobody is asked, and nothing is written
  --list                      print the components with their versions, and do nothing else
  --download DIR              download the charts of all components for --offline, and do nothing else
  --images                    print every image that is pulled, for a registry at the site, and do nothing else; also with --offline
  --cratedb VERSION           with --images: include the image of this version of CrateDB; may be repeated

A component that --list does not call needed never blocks the others: if it is not available or fails, it is skipped and listed at the end.
Exit status: 0 done, 1 a step failed, 2 wrong arguments or token, 3 refused to start, 4 done, but components were skipped
END
}

valued='--context --only --skip --values --create-storage-classes --offline --image-registry --http-proxy --https-proxy --no-proxy --ca-file'
valued="$valued --tunnel-credentials --token-file --cloud-key --timeout --components --log --download --cratedb --import --host"

# Every user can read a process's arguments, but not its input: start again without the token among the arguments.
# A file name can look like a token, so the value of an option is not taken for one.
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

token=${SKERRY_TOKEN:-} token_file='' cloud_key='' offline='' only='' skip='' no_wait='' ignore_preflight='' download='' listing='' images='' minimal='' cratedb_versions='' no_join='' showing=''
http_proxy_=${SKERRY_HTTP_PROXY:-} https_proxy_=${SKERRY_HTTPS_PROXY:-} no_proxy_='' ca_file='' image_registry='' storage_source='' tunnel_file='' value_files=''
trusted='' would_stop='' reset_values='' components=$here/components import_file='' import_options=''
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
    --no-join) no_join=1 ;;
    --show-token) showing=1 ;;
    --minimal) minimal=1 ;;
    --reset-values) reset_values=reset-values ;;
    --old-cluster-is-gone | --adopt-region | --older-file) import_options="$import_options $1" ;;
    -) IFS= read -r token || [ -n "$token" ] || refuse 'there is no token on standard input' ;;
    --context | --only | --skip | --values | --create-storage-classes | --offline | --image-registry | --http-proxy | --https-proxy | \
      --no-proxy | --ca-file | --tunnel-credentials | --token-file | --cloud-key | --timeout | --components | --log | --download | \
      --cratedb | --import | --host)
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
        --import) import_file=$2 ;;
        --host)
          case $2 in *[!A-Za-z0-9.=-]* | *=*=* | =* | *=) refuse "--host takes OLD=NEW, not $2" ;; *=*) ;; *) refuse "--host takes OLD=NEW, not $2" ;; esac
          import_options="$import_options --host $2"
          ;;
      esac
      shift
      ;;
    -*) refuse "unrecognized option $1" 'See --help.' ;;
    '') refuse 'the token is empty' 'Is the variable that holds it set?' ;;
    *) refuse 'this is neither a token nor an option' 'A token begins with "skerry1.". Is the copy complete? See --help.' ;;
  esac
  shift
done

check_components "$components"
rows() { component_rows "$components" | awk '$2 != "retired"'; }
known=$(rows | cut -d ' ' -f 1 | tr '\n' ' ')
if [ -n "$minimal" ] && [ -n "$only" ]; then refuse '--minimal and --only cannot be combined' '--minimal is --only for each component that is needed: see --list.'; fi
for each in $only $skip; do among "$each" "$known preflight" || refuse "unknown component $each" "Known components: $known"; done
for file in "$ca_file" "$tunnel_file" "$token_file"; do [ -z "$file" ] || [ -r "$file" ] || refuse "$file cannot be read"; done
case $wait_seconds in '' | *[!0-9]*) refuse "--timeout takes seconds, not $wait_seconds" ;; esac
[ -z "$offline" ] || [ -d "$offline" ] || refuse "there is no directory $offline" 'Create one on a machine with internet: ./install.sh --download DIR'
printf '%s' "$value_files" | while IFS= read -r each; do
  [ -r "${each#*=}" ] || refuse "${each#*=} cannot be read"
done || exit 2

given_only=$only
[ -z "$minimal" ] || only=$(rows | awk '$2 == "needed" { print $1 }' | tr '\n' ' ')
wanted() {
  if among "$1" "$skip"; then return 1; fi
  [ -z "$only" ] || among "$1" "$only"
}
check_import
importing=$import_file

if [ -n "$listing" ]; then
  rows | while read -r name role chart _ version namespace least _; do
    if wanted "$name"; then printf '%-20s %-7s %-22s %-9s %-15s %-5s %s\n' "$name" "$role" "$chart" "$version" "$namespace" "$least" "$(about "$components" "$name" why)"; fi
  done
  exit 0
fi

if [ -n "$showing" ]; then
  [ -z "$token_file" ] || token=$(cat "$token_file")
  show_token
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
if [ -n "$token" ] || ! remembered_claims; then read_token; fi
token_header=$token token=''
plan_join
need_cluster
set_proxy
[ -n "$dry_run" ] || take_lock

say "Region $region_id of $region_cloud ($signature)"
if wanted skerry; then
  if [ -n "$join_url" ]; then say 'The region joins this cloud, and tells it its status.'; else say "The region does not join this cloud: $no_join_why."; fi
fi
say "Cluster $(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}'), context ${context:-$(kube config current-context 2>/dev/null || echo 'of the pod')}"
confirm 'Install into this cluster?'
if [ -z "$storage_source$yes$dry_run$given_only" ]; then offer_storage_classes; fi
for each in $known; do
  if wanted "$each"; then step_total=$((step_total + 1)); fi
done
[ -z "$storage_source" ] || step_total=$((step_total + 1))
[ -z "$import_file" ] || step_total=$((step_total + 2))
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
[ -z "$import_file" ] || import_region

if [ -n "$dry_run" ]; then
  [ -z "$would_stop" ] || stop 'Nothing was changed. Without --dry-run, the preflight above stops the installation.'
  say 'Nothing was changed.'
elif wanted skerry && [ -n "$join_url" ]; then
  say "Region $region_id is installed. Check its pods: kubectl -n skerry get pods; and how it stands with its cloud: kubectl -n skerry get registration cloud"
elif wanted skerry; then
  say "Region $region_id is installed. Check its pods: kubectl -n skerry get pods"
else
  say 'Done.'
fi
end_with_left_out

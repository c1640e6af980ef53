#!/bin/sh
# Installs a region into a Kubernetes cluster, or brings one up to date. Safe to be run again at any point. See docs/installing.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/bootstrap/common.sh
. "$here/common.sh"
# shellcheck source=deploy/bootstrap/token.sh
. "$here/token.sh"
# shellcheck source=deploy/bootstrap/region.sh
. "$here/region.sh"

usage() {
  cat <<'END'
install.sh [TOKEN | - ] [options]: installs a region into a Kubernetes cluster. Run it again to go on, or to upgrade.

The token comes from the cloud. Rather than as an argument, which others on this machine could see for a moment, give it in the
environment (SKERRY_TOKEN), in a file (--token-file), or on standard input ("-").

  --context NAME              of the kubeconfig, instead of the current one
  --dry-run                   say what would be done, and do nothing
  --yes                       do not ask
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

It ends with 0 when all is done, 1 when a step failed, 2 when it was called in a wrong way, 3 when it refused to begin.
END
}

valued='--context --only --skip --values --create-storage-classes --offline --image-registry --http-proxy --https-proxy --no-proxy --ca-file'
valued="$valued --tunnel-credentials --token-file --cloud-key --timeout --components --log --download"

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

token=${SKERRY_TOKEN:-} token_file='' cloud_key='' offline='' only='' skip='' no_wait='' ignore_preflight='' download='' listing=''
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
    --reset-values) reset_values=reset-values ;;
    -) IFS= read -r token || [ -n "$token" ] || refuse 'there is no token on standard input' ;;
    --context | --only | --skip | --values | --create-storage-classes | --offline | --image-registry | --http-proxy | --https-proxy | \
      --no-proxy | --ca-file | --tunnel-credentials | --token-file | --cloud-key | --timeout | --components | --log | --download)
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
for each in $only $skip; do among "$each" "$known preflight" || refuse "there is no component $each" "There are: $known"; done
for file in "$ca_file" "$tunnel_file" "$token_file"; do [ -z "$file" ] || [ -r "$file" ] || refuse "$file cannot be read"; done
case $wait_seconds in '' | *[!0-9]*) refuse "--timeout takes seconds, not $wait_seconds" ;; esac
[ -z "$offline" ] || [ -d "$offline" ] || refuse "there is no folder $offline" 'Fill one on a machine with internet: ./install.sh --download DIR'
printf '%s' "$value_files" | while IFS= read -r each; do
  [ -r "${each#*=}" ] || refuse "${each#*=} cannot be read"
done || exit 2

if [ -n "$listing" ]; then
  rows | awk '{ printf "%-20s %-22s %-9s %s\n", $1, $3, $5, $6 }'
  exit 0
fi

# The way out for helm and curl. The API server is never asked through a proxy.
set_proxy() {
  [ -z "$http_proxy_" ] || export HTTP_PROXY="$http_proxy_"
  [ -z "$https_proxy_" ] || export HTTPS_PROXY="$https_proxy_"
  [ -n "$http_proxy_$https_proxy_$no_proxy_" ] || return 0
  server=$(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null | sed -e 's,^https*://,,' -e 's,[:/].*,,')
  export NO_PROXY="${no_proxy_:+$no_proxy_,}$server"
}

# chart_of: sets chart_at, chart_repo and chart_version to what helm needs to find the chart of the row at hand.
chart_of() {
  chart_at=$chart chart_repo=$repository chart_version=$version
  if [ "$name" = skerry ] && [ -z "$offline" ] && [ -r "$here/../chart/Chart.yaml" ]; then
    chart_at=$here/../chart chart_repo='' chart_version=''
  elif [ -n "$offline" ]; then
    chart_at=$offline/$chart-$version.tgz chart_repo='' chart_version=''
  else
    case $repository in oci://*) chart_at=$repository/$chart chart_repo='' ;; esac
  fi
}
# helm and curl take these authorities instead of the usual ones, so both are put together: a proxy may look into some connections only.
trust() {
  [ -n "$ca_file" ] || return 0
  trusted=$scratch/authorities.pem
  : >"$trusted"
  for each in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -r "$each" ]; then cat "$each" >>"$trusted" && break; fi
  done
  cat "$ca_file" >>"$trusted"
}
with_chart() { "$@" ${chart_repo:+--repo "$chart_repo"} ${chart_version:+--version "$chart_version"} ${trusted:+--ca-file "$trusted"}; }

need_tools
make_scratch
trust
rows >"$scratch/rows"
if [ -n "$download" ]; then
  mkdir -p "$download"
  set_proxy
  while read -r name _ chart repository version _ <&4; do
    chart_of
    printf '%s %s\n' "$chart" "$version"
    if [ -d "$chart_at" ]; then
      helm package "$chart_at" --destination "$download" >/dev/null || exit 1
    else
      with_chart helm pull "$chart_at" --destination "$download" || exit 1
    fi
  done 4<"$scratch/rows"
  printf 'The charts are in %s. Copy it and this folder to the site; images: see docs/installing.md.\n' "$download"
  exit 0
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

wanted() {
  if among "$1" "$skip"; then return 1; fi
  [ -z "$only" ] || among "$1" "$only"
}

# Databases ask for these classes by name. Who is there is asked which one to make them like; all others read it in the preflight.
offer_storage_classes() {
  lacking=''
  for class in crate-premium crate-local; do exists storageclass "$class" || lacking="${lacking:+$lacking and }$class"; done
  [ -n "$lacking" ] || return 0
  kube get storageclasses -o 'jsonpath={range .items[*]}{.metadata.name} ({.provisioner}){"\n"}{end}' >"$scratch/classes" 2>>"$log_file" || return 0
  [ -s "$scratch/classes" ] || return 0
  printf 'Databases ask for storage classes that are missing here: %s. There are:\n' "$lacking"
  sed 's/^/  /' "$scratch/classes"
  printf 'Make them like which one? [nothing: make none] '
  read -r storage_source </dev/tty || storage_source=''
  if [ -n "$storage_source" ] && ! exists storageclass "$storage_source"; then stop "There is no storage class $storage_source. Nothing was done."; fi
}

say "Region $region_id of $region_cloud (token's signature $signature)"
say "Cluster $(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}'), context ${context:-$(kube config current-context 2>/dev/null || echo 'of the pod')}"
confirm 'Install into this cluster?'
if [ -z "$storage_source$yes$dry_run$only" ]; then offer_storage_classes; fi
for each in $known; do
  if wanted "$each"; then step_total=$((step_total + 1)); fi
done
[ -z "$storage_source" ] || step_total=$((step_total + 1))
if ! among preflight "$skip"; then step_total=$((step_total + 1)); fi

# Made by kubectl's own templates, so that no other tool is needed.
storage_classes() {
  begin storage-classes "crate-premium and crate-local like $storage_source" "Choose a class that exists: kubectl get storageclasses"
  exists storageclass "$storage_source" || failed "there is no storage class $storage_source"
  made=''
  for class in crate-premium crate-local; do
    if exists storageclass "$class"; then continue; fi
    kube get storageclass "$storage_source" -o "go-template=apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: $class
  labels: { app.kubernetes.io/part-of: skerry }
provisioner: {{.provisioner}}
{{if .parameters}}parameters:{{range \$key, \$value := .parameters}}
  {{printf \"%q: %q\" \$key \$value}}{{end}}
{{end}}{{if .mountOptions}}mountOptions:{{range .mountOptions}}
  - {{printf \"%q\" .}}{{end}}
{{end}}reclaimPolicy: {{if .reclaimPolicy}}{{.reclaimPolicy}}{{else}}Delete{{end}}
allowVolumeExpansion: {{ne .provisioner \"kubernetes.io/no-provisioner\"}}
volumeBindingMode: WaitForFirstConsumer
" >"$scratch/manifest" || failed 'it cannot be read'
    apply "make the storage class $class" || failed "$class cannot be made"
    made="$made $class"
  done
  case $made in '') ended 'are there already' ;; *) done_ "made$made" ;; esac
}

# The agent's own preflight where there is a Node to run it, else what kubectl alone can tell.
preflight() {
  begin preflight 'is the cluster fit for a region?' 'Do what is said above at "do". To go on in spite of it: --ignore-preflight.'
  program=''
  for each in "${offline:+$offline/agent.mjs}" "$here/agent.mjs" "$here/../../dist/agent.mjs"; do
    if [ -r "$each" ] && [ -z "$program" ]; then program=$each; fi
  done
  if [ -n "$program" ] && command -v node >/dev/null && node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 22 ? 0 : 1)'; then
    code=0
    # The proxy stands in the environment: its address may hold a password.
    node "$program" preflight ${context:+--context "$context"} ${offline:+--offline} ${ca_file:+--ca-file "$ca_file"} >"$scratch/findings" 2>&1 </dev/null || code=$?
    tee -a "$log_file" <"$scratch/findings" | sed 's/^/       /'
  else
    code=0
    basic_preflight || code=$?
    say '       Without Node 22 and agent.mjs only the most important things were looked at.'
  fi
  if [ "$code" -ne 0 ] && [ -z "$ignore_preflight$dry_run" ]; then
    say "       What to do: $step_help"
    stop 'Nothing was installed.'
  fi
  case $code,$ignore_preflight in
    0,*) ended 'nothing stands in the way' ;;
    *,1) ended 'failures are ignored, as asked for' ;;
    *) would_stop=1 && ended 'without --dry-run, this would be the end' ;;
  esac
}

basic_preflight() {
  bad=0
  ready=$(kube get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>>"$log_file" | grep -c True || :)
  if [ "$ready" -eq 0 ]; then say '       fail  no node is ready' && bad=1; else say "       ok    $ready nodes are ready"; fi
  for right in 'create namespaces' 'create clusterroles' 'create clusterrolebindings' 'create customresourcedefinitions' 'create deployments' 'create secrets'; do
    # shellcheck disable=SC2086 # verb and resource are two words
    if ! kube auth can-i $right --all-namespaces >/dev/null 2>&1; then say "       fail  the account may not $right" && bad=1; fi
  done
  return "$bad"
}

# Sets phase to that of the namespace, empty when there is none. What is in one that is being deleted goes with it, releases too.
outlive_namespace() {
  phase=$(kube get namespace "$1" --ignore-not-found -o 'jsonpath={.status.phase}' 2>"$scratch/output") || failed "the namespace $1 cannot be seen"
  [ "$phase" = Terminating ] || return 0
  say "       waiting until the old namespace $1 is gone"
  change "wait for the end of the namespace $1" kube wait --for=delete "namespace/$1" "--timeout=${wait_seconds}s" || {
    kube get namespace "$1" -o 'jsonpath={range .status.conditions[?(@.status=="True")]}{.message}{"\n"}{end}' >>"$scratch/output"
    step_help="see what is left in it, above, and let its program finish: start it again if need be"
    failed "the namespace $1 is being deleted and does not go"
  }
  phase=''
  release "$namespace" "$name"
}

ensure_namespace() {
  [ -z "$phase" ] || return 0
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: %s, labels: { app.kubernetes.io/part-of: skerry } }\n' "$1" >"$scratch/manifest"
  apply "make the namespace $1" || failed "the namespace $1 cannot be made"
}

# Sets missing to whether there is no definition. One that is being deleted takes along whatever is made now.
outlive_definition() {
  missing=''
  [ "$definition" != - ] || return 0
  going=$(kube get customresourcedefinition "$definition" --ignore-not-found -o 'jsonpath=there {.metadata.deletionTimestamp}' 2>"$scratch/output") ||
    failed "the definition $definition cannot be seen"
  case $going in
    'there ') return 0 ;;
    '') missing=1 && return 0 ;;
  esac
  missing=1 patience=60
  [ "$wait_seconds" -gt "$patience" ] || patience=$wait_seconds
  say "       waiting until the old definition $definition is gone"
  change "wait for the end of $definition" kube wait --for=delete "customresourcedefinition/$definition" "--timeout=${patience}s" && return 0
  kube get "$definition" -A >>"$scratch/output" 2>&1 || :
  step_help="the objects above hold it. Start the program that holds them again. If it never comes back, see that the reclaim policy of the volumes is Retain: kubectl get persistentvolumes. Then, as the last resort, which loses the object and all volumes of it that are not kept: kubectl -n NAMESPACE patch $definition NAME --type=merge -p '{\"metadata\":{\"finalizers\":null}}'"
  failed "the definition $definition is being deleted and does not go"
}

# Over what the release has: what we want otherwise than the chart, what the token says, what the user gave, now or before.
install_chart() {
  set --
  if [ "$name" = skerry ] && [ -s "$scratch/options.yaml" ]; then set -- --values "$scratch/options.yaml"; fi
  printf '%s' "$value_files" >"$scratch/value-files"
  while IFS= read -r each; do
    case $each in
      "$name="*) set -- "$@" --values "${each#*=}" ;;
      *=*) ;;
      *) if [ "$name" = skerry ]; then set -- "$@" --values "$each"; fi ;;
    esac
  done <"$scratch/value-files"
  given_values "$@"
  set -- --values "$scratch/given.yaml"
  [ "$name" != skerry ] || set -- --values "$scratch/region.yaml" "$@"
  [ ! -r "$here/values/$name.yaml" ] || set -- --values "$here/values/$name.yaml" "$@"
  change "install $chart $version into $namespace" with_chart helm_ upgrade "$name" "$chart_at" --install --namespace "$namespace" \
    --labels "$label" --timeout "${wait_seconds}s" "--${reset_values:-reset-then-reuse-values}" "$@"
}
has_own_values() { printf '%s' "$value_files" | grep -q "^$name="; }

wait_for() {
  [ -z "$no_wait$dry_run" ] || return 0
  for target in $(printf '%s' "$wait" | tr ',' ' '); do
    optional=''
    case $target in *\?) optional=1 target=${target%\?} ;; esac
    case $target in
      crd/*) change '' kube wait --for=condition=Established "$target" "--timeout=${wait_seconds}s" || failed "$target is not served" ;;
      *)
        if [ -n "$optional" ] && ! exists -n "$namespace" "$target"; then continue; fi
        change '' kube -n "$namespace" rollout status "$target" "--timeout=${wait_seconds}s" || {
          kube -n "$namespace" get pods >>"$scratch/output" 2>&1 || :
          step_help="see why its pods do not start: kubectl -n $namespace describe pods; images that cannot be pulled and volumes without a class are the usual reasons"
          failed "$target does not get ready"
        }
        ;;
    esac
  done
}

component() {
  begin "$name" "$chart $version" "see the last lines above. A chart that cannot be fetched: check the proxy and --ca-file, or use --offline DIR"
  release "$namespace" "$name"
  if [ -n "$release_revision" ] && [ "$release_ours" != skerry ]; then
    ended "a release of this name is there, not of this installer: left alone"
    return
  fi
  if [ -z "$release_revision" ] && [ "$present" != - ]; then
    elsewhere "$present"
    if [ -n "$other" ]; then
      ended "is there already as $other, not of this installer: left alone"
      return
    fi
  fi
  outlive_namespace "$namespace"
  outlive_definition
  if [ "$release_status" = deployed ] && [ "$name" != skerry ] && [ -z "$missing$reset_values" ] && ! has_own_values &&
    [ "$(helm_ get metadata "$name" -n "$namespace" -o yaml 2>>"$log_file" | sed -n 's/^version: *//p')" = "$version" ]; then
    wait_for
    ended 'is there already'
    return
  fi
  ensure_namespace "$namespace"
  free_release "$namespace" "$name"
  if [ "$release_status" = uninstalling ]; then
    change "end its removal" helm_ uninstall "$name" --namespace "$namespace" || failed 'an earlier removal cannot be ended'
  fi
  chart_of
  if [ -n "$missing" ] && [ -n "$release_revision" ]; then
    # Helm brings what is in a chart's folder crds/ once and never again.
    say "       its definition $definition is missing: brought back"
    if with_chart helm show crds "$chart_at" >"$scratch/manifest" 2>>"$log_file" && [ -s "$scratch/manifest" ]; then
      apply 'bring its definitions' || failed 'its definitions cannot be made'
    fi
  fi
  if [ "$name" = skerry ]; then prepare_skerry; fi
  install_chart || failed 'helm did not install it'
  wait_for
  case $release_revision in '') done_ 'installed' ;; *) done_ 'brought up to date' ;; esac
}

if ! among preflight "$skip"; then preflight; fi
if [ -n "$storage_source" ]; then storage_classes; fi
while read -r name role chart repository version namespace least present wait definition keep <&4; do
  if wanted "$name"; then component; fi
done 4<"$scratch/rows"

if [ -n "$dry_run" ]; then
  [ -z "$would_stop" ] || stop 'Nothing was changed. The preflight, above, stands in the way of all this.'
  say 'Nothing was changed.'
elif wanted skerry; then
  say "Region $region_id is installed. See how it is: kubectl -n skerry get pods"
else
  say 'Done.'
fi

#!/bin/sh
# Removes a region, in the order that finalizers need. It can be run again at any point. See docs/installing.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/bootstrap/common.sh
. "$here/common.sh"
# shellcheck source=deploy/bootstrap/keeping.sh
. "$here/keeping.sh"

usage() {
  cat <<'END'
uninstall.sh [options]: removes what install.sh installed, and nothing else. Data stays unless an option says otherwise.

  --context NAME         the context of the kubeconfig; default: the current one
  --dry-run              print what would be removed, and change nothing
  --yes                  do not ask
  --keep-databases       keep databases, with the Crate Operator and its CRD; remove everything else
  --delete-databases     delete databases with their projects. Their volumes stay
  --delete-deployments   delete everything that Flux deployed
  --delete-volumes       delete volumes with their owners: the data is lost
  --delete-definitions   delete CRDs, and with them all their objects, including certificates of others
  --delete-keys          delete Secrets that cannot be recreated with their namespaces, including sealing keys and ACME accounts: what was
                         sealed can never be opened again
  --forget               delete the key by which the cloud knows this region: to join again, it needs a new token, and is a new region there
  --release-finalizers   remove the finalizers of objects whose controller never comes back; what it would have cleaned up is lost
  --only COMPONENT       only this one; may be repeated
  --timeout SECONDS      how long to wait for each object to go; default: 600
  --components FILE      the list that install.sh was given
  --log FILE             default: skerry-install.log

Exit status: 0 all is removed, 1 a step failed, 2 wrong arguments, 3 refused to start
END
}

keep_databases='' delete_databases='' delete_deployments='' delete_volumes='' delete_definitions='' delete_keys='' release_finalizers='' forget=''
only='' components=$here/components
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit 0 ;;
    --dry-run) dry_run=1 ;;
    --yes | -y) yes=1 ;;
    --keep-databases) keep_databases=1 ;;
    --delete-databases) delete_databases=1 ;;
    --delete-deployments) delete_deployments=1 ;;
    --delete-volumes) delete_volumes=1 ;;
    --delete-definitions) delete_definitions=1 ;;
    --delete-keys) delete_keys=1 ;;
    --release-finalizers) release_finalizers=1 ;;
    --forget) forget=1 ;;
    --context | --only | --timeout | --components | --log)
      if [ $# -lt 2 ] || [ -z "$2" ]; then refuse "$1 needs a value" 'See --help.'; fi
      case $1 in
        --context) context=$2 ;;
        --only) only="$only $2" ;;
        --timeout) wait_seconds=$2 ;;
        --components) components=$2 ;;
        --log) log_file=$2 ;;
      esac
      shift
      ;;
    *) refuse "unrecognized option $1" 'See --help.' ;;
  esac
  shift
done
if [ -n "$keep_databases" ] && [ -n "$delete_databases" ]; then refuse '--keep-databases and --delete-databases cannot be combined'; fi
if [ -n "$keep_databases" ] && [ -n "$delete_definitions" ]; then refuse '--keep-databases and --delete-definitions cannot be combined' 'Deleting a CRD deletes its databases.'; fi
if [ -n "$only" ] && [ -n "$delete_databases$delete_definitions" ]; then
  refuse '--only cannot be combined with --delete-databases or --delete-definitions' 'They need the complete order: databases before their operator, CRDs at the end.'
fi
if [ -n "$only" ] && [ -n "$delete_keys" ]; then refuse '--only cannot be combined with --delete-keys' 'Keys are deleted with their namespaces, and --only keeps the namespaces.'; fi
case $wait_seconds in '' | *[!0-9]*) refuse "--timeout takes seconds, not $wait_seconds" ;; esac

check_components "$components"
need_tools
make_scratch
open_log
need_cluster
[ -n "$dry_run" ] || take_lock

# The components in reverse order.
component_rows "$components" | sed '1!G;h;$!d' >"$scratch/rows"
known=$(cut -d ' ' -f 1 "$scratch/rows" | tr '\n' ' ')
for each in $only; do among "$each" "$known" || refuse "unknown component $each" "Known components: $known"; done
if [ -n "$forget" ] && [ -n "$only" ] && ! among skerry "$only"; then refuse '--forget cannot be combined with --only, except --only skerry' 'While Skerry runs, it would make another key.'; fi
wanted() {
  case $1 in crate-operator | crate-operator-crds) [ -z "$keep_databases" ] || return 1 ;; esac
  [ -z "$only" ] || among "$1" "$only"
}
# Without --only, more than components is removed.
everything() { [ -z "$only" ]; }

# objects KIND [SELECTOR]: prints NAMESPACE/NAME of each object; nothing if the kind is not served. Fails if they cannot be listed.
objects() {
  grep -q "/$1\$" "$scratch/served" || return 0
  kube get "$1" -A ${2:+-l "$2"} -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}' 2>"$scratch/output"
}
flux_kinds='helmreleases.helm.toolkit.fluxcd.io kustomizations.kustomize.toolkit.fluxcd.io helmcharts.source.toolkit.fluxcd.io gitrepositories.source.toolkit.fluxcd.io helmrepositories.source.toolkit.fluxcd.io ocirepositories.source.toolkit.fluxcd.io buckets.source.toolkit.fluxcd.io'
deployments() {
  for kind in $flux_kinds; do
    objects "$kind" "$1" >"$scratch/of-kind" || return 1
    sed "s,^,$kind ," "$scratch/of-kind"
  done
}
listed() { sed 's/^/       /'; }

# selector_of COMPONENT: sets selector to the objects of the component that are ours: all of them, unless somebody else has installed it.
selector_of() {
  present=$(while read -r name _ _ _ _ _ _ present _; do if [ "$name" = "$1" ]; then printf '%s\n' "$present"; fi; done <"$scratch/rows")
  selector=''
  if [ -z "$present" ] || is_ours "$1"; then return 0; fi
  elsewhere "$present"
  [ -z "$other" ] || selector=app.kubernetes.io/managed-by=skerry
}

# An object that could not be listed must not count as absent.
unseen() { failed "$1 cannot be listed"; }
see_definitions() { kube get customresourcedefinitions -o name >"$scratch/served" 2>"$scratch/output" || unseen definitions; }
step_help='use an account that can read everything that would be removed'
see_definitions
kube get secrets -A -l "owner=helm,$label" -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.labels.name}{"\n"}{end}' >"$scratch/found" 2>"$scratch/output" || unseen releases
while read -r name _ _ _ _ namespace _ <&4; do
  if wanted "$name" && grep -qx "$namespace $name" "$scratch/found"; then printf '%s %s\n' "$namespace" "$name"; fi
done 4<"$scratch/rows" >"$scratch/releases-here"
is_ours() { grep -q " $1\(-crds\)\{0,1\}\$" "$scratch/releases-here"; }

selector_of crate-operator
database_selector=$selector
objects cratedbs.cloud.crate.io "$database_selector" >"$scratch/databases" || unseen databases
objects projects.skerry.dev >"$scratch/found" || unseen projects
sed 's,^/,,' "$scratch/found" >"$scratch/projects"
: >"$scratch/deployments"
if wanted flux; then
  selector_of flux
  # Somebody else's Flux stays with its deployments, except Skerry's own with --delete-deployments.
  if [ -z "$selector" ] || [ -n "$delete_deployments" ]; then deployments "$selector" >"$scratch/deployments" || unseen 'deployments of Flux'; fi
fi

# our_definitions: writes /NAME of each CRD of the components. Components that somebody else has installed keep theirs.
groups='skerry.dev cloud.crate.io cert-manager.io monitoring.coreos.com toolkit.fluxcd.io bitnami.com'
our_definitions() {
  foreign=''
  while read -r _ _ _ _ _ _ _ present _ definition _ <&4; do
    if [ "$present" = - ] || [ "$definition" = - ]; then continue; fi
    elsewhere "$present"
    [ -n "$other" ] || continue
    for group in $groups; do
      case $definition in *."$group") foreign="$foreign $group" ;; esac
    done
  done 4<"$scratch/rows"
  see_definitions
  while read -r definition; do
    definition=${definition##*/}
    for group in $groups; do
      case $definition in *."$group") among "$group" "$foreign" || printf '/%s\n' "$definition" ;; esac
    done
  done <"$scratch/served" >"$scratch/definitions"
}

# The Prometheus Operator's Service for the kubelets is in no release. It is labelled before the operator goes, so that a later run finds it
# and can tell it from that of another operator.
kubelet_service() {
  : >"$scratch/kubelets"
  kube -n kube-system get services -l app.kubernetes.io/managed-by=prometheus-operator --field-selector metadata.name=prometheus-kubelet -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.labels.app\.kubernetes\.io/part-of}{"\n"}{end}' >"$scratch/found-kubelets" 2>"$scratch/output" || unseen 'Services in kube-system'
  [ -s "$scratch/found-kubelets" ] || return 0
  if grep -q ' prometheus$' "$scratch/releases-here" || { wanted prometheus && grep -q ' skerry$' "$scratch/found-kubelets"; }; then
    echo kube-system/prometheus-kubelet >"$scratch/kubelets"
  fi
}

# The key by which the cloud knows the region.
: >"$scratch/identity"
if wanted skerry; then
  kube -n skerry get secret skerry-identity --ignore-not-found -o 'jsonpath={.metadata.name} in skerry{"\n"}' >"$scratch/identity" 2>"$scratch/output" || unseen 'Secrets in skerry'
fi

# --- what would go
# tell WHAT FILE: prints a line for each one in the file.
tell() { [ ! -s "$2" ] || say "$(sed "s|^/*|       $1 |" "$2")"; }

[ -z "$delete_definitions" ] || our_definitions
: >"$scratch/staying" && : >"$scratch/lost"
kubelet_service
say "Cluster $(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}')"
say 'What would be removed:'
if [ -s "$scratch/releases-here" ]; then say "$(sed 's/^\(.*\) \(.*\)$/       release \2 in \1/' "$scratch/releases-here")"; else say '       no release of this installer'; fi
tell service "$scratch/kubelets"
if [ -n "$delete_databases" ]; then
  tell database "$scratch/databases"
  tell project "$scratch/projects"
fi
[ -z "$delete_deployments" ] || tell deployment: "$scratch/deployments"
if everything; then
  going_namespaces
  tell namespace "$scratch/going"
fi
[ -z "$delete_definitions" ] || tell CRD "$scratch/definitions"
tell 'FOREVER: Secret' "$scratch/lost"
if [ -n "$forget" ]; then
  tell 'FOREVER: Secret' "$scratch/identity"
  if [ -s "$scratch/identity" ]; then say '       its cloud never knows this region again: to join, it needs a new token, and is a new region there'; fi
fi
if grep -q 'a sealing key' "$scratch/lost"; then say '       everything sealed for this region can never be opened again'; fi
[ -z "$delete_volumes" ] || say '       their volumes, WITH ALL DATA'
say 'What would stay:'
everything || say '       namespaces'
[ -n "$delete_volumes" ] || say '       volumes'
if [ -z "$forget" ] && [ -s "$scratch/identity" ]; then say '       the Secret skerry-identity, by which its cloud knows this region (--forget loses it)'; fi
[ -n "$delete_definitions" ] || say '       CRDs, with all their objects'
tell namespace "$scratch/staying"

if [ -s "$scratch/databases" ] && [ -z "$keep_databases$delete_databases" ] && { wanted crate-operator || wanted crate-operator-crds || wanted skerry; }; then
  stop 'Refused: databases exist.' "$(listed <"$scratch/databases")" \
    'Pass --keep-databases to leave them and the Crate Operator running, or --delete-databases to delete them (their volumes stay).'
fi
if [ -s "$scratch/deployments" ] && [ -z "$delete_deployments" ]; then
  stop 'Refused: without Flux, these would hang when they are deleted, and their namespaces with them.' "$(listed <"$scratch/deployments")" \
    'Delete them first, or pass --delete-deployments.'
fi
if [ -s "$scratch/projects" ] && [ -n "$delete_definitions" ] && [ -z "$delete_databases" ]; then
  stop 'Refused: projects exist, and would hang without the agent when their CRD is deleted.' "$(listed <"$scratch/projects")" \
    'Pass --delete-databases too, which deletes projects with their namespaces and databases, or omit --delete-definitions.'
fi
if [ -n "$dry_run" ]; then
  say 'Nothing was changed.'
  exit 0
fi
confirm 'Remove all this?'

# --- in the order that finalizers need
# A chart's claims, or those of its StatefulSets, may be deleted with the release.
remove_release() {
  printf '%s\n' "$1" >"$scratch/namespaces"
  decide_on_volumes "$scratch/namespaces"
  if [ -n "$delete_definitions" ]; then uninstall_release "$1" "$2"; else take_release "$1" "$2"; fi
  change "delete the saved values of $2" kube -n "$1" delete secret "skerry-install-$2" --ignore-not-found || failed 'its values cannot be deleted'
}

# Whether the policy of deletion protection refused the last command although it is deleted: an API server enforces a policy for another
# second or two. If Skerry stays, so does its policy, and its refusal is shown.
policy_lingers() {
  grep -q "ValidatingAdmissionPolicy 'skerry-deletion-protection'" "$scratch/output" || return 1
  kube get validatingadmissionpolicies.admissionregistration.k8s.io skerry-deletion-protection --ignore-not-found -o name >"$scratch/exists" 2>>"$log_file"
  [ ! -s "$scratch/exists" ]
}

# delete_objects KIND WHO FILE: deletes NAMESPACE/NAME of each line, and waits until WHO has removed its finalizers.
delete_objects() {
  while IFS=/ read -r namespace name <&5; do
    refused=0
    until change "delete $1 $namespace/$name" kube ${namespace:+-n "$namespace"} delete "$1" "$name" --ignore-not-found --wait=false; do
      refused=$((refused + 1))
      if [ "$refused" -gt 30 ] || ! policy_lingers; then failed "$1 $name cannot be deleted"; fi
      sleep 1
    done
  done 5<"$3"
  while IFS=/ read -r namespace name <&5; do
    change '' kube ${namespace:+-n "$namespace"} wait --for=delete "$1/$name" "--timeout=${wait_seconds}s" && continue
    exists ${namespace:+-n "$namespace"} "$1" "$name" || continue
    [ -n "$release_finalizers" ] || {
      hangs "$1" "$2" "$name"
      continue
    }
    say "       removing the finalizers of $1 $name"
    change '' kube ${namespace:+-n "$namespace"} patch "$1" "$name" --type=merge -p '{"metadata":{"finalizers":null}}' || {
      # It may be gone by now.
      if exists ${namespace:+-n "$namespace"} "$1" "$name"; then failed "$1 $name cannot be released"; fi
    }
    # The objects in a namespace have their own finalizers.
    [ "$1" != namespaces ] || change '' kube wait --for=delete "namespace/$name" "--timeout=${wait_seconds}s" || hangs "$1" "$2" "$name"
  done 5<"$3"
}

# hangs KIND WHO NAME: fails and says what the object waits for; for a namespace, also its objects. Returns if a namespace is gone by now.
hangs() {
  step_help="$2 must run to let it go; start it again"
  why="$1 $3 waits for $(kube ${namespace:+-n "$namespace"} get "$1" "$3" --ignore-not-found -o 'jsonpath={.metadata.finalizers}')"
  if [ "$1" = namespaces ]; then
    why_namespace_hangs "$3" || return 0
    why="the namespace $3 is stuck in deletion"
    grep -q 'the namespace itself waits' "$scratch/output" || failed "$why"
  fi
  step_help="$step_help. If it never will: the same command with --release-finalizers, which loses what it would have cleaned up"
  failed "$why"
}

# The agent's finalizer holds each project until its namespace is gone. By now the namespaces are gone, and so is the agent.
release_projects() {
  while read -r name <&5; do
    held=$(kube get projects.skerry.dev "$name" --ignore-not-found -o 'jsonpath={.metadata.finalizers}') || failed "the project $name cannot be read"
    [ "$held" = '["skerry.dev/project"]' ] || continue
    change "let the project $name go" kube patch projects.skerry.dev "$name" --type=merge -p '{"metadata":{"finalizers":null}}' && continue
    if exists projects.skerry.dev "$name"; then failed "the project $name cannot be released"; fi
  done 5<"$scratch/projects"
}

step_total=$(grep -c . "$scratch/releases-here" || :)
if [ -n "$delete_databases" ]; then step_total=$((step_total + 2)); fi
if [ -s "$scratch/kubelets" ]; then step_total=$((step_total + 1)); fi
if [ -n "$forget" ]; then step_total=$((step_total + 1)); fi
if [ -s "$scratch/deployments" ]; then step_total=$((step_total + 1)); fi
if [ -n "$delete_definitions" ]; then step_total=$((step_total + 1)); fi
if everything; then step_total=$((step_total + 1)); fi

# Skerry goes first, so that no new requests are accepted. An operator goes after the objects that wait for it.
if grep -q ' skerry$' "$scratch/releases-here"; then
  begin skerry 'the agent, the monitor and the tunnel' 'see the last lines above'
  remove_release "$(sed -n 's/ skerry$//p' "$scratch/releases-here")" skerry
  ended 'gone'
fi
# After the agent and its rights, or it would make another key.
if [ -n "$forget" ]; then
  begin identity 'the key by which the cloud knows the region' 'remove Skerry first, with what installed it'
  if exists -n skerry deployment skerry-agent; then failed 'the agent is still installed, and would make another key'; fi
  step_help='see the last lines above'
  change 'delete the Secrets skerry-identity and skerry-join' kube -n skerry delete secrets skerry-identity skerry-join --ignore-not-found || failed 'they cannot be deleted'
  if grep -q '/registrations\.skerry\.dev$' "$scratch/served"; then
    change 'delete the Registration' kube -n skerry delete registrations.skerry.dev cloud --ignore-not-found || failed 'the Registration cannot be deleted'
  fi
  ended 'forgotten'
fi
if [ -n "$delete_databases" ]; then
  begin databases "$(grep -c . "$scratch/databases" || :)" 'see the last lines above'
  decide_on_project_volumes
  delete_objects cratedbs.cloud.crate.io 'the Crate Operator' "$scratch/databases"
  ended 'gone'
  begin projects "$(grep -c . "$scratch/projects" || :)" 'see what is left: kubectl get namespaces; kubectl get namespace NAME -o yaml'
  kube get namespaces -l app.kubernetes.io/managed-by=skerry -o 'jsonpath={range .items[*]}/{.metadata.name}{"\n"}{end}' >"$scratch/namespaces" 2>"$scratch/output" || unseen namespaces
  delete_objects namespaces 'the controller of its objects' "$scratch/namespaces"
  release_projects
  sed 's,^,/,' "$scratch/projects" >"$scratch/project-objects"
  delete_objects projects.skerry.dev 'the agent' "$scratch/project-objects"
  ended 'gone'
fi
if [ -s "$scratch/deployments" ]; then
  begin deployments "$(grep -c . "$scratch/deployments")" 'see the last lines above'
  for kind in $flux_kinds; do
    sed -n "s,^$kind ,,p" "$scratch/deployments" >"$scratch/of-kind"
    if [ -s "$scratch/of-kind" ]; then delete_objects "$kind" 'Flux' "$scratch/of-kind"; fi
  done
  ended 'gone'
fi
while read -r namespace name <&4; do
  [ "$name" != skerry ] || continue
  begin "$name" "in $namespace" 'see the last lines above'
  if [ "$name" = prometheus ] && [ -s "$scratch/kubelets" ]; then
    change 'label its Service in kube-system' kube -n kube-system label service prometheus-kubelet "$label" --overwrite || failed 'its Service in kube-system cannot be labelled'
  fi
  remove_release "$namespace" "$name"
  ended 'gone'
done 4<"$scratch/releases-here"
if [ -s "$scratch/kubelets" ]; then
  begin kubelets 'the Service prometheus-kubelet in kube-system' 'see the last lines above'
  # The Service goes last, because it has the label.
  change 'delete its endpoints' kube -n kube-system delete endpointslices -l kubernetes.io/service-name=prometheus-kubelet || failed 'its endpoints cannot be deleted'
  change 'delete its endpoints' kube -n kube-system delete endpoints prometheus-kubelet --ignore-not-found || failed 'its endpoints cannot be deleted'
  change 'delete it' kube -n kube-system delete service prometheus-kubelet --ignore-not-found || failed 'it cannot be deleted'
  ended 'gone'
fi

if [ -n "$delete_definitions" ]; then
  begin definitions 'and all objects of their kinds' 'objects with finalizers hold them: start the controllers of these again. If they never will: the same command with --release-finalizers, which loses what they would have cleaned up'
  our_definitions
  if [ -n "$release_finalizers" ]; then
    while IFS=/ read -r _ definition <&5; do
      objects "$definition" >"$scratch/objects" || unseen "$definition"
      while IFS=/ read -r namespace name <&6; do
        change '' kube ${namespace:+-n "$namespace"} patch "$definition" "$name" --type=merge -p '{"metadata":{"finalizers":null}}' || :
      done 6<"$scratch/objects"
    done 5<"$scratch/definitions"
  fi
  delete_objects customresourcedefinitions 'the controller of its objects' "$scratch/definitions"
  ended 'gone'
fi

if everything; then
  begin namespaces 'those that install.sh made' 'see what is left in it: kubectl get namespace NAME -o yaml'
  going_namespaces
  # Claims that an earlier run kept go with the namespaces.
  sed 's,^/,,' "$scratch/going" >"$scratch/namespaces"
  decide_on_volumes "$scratch/namespaces"
  delete_objects namespaces 'the controller of its objects' "$scratch/going"
  ended "$(grep -c . "$scratch/going" || :) gone"
fi

# with_reasons: prints the namespaces, each with the reason why it stays.
with_reasons() {
  awk -v staying="$scratch/staying" '
    BEGIN { while ((getline line <staying) > 0) { name = line; sub(/:.*/, "", name); reasons[name] = substr(line, length(name) + 1) } }
    { print "       namespace " $1 reasons[$1] }
  '
}

our_definitions
kubelet_service
selector_of prometheus
say 'What is left:'
{
  objects cratedbs.cloud.crate.io "$database_selector" | sed 's/^/       database /'
  objects projects.skerry.dev | sed 's,^/,       project ,'
  sed 's,^/,       definition ,' "$scratch/definitions"
  kube get namespaces -l "$label" -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | with_reasons
  # Somebody else's Prometheus has its own.
  if everything && [ -s "$scratch/found-kubelets" ] && [ -z "$selector" ]; then echo '       service kube-system/prometheus-kubelet'; fi
  kube get persistentvolumes -o 'jsonpath={range .items[*]}       volume {.metadata.name} ({.spec.claimRef.namespace}/{.spec.claimRef.name}, {.status.phase}){"\n"}{end}'
  if kube get persistentvolumes -l skerry.dev/database -o 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | grep -q '^Released$'; then
    echo '       the databases of released volumes can be had back: install again, and see kubectl --namespace skerry get retaineddatabases'
  fi
} 2>>"$log_file" >"$scratch/left"
if [ -s "$scratch/left" ]; then say "$(cat "$scratch/left")"; else say '       nothing'; fi

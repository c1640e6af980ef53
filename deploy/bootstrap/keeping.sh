# shellcheck shell=sh
# What stays when a region is removed: volumes, CRDs with all their objects, and namespaces with objects that cannot be recreated. Sourced
# by uninstall.sh, and by install.sh for take_release. POSIX sh.
# shellcheck disable=SC2154 # uninstall.sh sets these variables

# --- volumes
# keep_volumes FILE: keeps the volumes of the claims in the file's namespaces beyond their claims, with the same labels and annotations as
# those that the agent keeps, so that they can be found and used again (docs/operating.md, "Restore").
keep_volumes() {
  kube get persistentvolumes -o 'jsonpath={range .items[?(@.spec.claimRef)]}{.metadata.name} {.spec.claimRef.namespace} {.spec.claimRef.name} {.spec.persistentVolumeReclaimPolicy}{"\n"}{end}' >"$scratch/volumes" 2>"$scratch/output" || unseen volumes
  while read -r volume namespace claim policy <&6; do
    grep -qx "$namespace" "$1" || continue
    project=$(kube get namespace "$namespace" --ignore-not-found -o 'jsonpath={.metadata.labels.skerry\.dev/project}') || failed "the namespace $namespace cannot be read"
    database=''
    if [ -n "$project" ]; then
      database=$(kube -n "$namespace" get persistentvolumeclaim "$claim" --ignore-not-found -o 'jsonpath={.metadata.labels.app\.kubernetes\.io/name}') ||
        failed "the claim $claim in $namespace cannot be read"
    fi
    labels=${project:+"\"skerry.dev/project\":\"$project\""}${database:+",\"skerry.dev/database\":\"$database\""}
    annotations="\"skerry.dev/retained-from\":\"$namespace/$claim\",\"skerry.dev/let-go-by\":null"
    [ "$policy" = Retain ] || annotations="$annotations,\"skerry.dev/reclaim-policy\":\"$policy\""
    change "keep the volume $volume" kube patch persistentvolume "$volume" --type=merge -p \
      "{\"metadata\":{\"labels\":{$labels},\"annotations\":{$annotations}},\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}" ||
      failed "the volume $volume cannot be kept"
  done 6<"$scratch/volumes"
}

# let_go_volumes FILE: the volumes of the claims in the file's namespaces that the agent or an earlier run kept get their former reclaim
# policy back, and go with their claims. Those without a recorded policy keep the policy of their class.
let_go_volumes() {
  kube get persistentvolumes -o 'jsonpath={range .items[?(@.status.phase=="Bound")]}{.metadata.name} {.spec.claimRef.namespace} {.spec.persistentVolumeReclaimPolicy} {.metadata.annotations.skerry\.dev/reclaim-policy}{"\n"}{end}' >"$scratch/volumes" 2>"$scratch/output" || unseen volumes
  while read -r volume namespace policy before <&6; do
    if [ "$policy" != Retain ] || [ -z "$before" ]; then continue; fi
    grep -qx "$namespace" "$1" || continue
    change "let the volume $volume go" kube patch persistentvolume "$volume" --type=merge -p \
      "{\"metadata\":{\"annotations\":{\"skerry.dev/let-go-by\":\"uninstall\"}},\"spec\":{\"persistentVolumeReclaimPolicy\":\"$before\"}}" ||
      failed "the volume $volume cannot be let go"
  done 6<"$scratch/volumes"
}

# decide_on_volumes FILE: keeps the volumes, unless --delete-volumes is given.
decide_on_volumes() {
  if [ -n "$delete_volumes" ]; then let_go_volumes "$1"; else keep_volumes "$1"; fi
}

# A claim goes with its database. Whether its volume goes too depends on --delete-volumes.
decide_on_project_volumes() {
  kube get namespaces -l app.kubernetes.io/managed-by=skerry -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' >"$scratch/namespaces" 2>"$scratch/output" || unseen namespaces
  cut -d / -f 1 "$scratch/databases" >>"$scratch/namespaces"
  decide_on_volumes "$scratch/namespaces"
}

# --- releases, with the definitions among their templates
# take_release NAMESPACE NAME: removes the release's objects, but no CRD, which would take all its objects along. Helm reads from the
# newest revision, not from the object, whether to keep it: it would delete a CRD that is not marked there.
take_release() {
  helm_ get manifest "$2" --namespace "$1" >"$scratch/made" 2>"$scratch/output" || {
    grep -q 'not found' "$scratch/output" && return 0
    failed "the objects of the release $2 cannot be read"
  }
  sort_made
  if [ -s "$scratch/made-definitions" ]; then
    take_apart "$1" "$2"
  else
    uninstall_release "$1" "$2"
  fi
}
uninstall_release() { change "uninstall $2" helm_ uninstall "$2" --namespace "$1" --ignore-not-found --timeout "${wait_seconds}s" || failed 'helm did not uninstall it'; }

# Splits $scratch/made into CRDs that helm would delete, objects with a namespace and objects without, in helm's order of deletion.
sort_made() {
  : >"$scratch/made-definitions" && : >"$scratch/made-there" && : >"$scratch/made-here"
  awk -v scratch="$scratch/made-" '
    function ended() {
      if (text ~ /(^|\n)kind:/ && !keep) { count++; kinds[count] = kind; texts[count] = text }
      text = kind = ""; inside = keep = 0
    }
    /^---/ { ended(); next }
    /^[a-z]/ { inside = /^metadata:/ }
    inside && /helm\.sh\/resource-policy["\047]?: *["\047]?keep/ { keep = 1 }
    inside && /^  namespace:/ && kind == "" { kind = "there" }
    /^kind: *["\047]?CustomResourceDefinition/ { kind = "definitions" }
    { text = text $0 "\n" }
    END {
      ended()
      for (; count > 0; count--) printf "---\n%s", texts[count] >(scratch (kinds[count] == "" ? "here" : kinds[count]))
    }
  ' "$scratch/made"
}

# take_apart NAMESPACE NAME: removes a release without helm. Its record goes last, so that an interrupted run can continue.
take_apart() {
  say '       the CRDs among its templates stay, with all their objects'
  [ ! -s "$scratch/made-here" ] || change "delete the objects of the release $2" kube -n "$1" delete -f "$scratch/made-here" --ignore-not-found --wait=false ||
    failed "the objects of the release $2 cannot be deleted"
  [ ! -s "$scratch/made-there" ] || change "delete the objects of the release $2" kube delete -f "$scratch/made-there" --ignore-not-found --wait=false ||
    failed "the objects of the release $2 cannot be deleted"
  change "delete the record of the release $2" kube -n "$1" delete secrets -l "owner=helm,name=$2" || failed "the release $2 cannot be deleted"
}

# --- namespaces
# A line per object that is not being deleted: namespace, kind, name, and marks of its creator.
marked='go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.namespace}} {{.kind}} {{.metadata.name}}{{if .metadata.ownerReferences}} owned{{end}}'
marked=$marked'{{with .metadata.labels}}{{with index . "app.kubernetes.io/part-of"}} part-of={{.}}{{end}}{{with index . "app.kubernetes.io/managed-by"}} managed-by={{.}}{{end}}{{with index . "sealedsecrets.bitnami.com/sealed-secrets-key"}} sealing{{end}}{{end}}'
marked=$marked'{{with .metadata.annotations}}{{with index . "meta.helm.sh/release-name"}} release={{.}}{{end}}{{with index . "helm.sh/resource-policy"}} policy={{.}}{{end}}{{with index . "control-plane.alpha.kubernetes.io/leader"}} leader{{end}}{{end}}'
marked=$marked'{{range .metadata.managedFields}} manager={{.manager}}{{end}}{{"\n"}}{{end}}{{end}}'

# of_others FILE: prints the lines of objects that were created by neither this installer nor the region nor a release that goes, that no
# other object owns, and that no component or cluster recreates by itself.
of_others() {
  awk -v going="$scratch/releases-here" -v remade="$scratch/remade" '
    BEGIN {
      while ((getline line <going) > 0) releases[line]
      while ((getline line <remade) > 0) again[line]
    }
    {
      keep = release = 0
      for (at = 4; at <= NF; at++) {
        if ($at ~ /^(owned|leader|part-of=skerry|managed-by=skerry|manager=skerry-install)$/) next
        if ($at ~ /^release=/) release = substr($at, 9)
        if ($at == "policy=keep") keep = 1
      }
      if (!keep && ($1 " " release) in releases) next
      if ($2 == "Secret" && ($1 " " $3) in again) next
      if ($2 == "ConfigMap" && $3 ~ /^(kube-root-ca\.crt|openshift-service-ca\.crt|istio-ca-root-cert)$/) next
      print
    }
  ' "$1"
}

# Joins the first six lines.
named() { sort -u | awk 'NR > 6 { next } { printf "%s%s", (NR > 1 ? ", " : ""), $0 } END { if (NR > 6) printf " and %d more", NR - 6 }'; }

# Writes the custom objects in namespaces, except those that this run deletes: a namespace takes its objects along. Operations are left
# out because they belong to projects.
custom_objects() {
  kube get customresourcedefinitions -o 'go-template={{range .items}}{{if eq .spec.scope "Namespaced"}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{range .status.conditions}}{{if eq .type "Established"}}{{.status}}{{end}}{{end}} {{range .spec.versions}}{{.served}}{{end}}{{"\n"}}{{end}}{{end}}{{end}}' >"$scratch/found" 2>"$scratch/output" || unseen definitions
  {
    echo operations.skerry.dev
    [ -z "$delete_databases" ] || echo cratedbs.cloud.crate.io
    [ -z "$delete_deployments" ] || printf '%s\n' "$flux_kinds" | tr ' ' '\n'
    [ -z "$delete_definitions" ] || sed 's,^/,,' "$scratch/definitions"
  } >"$scratch/leaving"
  kinds=$(awk '$2 == "True" && $3 ~ /true/ { print $1 }' "$scratch/found" | grep -vxF -f "$scratch/leaving" | tr '\n' ',')
  : >"$scratch/custom"
  [ -n "$kinds" ] || return 0
  kube get "${kinds%,}" -A -o "$marked" >"$scratch/custom" 2>"$scratch/output" || unseen 'objects of other definitions'
}

# what_holds NAMESPACE: writes into $scratch/reasons why the namespace stays; nothing if it can go.
what_holds() {
  : >"$scratch/reasons" && : >"$scratch/keys"
  case $keep_databases,$1 in 1,crate-operator | 1,skerry) echo 'databases stay' >"$scratch/reasons" && return ;; esac
  # Operations, the fingerprint key and pull secrets belong to the projects.
  if [ "$1" = skerry ] && [ -s "$scratch/projects" ] && [ -z "$delete_databases" ]; then echo 'projects exist' >"$scratch/reasons" && return; fi
  kube -n "$1" get secrets -l 'owner=helm,app.kubernetes.io/part-of!=skerry' -o 'jsonpath={range .items[*]}the release {.metadata.labels.name}{"\n"}{end}' >"$scratch/foreign" 2>"$scratch/output" || unseen "releases in $1"
  kube -n "$1" get configmaps,persistentvolumeclaims,deployments,statefulsets,daemonsets,cronjobs -o "$marked" >"$scratch/found" 2>"$scratch/output" || unseen "objects in $1"
  kube -n "$1" get secrets --field-selector 'type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token' -o "$marked" >"$scratch/secrets" 2>"$scratch/output" || unseen "Secrets in $1"
  awk -v place="$1" '$1 == place' "$scratch/custom" >>"$scratch/found"
  awk '$2 != "PersistentVolumeClaim"' "$scratch/found" >"$scratch/work"
  of_others "$scratch/work" | awk '{ print $2, $3 }' >>"$scratch/foreign"
  [ ! -s "$scratch/foreign" ] || printf 'not from this installer: %s\n' "$(named <"$scratch/foreign")" >>"$scratch/reasons"
  # A claim that is being deleted does not count: its volume stays anyway.
  if [ -z "$delete_volumes" ] && awk '$2 == "PersistentVolumeClaim"' "$scratch/found" | grep -q .; then
    echo 'volumes are in it (--delete-volumes loses their data)' >>"$scratch/reasons"
  fi
  if [ -z "$forget" ] && awk '$3 == "skerry-identity"' "$scratch/secrets" | grep -q .; then
    echo 'its cloud knows this region by the Secret skerry-identity (--forget loses it)' >>"$scratch/reasons"
  fi
  of_others "$scratch/secrets" | awk '{ print $3 (/ sealing( |$)/ ? " (a sealing key)" : "") }' >"$scratch/keys"
  # The agent finds kept volumes again, but not the passwords that were kept with them. With their CRD they go anyway.
  if [ "$1" = skerry ] && [ -z "$delete_definitions" ]; then
    awk '$3 ~ /^retained-/ && / owned( |$)/ { print $3 " (passwords of a deleted database)" }' "$scratch/secrets" >>"$scratch/keys"
  fi
  if [ -z "$delete_keys" ] && [ -s "$scratch/keys" ]; then
    printf 'these Secrets cannot be recreated: %s (--delete-keys loses them)\n' "$(named <"$scratch/keys")" >>"$scratch/reasons"
  fi
}

# Writes /NAME of the namespaces that go: those that install.sh created and that nothing holds. Also NAME and reasons of those that stay
# and, with --delete-keys, the Secrets that go with a namespace and cannot be recreated.
going_namespaces() {
  : >"$scratch/going" && : >"$scratch/staying" && : >"$scratch/lost"
  custom_objects
  while read -r name _ _ _ _ namespace _ <&4; do
    for each in $(about "$components" "$name" remade); do printf '%s %s\n' "$namespace" "$each"; done
  done 4<"$scratch/rows" >"$scratch/remade"
  kube get namespaces -l "$label,app.kubernetes.io/managed-by!=skerry" -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.deletionTimestamp}{"\n"}{end}' >"$scratch/namespaces" 2>"$scratch/output" || unseen namespaces
  while read -r namespace leaving <&5; do
    if [ -z "$leaving" ]; then
      what_holds "$namespace"
      if [ -s "$scratch/reasons" ]; then
        printf '%s: %s\n' "$namespace" "$(sed '$!s/$/; /' "$scratch/reasons" | tr -d '\n')" >>"$scratch/staying"
        continue
      fi
      sed "s,\$, in $namespace," "$scratch/keys" >>"$scratch/lost"
    fi
    printf '/%s\n' "$namespace" >>"$scratch/going"
  done 5<"$scratch/namespaces"
}

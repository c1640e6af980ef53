# shellcheck shell=sh
# What stays when a region is taken away: the volumes of what goes, definitions with all objects of their kinds, and namespaces in which is
# what nobody can make again. Sourced by uninstall.sh; take_release also by install.sh. POSIX sh.
# shellcheck disable=SC2154 # uninstall.sh sets what is used here

# --- volumes
# keep_volumes FILE: the volumes behind the claims of the namespaces in it stay when their claims go, and bear whose they were, as
# those bear that the agent keeps, so that they can be found and taken back (docs/operating.md, "Restore").
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

# let_go_volumes FILE: the volumes behind the claims of the namespaces in it that were told to stay, by the agent or by an earlier run,
# have the policy again that they had before, and go with their claims. Those of which no policy is noted stay as their class has them.
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

# decide_on_volumes FILE: they stay, unless this run was told to delete them.
decide_on_volumes() {
  if [ -n "$delete_volumes" ]; then let_go_volumes "$1"; else keep_volumes "$1"; fi
}

# A claim belongs to its database and goes with it. Whether the volume behind it goes as well is for this run to say.
decide_on_project_volumes() {
  kube get namespaces -l app.kubernetes.io/managed-by=skerry -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' >"$scratch/namespaces" 2>"$scratch/output" || unseen namespaces
  cut -d / -f 1 "$scratch/databases" >>"$scratch/namespaces"
  decide_on_volumes "$scratch/namespaces"
}

# --- releases, with the definitions among their templates
# take_release NAMESPACE NAME: what the release has made goes, but no definition, with which all objects of its kind would go. Helm goes by
# what the newest revision says, and not by the object: a definition that is not marked there as one to be kept would be deleted.
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

# Sorts $scratch/made: definitions that helm would delete, and, from the end on, as helm deletes, what says its namespace, and what does not.
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

# take_apart NAMESPACE NAME: takes a release away without helm. It is forgotten last, so that a run that was cut off can go on.
take_apart() {
  say '       the CRDs among its templates stay, with all their objects'
  [ ! -s "$scratch/made-here" ] || change "delete what $2 has made" kube -n "$1" delete -f "$scratch/made-here" --ignore-not-found --wait=false ||
    failed "what $2 has made cannot be deleted"
  [ ! -s "$scratch/made-there" ] || change "delete what $2 has made" kube delete -f "$scratch/made-there" --ignore-not-found --wait=false ||
    failed "what $2 has made cannot be deleted"
  change "delete the record of the release $2" kube -n "$1" delete secrets -l "owner=helm,name=$2" || failed "the release $2 cannot be deleted"
}

# --- namespaces
# A line for each object that is not being deleted: namespace, kind, name, and whatever tells who has made it.
marked='go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.namespace}} {{.kind}} {{.metadata.name}}{{if .metadata.ownerReferences}} owned{{end}}'
marked=$marked'{{with .metadata.labels}}{{with index . "app.kubernetes.io/part-of"}} part-of={{.}}{{end}}{{with index . "app.kubernetes.io/managed-by"}} managed-by={{.}}{{end}}{{with index . "sealedsecrets.bitnami.com/sealed-secrets-key"}} sealing{{end}}{{end}}'
marked=$marked'{{with .metadata.annotations}}{{with index . "meta.helm.sh/release-name"}} release={{.}}{{end}}{{with index . "helm.sh/resource-policy"}} policy={{.}}{{end}}{{with index . "control-plane.alpha.kubernetes.io/leader"}} leader{{end}}{{end}}'
marked=$marked'{{range .metadata.managedFields}} manager={{.manager}}{{end}}{{"\n"}}{{end}}{{end}}'

# of_others FILE: those of such lines whose objects neither this installer, nor the region, nor a release that goes has made, that belong to
# no other object, and that no component and no cluster makes again by itself.
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

# The first few of the lines, as one.
named() { sort -u | awk 'NR > 6 { next } { printf "%s%s", (NR > 1 ? ", " : ""), $0 } END { if (NR > 6) printf " and %d more", NR - 6 }'; }

# Writes the objects of all definitions that stay, but of those that this run deletes: whatever is in a namespace goes with it. An operation
# is a record of the projects.
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

# what_holds NAMESPACE: writes into $scratch/reasons why it stays, nothing when it can go.
what_holds() {
  : >"$scratch/reasons" && : >"$scratch/keys"
  case $keep_databases,$1 in 1,crate-operator | 1,skerry) echo 'databases stay' >"$scratch/reasons" && return ;; esac
  # Operations, the key of fingerprints and pull secrets belong to the projects.
  if [ "$1" = skerry ] && [ -s "$scratch/projects" ] && [ -z "$delete_databases" ]; then echo 'projects stand' >"$scratch/reasons" && return; fi
  kube -n "$1" get secrets -l 'owner=helm,app.kubernetes.io/part-of!=skerry' -o 'jsonpath={range .items[*]}the release {.metadata.labels.name}{"\n"}{end}' >"$scratch/foreign" 2>"$scratch/output" || unseen "releases in $1"
  kube -n "$1" get configmaps,persistentvolumeclaims,deployments,statefulsets,daemonsets,cronjobs -o "$marked" >"$scratch/found" 2>"$scratch/output" || unseen "what is in $1"
  kube -n "$1" get secrets --field-selector 'type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token' -o "$marked" >"$scratch/secrets" 2>"$scratch/output" || unseen "Secrets in $1"
  awk -v namespace="$1" '$1 == namespace' "$scratch/custom" >>"$scratch/found"
  awk '$2 != "PersistentVolumeClaim"' "$scratch/found" >"$scratch/work"
  of_others "$scratch/work" | awk '{ print $2, $3 }' >>"$scratch/foreign"
  [ ! -s "$scratch/foreign" ] || printf 'not from this installer: %s\n' "$(named <"$scratch/foreign")" >>"$scratch/reasons"
  # A claim that is going already holds nothing: its volume stays by itself.
  if [ -z "$delete_volumes" ] && awk '$2 == "PersistentVolumeClaim"' "$scratch/found" | grep -q .; then
    echo 'volumes are in it (--delete-volumes loses their data)' >>"$scratch/reasons"
  fi
  of_others "$scratch/secrets" | awk '{ print $3 (/ sealing( |$)/ ? " (a sealing key)" : "") }' >"$scratch/keys"
  if [ -z "$delete_keys" ] && [ -s "$scratch/keys" ]; then
    printf 'these Secrets cannot be recreated: %s (--delete-keys loses them)\n' "$(named <"$scratch/keys")" >>"$scratch/reasons"
  fi
}

# Writes /NAME of the namespaces that go: those that install.sh made and that nothing holds; NAME and why of those that stay; and, if told
# to lose them, the Secrets that go with a namespace and that nobody can make again.
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

# shellcheck shell=sh
# Finds a component, installs or upgrades it, and waits for it. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# Sets phase to the namespace's, or to nothing if there is none. Waits for the end of a namespace that is being deleted: it takes
# everything in it along, releases too.
outlive_namespace() {
  phase=$(kube get namespace "$1" --ignore-not-found -o 'jsonpath={.status.phase}' 2>"$scratch/output") || failed "the namespace $1 cannot be read"
  [ "$phase" = Terminating ] || return 0
  say "       waiting until the old namespace $1 is gone"
  if ! change "wait for the end of the namespace $1" kube wait --for=delete "namespace/$1" "--timeout=${wait_seconds}s" && why_namespace_hangs "$1"; then
    step_help="see above what is left in it. The program that holds these objects must run to let them go; start it again"
    failed "the namespace $1 is stuck in deletion"
  fi
  phase=''
  release "$namespace" "$name"
}

ensure_namespace() {
  [ -z "$phase" ] || return 0
  labels='app.kubernetes.io/part-of: skerry'
  if is_restricted; then labels="$labels, pod-security.kubernetes.io/enforce: restricted"; fi
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: { name: %s, labels: { %s } }\n' "$1" "$labels" >"$scratch/manifest"
  apply "create the namespace $1" || failed "the namespace $1 cannot be created"
}

# Skerry's own pods need nothing that the level restricted forbids, unless the user's values give them the network of the host.
is_restricted() {
  [ "$name" = skerry ] || return 1
  printf '%s' "$value_files" >"$scratch/value-files"
  while IFS= read -r each; do
    case $each in skerry=*) each=${each#*=} ;; *=*) continue ;; esac
    ! grep -q 'hostNetwork"\{0,1\} *: *true' "$each" || return 1
  done <"$scratch/value-files"
}

# Sets missing if there is no definition. Waits for the end of one that is being deleted: it would take new objects along.
outlive_definition() {
  missing=''
  [ "$definition" != - ] || return 0
  going=$(kube get customresourcedefinition "$definition" --ignore-not-found -o 'jsonpath=there {.metadata.deletionTimestamp}' 2>"$scratch/output") ||
    failed "the CRD $definition cannot be read"
  case $going in
    'there ') return 0 ;;
    '') missing=1 && return 0 ;;
  esac
  missing=1 patience=60
  [ "$wait_seconds" -gt "$patience" ] || patience=$wait_seconds
  say "       waiting until the old CRD $definition is gone"
  change "wait for the end of $definition" kube wait --for=delete "customresourcedefinition/$definition" "--timeout=${patience}s" && return 0
  kube get "$definition" -A >>"$scratch/output" 2>&1 || :
  step_help="the objects above hold it. Start the program that holds them again. If it never comes back, see that the reclaim policy of the volumes is Retain: kubectl get persistentvolumes. Then, as a last resort, which loses the object and its volumes that are not kept: kubectl -n NAMESPACE patch $definition NAME --type=merge -p '{\"metadata\":{\"finalizers\":null}}'"
  failed "the CRD $definition is stuck in deletion"
}

# bring_definitions VALUES: applies the CRDs in the chart's folder crds/. Helm installs those once and never upgrades them, so that a new
# version of the program would fail. CRDs that the chart or its values leave out are not applied.
bring_definitions() {
  brought=''
  [ -z "$dry_run" ] || return 0
  helm template "$name" "$chart_file" --namespace "$namespace" --include-crds ${server_minor:+--kube-version "1.$server_minor.0"} "$@" >"$scratch/rendered" 2>"$scratch/output" </dev/null ||
    failed 'its chart cannot be rendered'
  awk '/^---/ { text = "---\n"; inside = 0; next } /^# Source: / { inside = /\/crds\/[^\/]*$/; if (inside) printf "%s", text } inside' "$scratch/rendered" >"$scratch/manifest"
  grep -q '^kind: CustomResourceDefinition' "$scratch/manifest" || return 0
  if [ -n "$missing" ] && [ -n "$release_revision" ]; then say "       its CRD $definition is missing: restored"; fi
  apply '' || failed 'its CRDs cannot be created'
  change '' kube wait --for=condition=Established -f "$scratch/manifest" "--timeout=${wait_seconds}s" || failed 'its CRDs are not served'
  brought=1
}

# Helm decides by a release's own record which objects to delete with it, so a CRD must be marked there to be kept. A chart that does not
# mark its CRDs is wrapped in one that does, with the same name and version. Sets chart_file.
keep_definitions() {
  [ "$keep" = definitions ] && [ -z "$dry_run" ] || return 0
  kept=$scratch/kept-$name
  mkdir -p "$kept/templates"
  printf 'apiVersion: v2\nname: %s\nversion: %s\n' "$chart" "$version" >"$kept/Chart.yaml"
  printf '{{ .Files.Get "definitions.yaml" }}\n' >"$kept/templates/definitions.yaml"
  helm template "$name" "$chart_file" --namespace "$namespace" "$@" 2>"$scratch/output" </dev/null |
    kubectl annotate --local --filename - helm.sh/resource-policy=keep --output yaml >"$kept/definitions.yaml" 2>>"$scratch/output" &&
    [ -s "$kept/definitions.yaml" ] || failed 'its CRDs cannot be marked to be kept'
  chart_file=$kept
}

# Values in ascending precedence: the release's, ours, those of the token and the cluster, the user's, of this run and earlier ones.
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
  # Values that this run has found: the region's for Skerry, the storage class for the Crate Operator.
  [ ! -s "$scratch/found-$name.yaml" ] || set -- --values "$scratch/found-$name.yaml" "$@"
  [ ! -r "$here/values/$name.yaml" ] || set -- --values "$here/values/$name.yaml" "$@"
  bring_definitions "$@"
  keep_definitions "$@"
  upgrade "$@" || take_back "$@"
}
has_own_values() { printf '%s' "$value_files" | grep -q "^$name="; }

upgrade() {
  change "install $chart $version into $namespace" helm_ upgrade "$name" "$chart_file" --install --namespace "$namespace" \
    --labels "$label" --timeout "${wait_seconds}s" "--${reset_values:-reset-then-reuse-values}" "$@"
}

wait_for() {
  [ -z "$no_wait$dry_run" ] || return 0
  for target in $(printf '%s' "$wait" | tr ',' ' '); do
    optional=''
    case $target in *\?) optional=1 target=${target%\?} ;; esac
    case $target in
      -) ;;
      crd/*) change '' kube wait --for=condition=Established "$target" "--timeout=${wait_seconds}s" || failed "$target is not served" ;;
      *)
        if [ -n "$optional" ] && ! exists -n "$namespace" "$target"; then continue; fi
        change '' kube -n "$namespace" rollout status "$target" "--timeout=${wait_seconds}s" || {
          kube -n "$namespace" get pods >>"$scratch/output" 2>&1 || :
          step_help="see why its pods do not start: kubectl -n $namespace describe pods; images that cannot be pulled and volumes without a class are the usual reasons"
          failed "$target does not become ready"
        }
        ;;
    esac
  done
}

# left_out COMPONENT WHY: records a skipped component for the list at the end.
left_out() { printf '%s: %s\n' "$1" "$2" >>"$scratch/left-out"; }

# attempt COMMAND: runs the current row's step in a subshell. If the component is not needed, its failure does not end the installation.
attempt() {
  goes_on=''
  [ "$role" = needed ] || goes_on='Continuing without it.'
  echo 'it ended unexpectedly' >"$scratch/reason"
  set +e
  (
    set -e
    "$1"
  )
  code=$?
  set -e
  case $code,$role in
    0,*) ;;
    1,usual) left_out "$name" "$(cat "$scratch/reason")" ;;
    *) exit "$code" ;;
  esac
}

# Ends the script with the list of skipped components.
end_with_left_out() {
  [ -s "$scratch/left-out" ] || exit 0
  line='Skipped, for the reasons above:'
  if [ -n "$log_open" ]; then say "$line" && say "$(sed 's/^/       /' "$scratch/left-out")"; else
    printf '%s\n' "$line" >&2
    sed 's/^/       /' "$scratch/left-out" >&2
  fi
  line='Run the same command again when this is fixed. Pass --skip NAME for a component that you do not want.'
  if [ -n "$log_open" ]; then say "$line"; else printf '%s\n' "$line" >&2; fi
  exit 4
}

# Lists components that only earlier versions installed. Nobody upgrades them.
tell_retired() {
  component_rows "$components" | awk '$2 == "retired" { print $1, $6 }' >"$scratch/retired"
  [ -s "$scratch/retired" ] || return 0
  kube get secrets -A -l "owner=helm,$label" -o 'jsonpath={range .items[*]}{.metadata.labels.name} {.metadata.namespace}{"\n"}{end}' 2>>"$log_file" | sort -u >"$scratch/releases" || return 0
  while read -r name namespace <&6; do
    grep -qx "$name $namespace" "$scratch/releases" || continue
    say "$name was installed by an earlier version, and this one does not upgrade it: $(about "$components" "$name" why)."
    say "       If nothing of yours uses it: ./uninstall.sh --only $name"
  done 6<"$scratch/retired"
}

# Whether the cluster is too old for the component.
too_old() { [ -n "$server_minor" ] && [ "$server_minor" -lt "${1#1.}" ]; }

step_out_of_range() {
  why="$chart $version needs Kubernetes $least, and this is 1.$server_minor"
  step_help="upgrade the cluster to $least or newer"
  [ "$role" = usual ] || failed "$why"
  ended "skipped: $why"
  printf '%s\n' "$why" >"$scratch/reason"
  exit 1
}

# Whether somebody else has installed the component. Ends the step then.
is_settled() {
  if [ -n "$release_revision" ] && [ "$release_ours" != skerry ]; then
    ended "a release of this name exists, not from this installer: left alone"
    return
  fi
  if [ -z "$release_revision" ] && [ "$present" != - ]; then
    elsewhere "$present"
    if [ -n "$other" ]; then
      ended "already installed as $other, not by this installer: left alone"
      return
    fi
  fi
  return 1
}

is_up_to_date() {
  [ "$release_status" = deployed ] && [ "$name" != skerry ] && [ -z "$missing$reset_values" ] && ! has_own_values &&
    [ "$(helm_ get metadata "$name" -n "$namespace" -o yaml 2>>"$log_file" | sed -n 's/^version: *//p')" = "$version" ]
}

# The current row's step. It runs in a subshell, which a failure ends.
component() {
  chart_file='' step_help='see the last lines above'
  release "$namespace" "$name"
  if is_settled; then return 0; fi
  if too_old "$least"; then step_out_of_range; fi
  outlive_namespace "$namespace"
  outlive_definition
  if is_up_to_date; then
    wait_for
    ended 'already up to date'
    return
  fi
  ensure_namespace "$namespace"
  free_release "$namespace" "$name"
  if [ "$release_status" = uninstalling ]; then
    say '       an earlier removal was interrupted here'
    take_release "$namespace" "$name"
  fi
  if [ -z "$dry_run" ]; then
    get_chart "$scratch/charts" || {
      step_help=$chart_help
      failed "its chart, $chart $version of $repository, is not available"
    }
  fi
  case $name in
    skerry) prepare_skerry ;;
    crate-operator) prepare_crate_operator ;;
  esac
  install_chart || failed 'helm did not install it'
  wait_for
  case $release_revision in '') done_ 'installed' ;; *) done_ 'upgraded' ;; esac
}

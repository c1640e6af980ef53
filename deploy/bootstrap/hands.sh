# shellcheck shell=sh
# What helm refuses because of what it finds: hands have been at what is ours, or were there before us. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets what is used here

# take_back VALUES: what helm refused is in $scratch/output. What was made without helm is taken over, unless another release has it; fields
# that somebody has set get their values again. Fails when none of that is the cause, or helps.
take_back() {
  if grep -q 'invalid ownership metadata' "$scratch/output"; then
    take_over "$@" || return 1
    set -- --take-ownership "$@"
    upgrade "$@" && return 0
  fi
  # Since helm 4 the API server tells who else has set a field.
  if [ "$helm_major" -ge 4 ] && grep -q 'conflicts* with "' "$scratch/output"; then
    say '       reset, because others had changed it:'
    conflicts | tee -a "$log_file" | sed 's/^/         /'
    upgrade --force-conflicts "$@" && return 0
  fi
  if recreate; then upgrade "$@" && return 0; fi
  # An API server tells of new fields a moment after it serves the definition that has them.
  tries=0
  while [ -n "$brought" ] && [ "$tries" -lt 10 ] && grep -q -e 'unknown field' -e 'no matches for kind' "$scratch/output"; do
    tries=$((tries + 1))
    sleep 1
    upgrade "$@" && return 0
  done
  return 1
}

# The API server has filled in what belongs to a strategy of rolling updates. Helm does not take it out when the chart's strategy becomes
# Recreate, and the API server refuses both together.
recreate() {
  deployment=$(sed -n 's/.*Deployment\.apps "\([^"]*\)" is invalid: spec\.strategy\.rollingUpdate: Forbidden.*/\1/p' "$scratch/output" | head -n 1)
  [ -n "$deployment" ] || return 1
  change "change the strategy of $deployment" kube -n "$namespace" patch deployment "$deployment" --field-manager=skerry-install --type=merge \
    -p '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'
}

# Field and manager of each conflict in helm's output, as the API server writes them: one in the line, several below it, by manager.
#   conflict with "kubectl-patch" using apps/v1: .spec.replicas        conflicts with "kubectl-patch" using apps/v1:⏎- .spec.replicas⏎- …
conflicts() {
  awk '
    match($0, /conflicts* with "[^"]*"/) {
      manager = substr($0, RSTART, RLENGTH)
      sub(/^[^"]*"/, "", manager); sub(/"$/, "", manager)
      rest = substr($0, RSTART + RLENGTH)
      if (rest ~ /: \./) { sub(/^.*: \./, ".", rest); print rest " by " manager }
      next
    }
    /^- \./ && manager != "" { print substr($0, 3) " by " manager }
  ' "$scratch/output" | sort -u
}

# Fails when something belongs to another release: that one would fight for it.
take_over() {
  helm template "$name" "$chart_file" --namespace "$namespace" --no-hooks ${server_minor:+--kube-version "1.$server_minor.0"} "$@" >"$scratch/manifest" 2>"$scratch/output" </dev/null || return 1
  # A file for each object: at a kind that is not served yet, of which there is nothing, kubectl ends only the file.
  rm -rf "$scratch/objects-of"
  mkdir "$scratch/objects-of"
  awk -v folder="$scratch/objects-of" '/^---/ { if (file) close(file); file = folder "/" ++count ".yaml" } file { print >file }' "$scratch/manifest"
  kube -n "$namespace" get --filename "$scratch/objects-of" --ignore-not-found --no-headers \
    -o 'custom-columns=K:.kind,N:.metadata.name,R:.metadata.annotations.meta\.helm\.sh/release-name,S:.metadata.annotations.meta\.helm\.sh/release-namespace' \
    >"$scratch/there" 2>"$scratch/unseen" || :
  if grep -v -e 'no matches for kind' -e '^ensure CRDs are installed first' "$scratch/unseen" | grep -q .; then
    cp "$scratch/unseen" "$scratch/output"
    return 1
  fi
  awk -v name="$name" -v namespace="$namespace" '$3 != "<none>" && ($3 != name || $4 != namespace) { print $1 " " $2 " belongs to the release " $3 " in " $4 }' "$scratch/there" >"$scratch/theirs"
  awk '$3 == "<none>" { print $1 " " $2 }' "$scratch/there" >"$scratch/nobodys"
  if [ -s "$scratch/theirs" ]; then
    cp "$scratch/theirs" "$scratch/output"
    step_help="skip it with --skip $name, or uninstall the release that is named above"
    return 1
  fi
  if [ "$helm_major" -lt 4 ] && [ "$helm_minor" -lt 17 ]; then
    step_help='take helm 3.17 or newer, which can take over what was made without it'
    return 1
  fi
  say '       adopted, because no release owned it:'
  tee -a "$log_file" <"$scratch/nobodys" | sed 's/^/         /'
}

# shellcheck shell=sh
# Upgrades that helm refuses because somebody created or changed the objects by hand. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# take_back VALUES: handles the refusal of helm in $scratch/output. Adopts objects that were created without helm, unless another release
# owns them, and resets fields that somebody has set. Fails if none of these is the cause, or if that does not help.
take_back() {
  if grep -q 'invalid ownership metadata' "$scratch/output"; then
    take_over "$@" || return 1
    set -- --take-ownership "$@"
    upgrade "$@" && return 0
  fi
  # Helm 4 applies on the server, which names the field's other manager.
  if [ "$helm_major" -ge 4 ] && grep -q 'conflicts* with "' "$scratch/output"; then
    say '       reset, because others had changed it:'
    conflicts | tee -a "$log_file" | sed 's/^/         /'
    upgrade --force-conflicts "$@" && return 0
  fi
  if recreate; then upgrade "$@" && return 0; fi
  # An API server publishes new fields a moment after it serves the CRD that has them.
  tries=0
  while [ -n "$brought" ] && [ "$tries" -lt 10 ] && grep -q -e 'unknown field' -e 'no matches for kind' "$scratch/output"; do
    tries=$((tries + 1))
    sleep 1
    upgrade "$@" && return 0
  done
  return 1
}

# The API server has filled in the defaults of the strategy RollingUpdate. Helm does not remove them when the chart's strategy becomes
# Recreate, and the API server refuses the combination.
recreate() {
  deployment=$(sed -n 's/.*Deployment\.apps "\([^"]*\)" is invalid: spec\.strategy\.rollingUpdate: Forbidden.*/\1/p' "$scratch/output" | head -n 1)
  [ -n "$deployment" ] || return 1
  change "change the strategy of $deployment" kube -n "$namespace" patch deployment "$deployment" --field-manager=skerry-install --type=merge \
    -p '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'
}

# Prints field and manager of each conflict in helm's output. The API server writes a single field in the line, several below it:
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

# Fails if an object belongs to another release, which would change it back.
take_over() {
  helm template "$name" "$chart_file" --namespace "$namespace" --no-hooks ${server_minor:+--kube-version "1.$server_minor.0"} "$@" >"$scratch/manifest" 2>"$scratch/output" </dev/null || return 1
  # One file per object: if a kind is not served yet, kubectl skips the rest of the file.
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
  awk -v name="$name" -v place="$namespace" '$3 != "<none>" && ($3 != name || $4 != place) { print $1 " " $2 " belongs to the release " $3 " in " $4 }' "$scratch/there" >"$scratch/theirs"
  awk '$3 == "<none>" { print $1 " " $2 }' "$scratch/there" >"$scratch/nobodys"
  if [ -s "$scratch/theirs" ]; then
    cp "$scratch/theirs" "$scratch/output"
    step_help="skip it with --skip $name, or uninstall the release that is named above"
    return 1
  fi
  if [ "$helm_major" -lt 4 ] && [ "$helm_minor" -lt 17 ]; then
    step_help='use helm 3.17 or newer, which can adopt objects that were created without it'
    return 1
  fi
  say '       adopted, because no release owned it:'
  tee -a "$log_file" <"$scratch/nobodys" | sed 's/^/         /'
}

# shellcheck shell=sh
# Shared by install.sh and uninstall.sh: the cluster, the steps, the log. Sourced, never run. POSIX sh.

umask 077
label='app.kubernetes.io/part-of=skerry'

# Set by the options of both.
context='' dry_run='' log_open='' yes='' log_file=${SKERRY_LOG:-skerry-install.log} wait_seconds=600

kube() { kubectl ${context:+--context "$context"} "$@"; }
# Runs helm against the cluster.
helm_() { helm ${context:+--kube-context "$context"} "$@"; }

say() {
  printf '%s\n' "$*"
  log "$*"
}
# Writes to the log, once it is open.
log() { [ -z "$log_open" ] || printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$log_file"; }

# Ends a script that was called wrongly, before anything was done.
refuse() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  log "refused: $1"
  shift
  for line; do printf '  %s\n' "$line" >&2; done
  exit 2
}

# Ends a script that cannot start yet. Nothing was done.
stop() {
  say ''
  for line; do say "$line"; done
  exit 3
}

open_log() {
  # In a subshell: a failed redirection of ":" ends some shells at once.
  (: >>"$log_file") 2>/dev/null || refuse "cannot write the log $log_file" 'Choose another file with --log FILE.'
  # Only a file: as root, chmod would close /dev/null to everybody else.
  [ ! -f "$log_file" ] || chmod 600 "$log_file"
  log_open=1
  log "---- ${0##*/} begins"
}

# A private folder, removed when the script ends.
make_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/skerry.XXXXXX") || refuse 'cannot create a temporary directory'
  trap 'rm -rf "$scratch"' EXIT
  trap 'say ""; say "Interrupted. Run it again: it continues where it stopped."; exit 130' INT
  trap 'exit 143' TERM HUP
}

# Of two runs at once on one machine, each would take the other's releases for interrupted ones.
take_lock() {
  lock=${XDG_STATE_HOME:-$HOME/.local/state}/skerry
  mkdir -p "$lock" || refuse "cannot create the directory $lock"
  lock=$lock/install-$(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}' | tr -c 'A-Za-z0-9.-' _ | cut -c 1-200).pid
  if [ -s "$lock" ]; then
    read -r other <"$lock"
    # The process id may belong to another program by now.
    if ps -o args= -p "$other" 2>/dev/null | grep -q 'install\.sh'; then refuse "another run is under way for this cluster (process $other)" 'Wait for it, or end it.'; fi
  fi
  printf '%s\n' "$$" >"$lock"
  trap 'rm -rf "$scratch"; rm -f "$lock"' EXIT
}

need_tools() {
  lacking='' where_kubectl='' where_helm=''
  command -v kubectl >/dev/null || lacking=kubectl where_kubectl='kubectl: https://kubernetes.io/docs/tasks/tools/'
  command -v helm >/dev/null || lacking="${lacking:+$lacking and }helm" where_helm='helm, version 3.14 or newer: https://helm.sh/docs/intro/install/'
  case $lacking in
    '') ;;
    *' and '*) refuse "$lacking are not installed. Get them here, or with your package manager:" "$where_kubectl" "$where_helm" ;;
    *) refuse "$lacking is not installed. Get it here, or with your package manager:" "$where_kubectl$where_helm" ;;
  esac
  helm_version=$(helm version --short 2>/dev/null || :)
  helm_major=$(printf '%s' "$helm_version" | sed -n 's/^v\([0-9]*\)\..*/\1/p') helm_minor=$(printf '%s' "$helm_version" | sed -n 's/^v[0-9]*\.\([0-9]*\).*/\1/p')
  # Releases have labels since 3.13; `helm get metadata` exists since 3.14.
  case $helm_version in
    v[012].* | v3.[0-9].* | v3.1[0-3].*) refuse "helm $helm_version is too old" 'Get version 3.14 or newer: https://helm.sh/docs/intro/install/' ;;
  esac
}

# Sets server_minor to the minor version of the API server, or to nothing if it has another form.
need_cluster() {
  if kube version --output yaml --request-timeout=15s >"$scratch/version" 2>&1; then
    server_minor=$(sed -n '/^serverVersion:/,$ s/^ *minor: *"*\([0-9][0-9]*\).*/\1/p' "$scratch/version")
    return
  fi
  cat "$scratch/version" >>"$log_file"
  refuse 'the cluster does not answer' "$(tail -n 1 "$scratch/version")" 'Choose it with --context NAME or KUBECONFIG, and try: kubectl version'
}

# Whether there is a terminal. Without one, /dev/tty exists and is readable too; only opening it fails.
somebody_there() { (: </dev/tty) 2>/dev/null; }

confirm() {
  [ -z "$yes$dry_run" ] || return 0
  somebody_there || refuse 'there is no terminal to ask at' 'Pass --yes to continue without asking, or --dry-run to see what would be done.'
  printf '%s [y/N] ' "$1"
  read -r answer </dev/tty || answer=
  case $answer in [Yy] | [Yy][Ee][Ss]) ;; *) stop 'Nothing was done.' ;; esac
}

step_number=0 step_total=0 step_began=$(date +%s) step_help='' goes_on=''

# begin NAME WHAT HELP…: begins the next step. HELP is what to do if it fails.
begin() {
  step_number=$((step_number + 1)) step_began=$(date +%s)
  say "[$step_number/$step_total] $1: $2"
  shift 2
  step_help=$*
}
# ended HOW: ends a step that found nothing to do. done_ HOW: ends one that changed something, unless this is a dry run.
ended() { say "       $1 ($(($(date +%s) - step_began)) s)"; }
done_() { [ -n "$dry_run" ] || ended "$1"; }

failed() {
  say "       FAILED after $(($(date +%s) - step_began)) s: $1"
  if [ -s "$scratch/output" ]; then tail -n 12 "$scratch/output" | sed 's/^/         /'; fi
  [ -z "$step_help" ] || say "       What to do: $step_help"
  printf '%s\n' "$1" >"$scratch/reason"
  if [ -n "$goes_on" ]; then say "       $goes_on The full output is in $log_file"; else
    say "       Then run the same command again: finished steps are not repeated. The full output is in $log_file"
  fi
  exit 1
}

# change WHAT COMMAND…: runs a command that changes something, with its output in the log. With --dry-run, it only prints WHAT, once.
change() {
  what=$1
  shift
  if [ -n "$dry_run" ]; then
    grep -qxF -- "$what" "$scratch/said" 2>/dev/null || say "       would $what"
    printf '%s\n' "$what" >>"$scratch/said"
    return 0
  fi
  log "+ $*"
  "$@" >"$scratch/output" 2>&1 </dev/null || {
    cat "$scratch/output" >>"$log_file"
    return 1
  }
  cat "$scratch/output" >>"$log_file"
}

# apply WHAT: applies the manifest in $scratch/manifest.
apply() { change "$1" kube apply --server-side --force-conflicts --field-manager=skerry-install -f "$scratch/manifest"; }

# component_rows FILE: prints a line per component: name, role, chart, repository, version, namespace, oldest Kubernetes, selectors of
# other installations (separated by "|"), targets to wait for (separated by ","), definition, keep. "-" stands for none.
component_rows() {
  awk '
    function field(key, otherwise) { return key in fields ? fields[key] : otherwise }
    function row() {
      if (name == "") return
      print name, field("role", "usual"), field("chart", "-"), field("repository", "-"), field("version", "-"), field("namespace", "-"),
        field("kubernetes", "1.20"), field("present", "-"), field("wait", "-"), field("definition", "-"), field("keep", "-")
    }
    /^[[:space:]]*(#|$)/ { next }
    /^[^[:space:]]/ { row(); name = $1; split("", fields); next }
    {
      key = $1
      sub(/^[[:space:]]*[^[:space:]]+[[:space:]]+/, "")
      sub(/[[:space:]]+$/, "")
      if (key == "wait") gsub(/[[:space:]]+/, ",")
      if (key in fields) fields[key] = fields[key] (key == "present" ? "|" : " ") $0
      else fields[key] = $0
    }
    END { row() }
  ' "$1"
}

# about FILE COMPONENT KEY: prints the values of a component's key, one per line.
about() {
  awk -v name="$2" -v key="$3" '
    /^[[:space:]]*(#|$)/ { next }
    /^[^[:space:]]/ { here = $1 == name; next }
    here && $1 == key { sub(/^[[:space:]]*[^[:space:]]+[[:space:]]+/, ""); sub(/[[:space:]]+$/, ""); print }
  ' "$1"
}

# check_components FILE: refuses an invalid list, with all of its faults.
check_components() {
  [ -r "$1" ] || refuse "the list of components, $1, cannot be read"
  wrong=$(awk '
    BEGIN { split("role why chart repository version checked namespace kubernetes present wait definition keep remade image stays", keys); for (at in keys) known[keys[at]] }
    function ended() {
      if (name == "") return
      if (!("chart" in has)) print "line " began ": " name " has no chart"
      if (!("version" in has)) print "line " began ": " name " has no version"
      if (!("namespace" in has)) print "line " began ": " name " has no namespace"
    }
    /^[[:space:]]*(#|$)/ { next }
    /^[^[:space:]]/ {
      ended(); name = $1; began = NR; split("", has)
      if (NF > 1) print "line " NR ": a name has a line of its own; its keys follow, indented"
      next
    }
    name == "" { print "line " NR ": no name precedes this key"; next }
    !($1 in known) { print "line " NR ": there is no key " $1; next }
    NF < 2 { print "line " NR ": " $1 " has no value" }
    $1 == "role" && $2 !~ /^(needed|usual|retired)$/ { print "line " NR ": role is needed, usual or retired, not " $2 }
    $1 == "kubernetes" && $2 !~ /^1\.[0-9]+$/ { print "line " NR ": kubernetes is a version such as 1.25, not " $2 }
    { has[$1] }
    END { ended() }
  ' "$1")
  [ -z "$wrong" ] || refuse "the list of components, $1, is wrong:" "$wrong"
}

# Whether a word is in a list that is separated by blanks.
among() { case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# release NAMESPACE NAME: sets release_revision, release_status and release_ours of the newest revision, or empties them if there is none.
release() {
  kube -n "$1" get secrets -l "owner=helm,name=$2" -o 'jsonpath={range .items[*]}{.metadata.labels.version}{" "}{.metadata.labels.status}{" "}{.metadata.labels.app\.kubernetes\.io/part-of}{"\n"}{end}' >"$scratch/releases" 2>"$scratch/output" ||
    failed "the releases in $1 cannot be read"
  release_revision='' release_status='' release_ours=''
  sort -n "$scratch/releases" | tail -n 1 >"$scratch/release"
  read -r release_revision release_status release_ours <"$scratch/release" || :
}

# If helm is killed while it changes a release, that release blocks every later run. The next revision takes over its objects.
free_release() {
  case $release_status in
    pending-*)
      say "       an earlier run was interrupted here ($release_status)"
      change "forget revision $release_revision" kube -n "$1" delete secret "sh.helm.release.v1.$2.v$release_revision" --ignore-not-found ||
        failed 'the unfinished revision cannot be removed'
      ;;
  esac
}

# Whether an object exists. If that cannot be read, the script ends. Not for pipelines and $(…), where only the subshell would end.
exists() {
  kube get "$@" --ignore-not-found -o name >"$scratch/exists" 2>"$scratch/output" || failed "cannot check whether this exists: $*"
  [ -s "$scratch/exists" ]
}

# elsewhere KIND:SELECTOR[|KIND:SELECTOR…]: sets other to NAMESPACE/NAME of the first match that is not from a release of this installer,
# or to nothing.
elsewhere() {
  other=''
  printf '%s\n' "$1" | tr '|' '\n' >"$scratch/ways"
  while read -r way <&8; do
    elsewhere_by "$way"
    [ -z "$other" ] || return 0
  done 8<"$scratch/ways"
}
elsewhere_by() {
  kube get "${1%%:*}" -A -l "${1#*:}" -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.annotations.meta\.helm\.sh/release-namespace} {.metadata.annotations.meta\.helm\.sh/release-name}{"\n"}{end}' >"$scratch/found" 2>"$scratch/output" || failed "other installations of ${1#*:} cannot be looked for"
  while read -r found_at found_namespace found_release <&7; do
    if [ -n "$found_release" ]; then
      kube -n "$found_namespace" get secrets -l "owner=helm,name=$found_release,$label" -o name >"$scratch/exists" 2>"$scratch/output" ||
        failed "the releases in $found_namespace cannot be read"
      [ ! -s "$scratch/exists" ] || continue
    fi
    other=$found_at
    return
  done 7<"$scratch/found"
}

# why_namespace_hangs NAMESPACE: appends to $scratch/output why a namespace is stuck in deletion: its conditions, which appear some
# seconds after the deletion, and its objects with their finalizers. Fails if the namespace is gone by now.
why_namespace_hangs() {
  tries=0
  while [ "$tries" -lt 20 ]; do
    kube get namespace "$1" --ignore-not-found -o 'jsonpath={.metadata.name}{"\n"}{range .status.conditions[?(@.status=="True")]}{.message}{"\n"}{end}{range .metadata.finalizers[*]}the namespace itself waits for {@}{"\n"}{end}' >"$scratch/hanging" 2>>"$scratch/output" || return 0
    [ -s "$scratch/hanging" ] || return 1
    # The first line is only its name.
    if [ "$(grep -c . "$scratch/hanging")" -gt 1 ]; then break; fi
    tries=$((tries + 1))
    sleep 1
  done
  sed 1d "$scratch/hanging" >>"$scratch/output"
  grep -o '[^ ]* has [0-9]* resource instances' "$scratch/hanging" | sed -e 's/ .*//' -e 's/\.$//' >"$scratch/kinds" || :
  while read -r kind <&9; do
    kube -n "$1" get "$kind" -o "go-template={{range .items}}$kind {{.metadata.name}}{{with .metadata.finalizers}} waits for {{range \$at, \$each := .}}{{if \$at}}, {{end}}{{\$each}}{{end}}{{end}}{{\"\\n\"}}{{end}}" 2>>"$scratch/output" || :
  done 9<"$scratch/kinds" >"$scratch/hanging"
  head -n 6 "$scratch/hanging" >>"$scratch/output"
  cat "$scratch/output" >>"$log_file"
}

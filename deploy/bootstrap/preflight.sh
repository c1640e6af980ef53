# shellcheck shell=sh
# Checks whether the cluster is fit, before anything is installed. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# Whether Node is new enough for the bundle: 22.19, as package.json says.
runs_bundle() { node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 22 || (major === 22 && minor >= 19) ? 0 : 1)'; }

# Runs the agent's own preflight if Node is installed, otherwise the checks that need only kubectl.
preflight() {
  begin preflight 'is the cluster fit for a region?' 'Follow the "do" lines above. To continue despite failures: --ignore-preflight.'
  program=''
  for each in "${offline:+$offline/agent.mjs}" "$here/agent.mjs" "$here/../../dist/agent.mjs"; do
    if [ -r "$each" ] && [ -z "$program" ]; then program=$each; fi
  done
  if [ -n "$program" ] && command -v node >/dev/null && runs_bundle; then
    set -- --components "$components" ${context:+--context "$context"} ${offline:+--offline} ${ca_file:+--ca-file "$ca_file"}
    for each in $known; do
      if wanted "$each"; then set -- "$@" --component "$each"; fi
    done
    if [ -n "$join_url" ] && wanted skerry; then set -- "$@" --cloud "$join_url" ${region_pin:+--cloud-pinned}; fi
    if [ -r "$here/../chart/Chart.yaml" ]; then set -- "$@" --chart-at-hand skerry; fi
    code=0
    # The proxy's address is passed in the environment, because it may contain a password.
    node "$program" preflight "$@" >"$scratch/findings" 2>&1 </dev/null || code=$?
    tee -a "$log_file" <"$scratch/findings" | sed 's/^/       /'
  else
    code=0
    basic_preflight || code=$?
    say '       Without Node 22.19 and agent.mjs only the most important checks were run.'
  fi
  if [ "$code" -ne 0 ] && [ -z "$ignore_preflight$dry_run" ]; then
    say "       What to do: $step_help"
    stop 'Nothing was installed.'
  fi
  case $code,$ignore_preflight in
    0,*) ended 'nothing stands in the way' ;;
    *,1) ended 'failures are ignored, as requested' ;;
    *) would_stop=1 && ended 'without --dry-run, the run would end here' ;;
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
  while read -r name role _ _ _ _ least _ <&6; do
    if [ "$role" != needed ] || ! wanted "$name" || ! too_old "$least"; then continue; fi
    say "       fail  $name needs Kubernetes $least, and this is 1.$server_minor" && bad=1
  done 6<"$scratch/rows"
  return "$bad"
}

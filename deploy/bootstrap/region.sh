# shellcheck shell=sh
# The region's part of Skerry's own chart: values, CA certificates, the tunnel's credentials, what it joins its cloud with. Sourced by
# install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh and token.sh set these variables

# Without a token: takes the claims of the token that the region joined with, if it still has the key by which its cloud knows it. Fails if
# there are none.
remembered_claims() {
  [ -n "$(kube -n skerry get secret skerry-identity --ignore-not-found --request-timeout=15s -o name 2>>"$log_file")" ] || return 1
  claims=$(kube -n skerry get secret skerry-join --ignore-not-found --request-timeout=15s -o 'go-template={{with index .data "claims"}}{{. | base64decode}}{{end}}' 2>>"$log_file")
  [ -n "$claims" ] || return 1
  read_claims
  signature='no token is needed: its cloud knows the region by the Secret skerry-identity'
}

# Sets join_url to the origin of the cloud that the region joins, or to nothing and no_join_why to the reason.
plan_join() {
  join_url='' no_join_why='--no-join'
  [ -z "$no_join" ] || return 0
  no_join_why='its address has a path, and regions join only clouds without one'
  origin=${region_cloud%/}
  case ${origin#https://} in */*) return 0 ;; esac
  join_url=$origin
  [ -z "$token_header" ] || find_hasher ||
    refuse 'no program here can compute a SHA-256, by which the cloud knows the token' 'Install sha256sum (it is part of coreutils and of busybox), shasum or openssl. Or do not join the cloud: --no-join'
}

# Keeps what the region proves to its cloud that it was given the token: never the token itself.
join_secret() {
  if exists -n "$namespace" secret skerry-identity; then
    say '       the Secret skerry-identity is still there: its cloud knows the region by it, and joining needs no token'
  fi
  [ -n "$token_header" ] || return 0
  mkdir -p "$scratch/join"
  printf '%s' "$token_header" | $hasher | cut -c 1-64 | tr -d '\n' >"$scratch/join/sha256"
  printf '%s' "$claims" >"$scratch/join/claims"
  [ -z "$region_token_id" ] || printf '%s' "$region_token_id" >"$scratch/join/id"
  [ -z "$region_pin" ] || printf '%s' "$region_pin" >"$scratch/join/pin"
  [ ! -r "${cloud_key:-$here/cloud.pem}" ] || cp "${cloud_key:-$here/cloud.pem}" "$scratch/join/cloud.pem"
  kube create secret generic skerry-join --namespace "$namespace" --from-file="$scratch/join" --dry-run=client -o yaml >"$scratch/manifest"
  # A token that somebody put there by hand would count before this one.
  if [ -n "$(kube -n "$namespace" get secret skerry-join --ignore-not-found -o 'jsonpath={.data.token}' 2>>"$log_file")" ]; then
    change 'remove the token in the Secret skerry-join, which this one replaces' kube -n "$namespace" patch secret skerry-join --type=json -p '[{"op":"remove","path":"/data/token"}]' ||
      failed 'the Secret skerry-join cannot be changed'
  fi
  apply 'keep what the region joins its cloud with in the Secret skerry-join' || failed 'the Secret skerry-join cannot be created'
  rm -rf "$scratch/manifest" "$scratch/join"
}

# Sets tunnel_secret, and writes the values into $scratch/found-skerry.yaml.
prepare_skerry() {
  tunnel_secret='' pod_monitors='' rules='' dashboards=''
  if [ -n "$region_tunnel" ]; then tunnel_credentials; fi
  if [ -n "$join_url" ]; then join_secret; fi
  if [ -n "$ca_file" ]; then
    kube create configmap skerry-ca --namespace "$namespace" --from-file=ca.crt="$ca_file" --dry-run=client -o yaml >"$scratch/manifest"
    apply 'give the CA certificates of --ca-file to Skerry' || failed 'the ConfigMap skerry-ca cannot be created'
  fi
  if exists customresourcedefinition podmonitors.monitoring.coreos.com; then pod_monitors=true; fi
  # Our own Prometheus and Grafana find rules and dashboards. The owners of others configure them.
  if [ -n "$pod_monitors" ] && exists -n monitoring secrets -l "owner=helm,name=prometheus,$label"; then rules=true; fi
  if exists -n monitoring secrets -l "owner=helm,name=grafana,$label"; then dashboards=true; fi
  region_values >"$scratch/found-skerry.yaml"
  option_values >"$scratch/options.yaml"
}

tunnel_credentials() {
  tunnel_secret=cloudflared-credentials
  case $region_credentials in
    secret:*) tunnel_secret=${region_credentials#secret:} ;;
  esac
  file=$tunnel_file
  if [ -z "$file" ]; then
    if exists -n "$namespace" secret "$tunnel_secret"; then return 0; fi
    step_help='get credentials.json of the tunnel from the cloud, and pass it with --tunnel-credentials FILE'
    case $region_credentials in secret:*) failed "the Secret $tunnel_secret in $namespace, which the token refers to, does not exist" ;; esac
    [ -z "$offline" ] || failed "the tunnel's credentials are at $region_credentials, which --offline does not contact"
    [ -n "$token_header" ] || failed "the tunnel's credentials are fetched with the token, and there is none"
    command -v curl >/dev/null || failed 'curl is not installed; it is needed to fetch the credentials of the tunnel'
    file=$scratch/credentials.json
    if [ -n "$dry_run" ]; then
      say "       would fetch the credentials of the tunnel from $region_credentials"
      return 0
    fi
    # The token is passed on standard input: every user can read arguments.
    printf 'header = "Authorization: Bearer %s"\n' "$token_header" |
      curl --config - --fail --silent --show-error --max-time 60 ${trusted:+--cacert "$trusted"} --output "$file" "$region_credentials" 2>"$scratch/output" ||
      failed "the credentials of the tunnel cannot be fetched from $region_credentials"
  fi
  kube create secret generic "$tunnel_secret" --namespace "$namespace" --from-file=credentials.json="$file" --dry-run=client -o yaml >"$scratch/manifest"
  apply "keep the credentials of the tunnel in the Secret $tunnel_secret" || failed "the Secret $tunnel_secret cannot be created"
  rm -f "$scratch/manifest" "$scratch/credentials.json"
}

# Values from the token and the cluster. All of them each time, so that no value of an earlier token is reused.
# Every word was checked against a pattern when the token was read, or is quoted.
region_values() {
  may_import=false
  [ -z "$importing" ] || may_import=true
  printf 'region: { id: "%s", name: "%s" }\n' "$region_id" "$region_name"
  printf 'cloud: { url: "%s" }\n' "$join_url"
  if [ -n "$region_caller" ]; then
    printf 'agent:\n  import: { enabled: %s }\n  tokens:\n    list:\n      - name: cloud\n        sha256: "%s"\n        scopes: ["region:read", "projects:write", "databases:write", "deployments:write"]\n' "$may_import" "$region_caller"
  else
    printf 'agent: { import: { enabled: %s }, tokens: { list: [] } }\n' "$may_import"
  fi
  if [ -n "$tunnel_secret" ]; then
    printf 'cloudflared:\n  enabled: true\n  tunnel: "%s"\n  credentials: { existingSecret: "%s" }\n  agent: { hostname: "%s" }\n' "$region_tunnel" "$tunnel_secret" "$region_hostname"
  else
    printf 'cloudflared: { enabled: false }\n'
  fi
  printf 'prometheus: { podMonitors: { enabled: %s }, rules: { enabled: %s } }\n' "${pod_monitors:-false}" "${rules:-false}"
  printf 'grafana: { dashboards: { enabled: %s } }\n' "${dashboards:-false}"
}

# Values from the options of this run. Options that are not given set nothing, so that those of earlier runs stay in effect.
option_values() {
  [ -z "$image_registry" ] || printf 'imageRegistry: "%s"\n' "$image_registry"
  [ -z "$ca_file" ] || printf 'caBundle: { configMap: skerry-ca, key: ca.crt }\n'
  if [ -n "$http_proxy_$https_proxy_$no_proxy_" ]; then
    printf 'proxy:\n'
    [ -z "$http_proxy_" ] || printf '  http: "%s"\n' "$http_proxy_"
    [ -z "$https_proxy_" ] || printf '  https: "%s"\n' "$https_proxy_"
    [ -z "$no_proxy_" ] || printf '  noProxy: [%s]\n' "$(printf '%s' "$no_proxy_" | sed -e 's/[^,][^,]*/"&"/g' -e 's/,/, /g')"
  fi
}

# given_values VALUES…: merges the user's values of this run over those of earlier runs, into $scratch/given.yaml, and saves them in a
# Secret. The release itself does not distinguish the user's values from ours, which change with the version.
given_values() {
  : >"$scratch/before.yaml"
  if [ -n "$release_revision" ] && [ -z "$reset_values" ]; then
    kube -n "$namespace" get secret "skerry-install-$name" --ignore-not-found -o 'go-template={{index .data "values.yaml" | base64decode}}' >"$scratch/before.yaml" 2>"$scratch/output" ||
      failed 'the values of earlier runs cannot be read'
  fi
  # A chart that prints its values, so that helm does the merging.
  mkdir -p "$scratch/merge/templates"
  printf 'apiVersion: v2\nname: merge\nversion: 0.0.0\n' >"$scratch/merge/Chart.yaml"
  printf '{{ toJson .Values }}\n' >"$scratch/merge/templates/values.yaml"
  helm template merge "$scratch/merge" --values "$scratch/before.yaml" "$@" >"$scratch/merged" 2>"$scratch/output" </dev/null || failed 'the values cannot be read'
  grep -v -e '^---' -e '^#' "$scratch/merged" >"$scratch/given.yaml" || :
  if [ $# -eq 0 ] && [ -z "$reset_values" ]; then return 0; fi
  kube create secret generic "skerry-install-$name" --namespace "$namespace" --from-file=values.yaml="$scratch/given.yaml" --dry-run=client -o yaml >"$scratch/manifest"
  apply 'save the values for later runs' || failed "the Secret skerry-install-$name cannot be created"
  rm -f "$scratch/manifest"
}

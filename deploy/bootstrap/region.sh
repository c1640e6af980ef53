# shellcheck shell=sh
# What Skerry's own chart is told of the region: values, authorities, the credentials of the tunnel. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh and token.sh set what is used here

# Sets tunnel_secret, and writes the values into $scratch/region.yaml.
prepare_skerry() {
  tunnel_secret='' pod_monitors=''
  if [ -n "$region_tunnel" ]; then tunnel_credentials; fi
  if [ -n "$ca_file" ]; then
    kube create configmap skerry-ca --namespace "$namespace" --from-file=ca.crt="$ca_file" --dry-run=client -o yaml >"$scratch/manifest"
    apply 'give the authorities of --ca-file to Skerry' || failed 'the ConfigMap skerry-ca cannot be made'
  fi
  if exists customresourcedefinition podmonitors.monitoring.coreos.com; then pod_monitors=1; fi
  region_values >"$scratch/region.yaml"
}

tunnel_credentials() {
  tunnel_secret=cloudflared-credentials
  case $region_credentials in
    secret:*) tunnel_secret=${region_credentials#secret:} ;;
  esac
  file=$tunnel_file
  if [ -z "$file" ]; then
    if exists -n "$namespace" secret "$tunnel_secret"; then return 0; fi
    step_help='get credentials.json of the tunnel from the cloud, and give it with --tunnel-credentials FILE'
    case $region_credentials in secret:*) failed "there is no Secret $tunnel_secret in $namespace, to which the token refers" ;; esac
    [ -z "$offline" ] || failed "the credentials of the tunnel are at $region_credentials, which nobody asks when offline"
    command -v curl >/dev/null || failed 'curl is not installed, with which the credentials of the tunnel are fetched'
    file=$scratch/credentials.json
    if [ -n "$dry_run" ]; then
      say "       would fetch the credentials of the tunnel from $region_credentials"
      return 0
    fi
    # The token goes in on standard input: arguments can be read by everybody.
    printf 'header = "Authorization: Bearer %s"\n' "$token_header" |
      curl --config - --fail --silent --show-error --max-time 60 ${trusted:+--cacert "$trusted"} --output "$file" "$region_credentials" 2>"$scratch/output" ||
      failed "the credentials of the tunnel cannot be fetched from $region_credentials"
  fi
  kube create secret generic "$tunnel_secret" --namespace "$namespace" --from-file=credentials.json="$file" --dry-run=client -o yaml >"$scratch/manifest"
  apply "keep the credentials of the tunnel in the Secret $tunnel_secret" || failed "the Secret $tunnel_secret cannot be made"
  rm -f "$scratch/manifest" "$scratch/credentials.json"
}

# Every word in here was held against a pattern when the token was read, or is quoted.
region_values() {
  printf 'region: { id: "%s", name: "%s" }\n' "$region_id" "$region_name"
  [ -z "$image_registry" ] || printf 'imageRegistry: "%s"\n' "$image_registry"
  [ -z "$ca_file" ] || printf 'caBundle: { configMap: skerry-ca, key: ca.crt }\n'
  if [ -n "$http_proxy_$https_proxy_" ]; then
    printf 'proxy:\n  http: "%s"\n  https: "%s"\n  noProxy: [%s]\n' "$http_proxy_" "$https_proxy_" \
      "$(printf '%s' "$no_proxy_" | sed -e 's/[^,][^,]*/"&"/g' -e 's/,/, /g')"
  fi
  if [ -n "$region_caller" ]; then
    printf 'agent:\n  tokens:\n    list:\n      - name: cloud\n        sha256: "%s"\n        scopes: ["region:read", "projects:write", "databases:write", "deployments:write"]\n' "$region_caller"
  fi
  if [ -n "$tunnel_secret" ]; then
    printf 'cloudflared:\n  enabled: true\n  tunnel: "%s"\n  credentials: { existingSecret: "%s" }\n  agent: { hostname: "%s" }\n' "$region_tunnel" "$tunnel_secret" "$region_hostname"
  fi
  [ -z "$pod_monitors" ] || printf 'prometheus: { podMonitors: { enabled: true } }\n'
}

# shellcheck shell=sh
# Reads and verifies a region's token (docs/decisions/0010-the-installation-token.md). Sourced by install.sh. POSIX sh.

# Sets the region_… variables from $token, or refuses it and says why.
read_token() {
  token=$(printf '%s' "$token" | tr -d ' \t\r\n')
  again='Copy the whole command from the cloud once more, or let it make a new token.'
  case $token in
    '') refuse 'there is no token' 'Pass it as an argument, in SKERRY_TOKEN, in a file with --token-file, or on standard input with "-".' ;;
    skerry1.*) ;;
    skerry[0-9]*.*) refuse "the token has another version (${token%%.*})" 'Use the install.sh that the cloud offers with it.' ;;
    *) refuse 'this is not the token of a region, which begins with "skerry1."' "$again" ;;
  esac
  need_decoder
  token_parts
  claims=$(printf '%s' "$token_claims" | from_base64url) || refuse 'the token is damaged' "$again"
  read_claims
  judge_signature
  judge_time
}

# Sets decoder to a command that decodes Base64: some versions know only one of the options, and some machines have only openssl.
need_decoder() {
  command -v cksum >/dev/null || refuse 'cksum is not installed; it is needed to check that the token is complete' 'It is part of coreutils and of busybox.'
  for decoder in 'base64 -d' 'base64 -D' 'openssl base64 -d -A'; do
    [ "$(printf c2tlcnJ5 | $decoder 2>/dev/null)" != skerry ] || return 0
  done
  refuse 'no program here can decode Base64, the encoding of the token' 'Install base64 (it is part of coreutils and of busybox) or openssl.'
}

token_parts() {
  rest=${token#skerry1.}
  case $rest in *.*.*) ;; *) refuse "the token is truncated: it ends after ${#token} characters" "$again" ;; esac
  token_claims=${rest%%.*} rest=${rest#*.} token_signature=${rest%%.*} token_sum=${rest#*.}
  sum=$(printf '%s' "skerry1.$token_claims.$token_signature" | cksum | cut -d ' ' -f 1)
  [ "$token_sum" != "$sum" ] || return 0
  # The sum begins correctly, so only its end is missing.
  case $sum in "$token_sum"*) refuse "the token is truncated: it ends after ${#token} characters" "$again" ;; esac
  refuse 'the token is damaged: a character was changed' "$again"
}

from_base64url() {
  encoded=$(tr '_-' '/+')
  case $((${#encoded} % 4)) in 1) return 1 ;; 2) encoded=$encoded== ;; 3) encoded=$encoded= ;; esac
  printf '%s' "$encoded" | $decoder 2>/dev/null
}

claim() { printf '%s\n' "$claims" | sed -n "s/^$1=//p" | head -n 1; }

# takes NAME VALUE PATTERN: refuses a claim that does not match the pattern. All claims end up in files that helm reads.
takes() {
  printf '%s\n' "$2" | grep -Eq "^($3)\$" || refuse "the token is invalid: its $1 is malformed" 'Have the cloud issue a new one. If that does not help, contact its support.'
}

read_claims() {
  host='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
  region_id=$(claim region) region_name=$(claim name) region_cloud=$(claim cloud)
  region_issued=$(claim issued) region_expires=$(claim expires)
  region_tunnel=$(claim tunnel) region_hostname=$(claim hostname) region_credentials=$(claim credentials) region_caller=$(claim caller)
  takes region "$region_id" '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
  takes name "$region_name" '[^"\\]{0,200}'
  takes cloud "$region_cloud" "https://$host(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?"
  takes issued "$region_issued" '[0-9]{1,12}'
  takes expires "$region_expires" '[0-9]{1,12}'
  takes tunnel "$region_tunnel" '([0-9a-f-]{36})?'
  takes caller "$region_caller" '([0-9a-f]{64})?'
  [ -n "$region_tunnel" ] || return 0
  takes hostname "$region_hostname" "$host"
  takes credentials "$region_credentials" "https://$host(:[0-9]+)?/[A-Za-z0-9._~/-]+|secret:[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
}

judge_signature() {
  key=${cloud_key:-$here/cloud.pem}
  [ -z "$cloud_key" ] || [ -r "$cloud_key" ] || refuse "the key of the cloud, $cloud_key, cannot be read"
  why=''
  if [ ! -r "$key" ]; then
    why='no key of the cloud is here (--cloud-key FILE)'
  elif ! command -v openssl >/dev/null; then
    why='openssl is not installed'
  elif ! openssl pkeyutl -help 2>&1 | grep -q -- -rawin; then
    why='this openssl is older than 3.0'
  fi
  if [ -n "$why" ]; then
    signature="not checked: $why"
    return
  fi
  printf '%s' "skerry1.$token_claims" >"$scratch/signed"
  printf '%s' "$token_signature" | from_base64url >"$scratch/signature"
  if ! openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$scratch/signed" -sigfile "$scratch/signature" >/dev/null 2>&1; then
    refuse "the token was not signed by this cloud (key $key)" 'Do not use it. Get one from the cloud itself, or the right key.'
  fi
  signature='checked'
}

judge_time() {
  now=$(date +%s)
  if [ "$now" -ge "$region_expires" ]; then
    minutes=$(((now - region_expires) / 60))
    if [ "$minutes" -lt 120 ]; then ago="$minutes minutes"; elif [ "$minutes" -lt 2880 ]; then ago="$((minutes / 60)) hours"; else ago="$((minutes / 1440)) days"; fi
    refuse "the token of region $region_id expired $ago ago" 'Have the cloud issue a new one. If it should be valid, the clock of this machine is wrong: date'
  fi
  if [ "$now" -lt $((region_issued - 300)) ]; then
    refuse "the token of region $region_id is not valid yet" 'The clock of this machine is behind that of the cloud: date'
  fi
}

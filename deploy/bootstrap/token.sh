# shellcheck shell=sh
# Reads and verifies a region's token (docs/decisions/0010-the-installation-token.md). Sourced by install.sh. POSIX sh.

# Sets the region_… variables from $token, or refuses it and says why.
read_token() {
  decode_token
  judge_signature
  judge_time
}

decode_token() {
  token=$(printf '%s' "$token" | tr -d ' \t\r\n')
  again='Copy the whole command from the cloud once more, or let it make a new token.'
  case $token in
    '')
      refuse 'there is no token' 'Pass it as an argument, in SKERRY_TOKEN, in a file with --token-file, or on standard input with "-".' \
        'Only a region whose Secrets skerry-identity and skerry-join are still there can be installed without one.'
      ;;
    skerry1.*) ;;
    skerry[0-9]*.*) refuse "the token has another version (${token%%.*})" 'Use the install.sh that the cloud offers with it.' ;;
    *) refuse 'this is not the token of a region, which begins with "skerry1."' "$again" ;;
  esac
  need_decoder
  token_parts
  claims=$(printf '%s' "$token_claims" | from_base64url) || refuse 'the token is damaged' "$again"
  read_claims
}

# Sets decoder to a command that decodes Base64: some versions know only one of the options, and some machines have only openssl.
need_decoder() {
  command -v cksum >/dev/null || refuse 'cksum is not installed; it is needed to check that the token is complete' 'It is part of coreutils and of busybox.'
  for decoder in 'base64 -d' 'base64 -D' 'openssl base64 -d -A'; do
    [ "$(printf c2tlcnJ5 | $decoder 2>/dev/null)" != skerry ] || return 0
  done
  refuse 'no program here can decode Base64, the encoding of the token' 'Install base64 (it is part of coreutils and of busybox) or openssl.'
}

# Sets hasher to a command that prints the SHA-256 of its input in hex, and more behind it. Fails if there is none.
find_hasher() {
  for hasher in sha256sum 'shasum -a 256' 'openssl dgst -sha256 -r'; do
    case $(printf skerry | $hasher 2>/dev/null) in afe86b1f7924d4bbeb58c4c7060ccff9210969484dbda3fe6c751c726d90897a*) return 0 ;; esac
  done
  return 1
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
  region_token_id=$(claim id) region_pin=$(claim pin)
  takes region "$region_id" '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
  takes name "$region_name" '[^"\\]{0,200}'
  takes cloud "$region_cloud" "https://$host(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?"
  takes issued "$region_issued" '[0-9]{1,12}'
  takes expires "$region_expires" '[0-9]{1,12}'
  takes tunnel "$region_tunnel" '([0-9a-f-]{36})?'
  takes caller "$region_caller" '([0-9a-f]{64})?'
  takes id "$region_token_id" '([A-Za-z0-9_-]{1,64})?'
  takes pin "$region_pin" '([A-Za-z0-9_-]{43})?'
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
    signature="token's signature not checked: $why"
    return
  fi
  printf '%s' "skerry1.$token_claims" >"$scratch/signed"
  printf '%s' "$token_signature" | from_base64url >"$scratch/signature"
  if ! openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$scratch/signed" -sigfile "$scratch/signature" >/dev/null 2>&1; then
    refuse "the token was not signed by this cloud (key $key)" 'Do not use it. Get one from the cloud itself, or the right key.'
  fi
  signature="token's signature checked"
}

judge_time() {
  now=$(date +%s)
  if [ "$now" -ge "$region_expires" ]; then
    refuse "the token of region $region_id expired $(span $((now - region_expires))) ago" 'Have the cloud issue a new one. If it should be valid, the clock of this machine is wrong: date'
  fi
  if [ "$now" -lt $((region_issued - 300)) ]; then
    refuse "the token of region $region_id is not valid yet" 'The clock of this machine is behind that of the cloud: date'
  fi
}

# span SECONDS: prints a duration for people.
span() {
  minutes=$(($1 / 60))
  if [ "$minutes" -lt 120 ]; then printf '%s minutes' "$minutes"; elif [ "$minutes" -lt 2880 ]; then printf '%s hours' $((minutes / 60)); else printf '%s days' $((minutes / 1440)); fi
}

# moment SECONDS: prints a time. GNU and busybox have -d, the BSDs -r.
moment() {
  for way in "-d @$1" "-r $1"; do
    # shellcheck disable=SC2086 # option and value are two words
    date -u $way +%Y-%m-%dT%H:%M:%SZ 2>/dev/null && return 0
  done
  printf '%s\n' "$1"
}

# Prints what $token says. Contacts nobody, and writes no file: the signature, which needs one, is not checked. Of its hash, with which the
# region proves that it has the token, only the beginning is shown.
show_token() {
  decode_token
  now=$(date +%s)
  if [ "$now" -ge "$region_expires" ]; then
    still="expired $(span $((now - region_expires))) ago"
  else
    still="expires in $(span $((region_expires - now)))"
  fi
  if [ "$now" -lt $((region_issued - 300)) ]; then still="not valid yet, by the clock of this machine"; fi
  field region "$region_id${region_name:+ ($region_name)}"
  field cloud "$region_cloud"
  field issued "$(moment "$region_issued")"
  field expires "$(moment "$region_expires") ($still)"
  field id "${region_token_id:-none: it is good for more than one region}${region_token_id:+, good for one region}"
  field pin "${region_pin:-none: a CA that this machine trusts has to vouch for the cloud}"
  field tunnel "${region_tunnel:-none}${region_tunnel:+ as $region_hostname, with credentials from $region_credentials}"
  field caller "${region_caller:-none: nobody may call the agent}"
  if find_hasher; then field SHA-256 "$(printf '%s' "$token" | $hasher | cut -c 1-12)…"; fi
  field signature 'not checked here'
}
field() { printf '%-10s %s\n' "$1" "$2"; }

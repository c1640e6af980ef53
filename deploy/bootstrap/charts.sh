# shellcheck shell=sh
# Fetches charts: from repositories, from a folder, and Skerry's own from this checkout. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# Sets the proxy for helm and curl. The API server is never called through it.
set_proxy() {
  [ -z "$http_proxy_" ] || export HTTP_PROXY="$http_proxy_"
  [ -z "$https_proxy_" ] || export HTTPS_PROXY="$https_proxy_"
  [ -n "$http_proxy_$https_proxy_$no_proxy_" ] || return 0
  server=$(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null | sed -e 's,^https*://,,' -e 's,[:/].*,,')
  export NO_PROXY="${no_proxy_:+$no_proxy_,}$server"
}

# helm and curl use these CA certificates instead of the system's, so the file contains both: a proxy may intercept only some connections.
trust() {
  [ -n "$ca_file" ] || return 0
  trusted=$scratch/authorities.pem
  : >"$trusted"
  for each in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -r "$each" ]; then cat "$each" >>"$trusted" && break; fi
  done
  cat "$ca_file" >>"$trusted"
}

# get_chart FOLDER: puts the current row's chart there, and sets chart_file to it. It is fetched once; helm always works with that file.
get_chart() {
  chart_file=$1/$chart-$version.tgz
  [ ! -r "$chart_file" ] || return 0
  mkdir -p "$1"
  if [ -n "$offline" ]; then
    chart_file=$offline/$chart-$version.tgz
    [ -r "$chart_file" ] || { printf 'there is no %s\n' "$chart_file" >"$scratch/output" && return 1; }
  elif [ "$name" = skerry ] && [ -r "$here/../chart/Chart.yaml" ]; then
    helm package "$here/../chart" --destination "$1" >"$scratch/output" 2>&1
  else
    case $repository in
      oci://*) set -- "$1" "$repository/$chart" ;;
      *) set -- "$1" "$chart" --repo "$repository" ;;
    esac
    log "+ helm pull $2 --version $version, from $repository"
    destination=$1
    shift
    helm pull "$@" --version "$version" --destination "$destination" ${trusted:+--ca-file "$trusted"} >"$scratch/output" 2>&1 </dev/null
  fi
}

# What to do if that fails.
chart_help='check the proxy and --ca-file, or use --offline DIR. If the repository has moved, use a newer version of this installer, or a list of your own with the new address: --components FILE'

# download FOLDER: downloads all wanted charts. If one is not available, the others are downloaded all the same.
download() {
  while read -r name role chart repository version _ <&4; do
    wanted "$name" || continue
    printf '%s %s\n' "$chart" "$version"
    get_chart "$1" && continue
    sed 's/^/  /' "$scratch/output" >&2
    left_out "$name" 'its chart is not available'
    [ "$role" != needed ] || exit 1
  done 4<"$scratch/rows"
  printf 'The charts are in %s. Copy it and this folder to the site, and the images that ./install.sh --images names: see docs/installing.md.\n' "$1"
}

# shellcheck shell=sh
# Lists every image that a region needs, for a site without internet. Sourced by install.sh, after charts.sh. POSIX sh.
# shellcheck disable=SC2154,SC2034 # install.sh sets these variables, and get_chart uses the row that is read here

# What a chart renders depends on the version of Kubernetes, and some refuse an old one. The list is made without access to the cluster.
images_kubernetes=1.35.0

# list_images: prints each image of the wanted components once, sorted. A component whose chart is not available or cannot be rendered is
# skipped and listed. If it is needed, the list would be useless, and the script ends.
list_images() {
  : >"$scratch/images"
  while read -r name role chart repository version namespace least present wait definition keep <&4; do
    wanted "$name" || continue
    images_of "$name" >>"$scratch/images" && continue
    tail -n 6 "$scratch/output" | sed 's/^/  /' >&2
    left_out "$name" 'its images are unknown'
    [ "$role" != needed ] || exit 1
  done 4<"$scratch/rows"
  sort -u "$scratch/images"
}

# images_of NAME: prints the images of the current row's component, one per line, possibly repeated. Errors are in $scratch/output.
images_of() {
  get_chart "$scratch/charts" || return 1
  about "$components" "$1" image | whole_names
  case $1 in
    # Its chart lists its images in a file, because it cannot be rendered without a region's values.
    skerry) tar -xzOf "$chart_file" "$chart/images.yaml" >"$scratch/rendered" 2>"$scratch/output" && sed -n 's/^- *//p' "$scratch/rendered" | whole_names ;;
    *) images_of_chart "$1" ;;
  esac || return 1
  if [ "$1" = crate-operator ]; then images_of_databases; fi
}

# The images that the chart renders with our values and the user's, without the chart's tests.
images_of_chart() {
  release_name=$1
  set -- --namespace "$namespace" --kube-version "$images_kubernetes" --skip-tests
  [ ! -r "$here/values/$release_name.yaml" ] || set -- "$@" --values "$here/values/$release_name.yaml"
  printf '%s' "$value_files" >"$scratch/value-files"
  while IFS= read -r each; do
    case $each in "$release_name="*) set -- "$@" --values "${each#*=}" ;; esac
  done <"$scratch/value-files"
  helm template "$release_name" "$chart_file" "$@" >"$scratch/rendered" 2>"$scratch/output" </dev/null || return 1
  images_in <"$scratch/rendered" | whole_names
}

# The callers of the API choose the versions of their databases.
images_of_databases() {
  if [ -z "$cratedb_versions" ]; then
    printf '# CrateDB itself is not listed: pass --cratedb VERSION for each version that databases here will use.\n' >&2
  fi
  for each in $cratedb_versions; do printf 'docker.io/library/crate:%s\n' "$each"; done
}

# images_in: prints the images in the manifests on standard input. They appear
#
#   under the key image, of containers, init containers and objects of other kinds
#   in arguments                    --acme-http01-solver-image=NAME, --prometheus-config-reloader=NAME
#   in variables called …IMAGE
#
# in block style, in flow style or as JSON. A name with registry and tag is found wherever it is a whole word; one without, such as
# busybox:1.35, only in these places. CRDs are skipped: they mention images in descriptions only.
images_in() {
  awk '
    BEGIN {
      part = "[a-z0-9]+[a-z0-9._-]*"
      tag = ":[A-Za-z0-9_][A-Za-z0-9._-]*"
      digest = "@sha256:[0-9a-f]+"
      any = "^" part "(:[0-9]+)?(/" part ")*(" tag ")?(" digest ")?$"
      full = "^[a-z0-9-]+([.][a-z0-9-]+|:[0-9]+)[a-z0-9.-]*(:[0-9]+)?(/" part ")+(" tag "|" digest "|" tag digest ")$"
      key = "(^|[{,])[[:space:]]*(-[[:space:]]+)*[\"\047]?image[\"\047]?:[[:space:]]*"
      variable = "name[\"\047]?:[[:space:]]*[\"\047]?[A-Z0-9_]*IMAGE[\"\047]?[[:space:]]*"
    }
    function show(name, pattern) { if (name ~ pattern) print name }
    # The first word of a text, without quotes.
    function word(text) { sub(/^["\047]/, "", text); sub(/["\047,}\][:space:]].*$/, "", text); return text }
    # Shows the word after each match of a pattern.
    function behind(text, pattern) {
      while (match(text, pattern)) {
        text = substr(text, RSTART + RLENGTH)
        show(word(text), any)
      }
    }
    function words(text,    all, count, at, flag) {
      count = split(text, all, /["\047,{}\[\][:space:]]+/)
      for (at = 1; at <= count; at++) {
        flag = ""
        if (match(all[at], /^--?[A-Za-z0-9._-]+=/)) {
          flag = substr(all[at], 1, RLENGTH)
          all[at] = substr(all[at], RLENGTH + 1)
        }
        show(all[at], flag ~ /image/ ? any : full)
      }
    }
    function document(    at, before) {
      for (at = 1; at <= length_ && !definition; at++) {
        behind(lines[at], key)
        behind(lines[at], variable ",[[:space:]]*[\"\047]?value[\"\047]?:[[:space:]]*")
        if (before) behind(lines[at], "^[[:space:]]*value:[[:space:]]*")
        before = lines[at] ~ variable "$"
        words(lines[at])
      }
      length_ = 0; definition = 0
    }
    /^---/ { document(); next }
    /^[[:space:]]*#/ { next }
    /^kind:[[:space:]]*"?CustomResourceDefinition/ { definition = 1 }
    { lines[++length_] = $0 }
    END { document() }
  '
}

# Completes names as a container runtime does: busybox is docker.io/library/busybox:latest.
whole_names() {
  awk '
    {
      host = $1
      if (!sub(/\/.*/, "", host)) $1 = "docker.io/library/" $1
      else if (host !~ /[.:]/ && host != "localhost") $1 = "docker.io/" $1
      if ($1 !~ /:[^\/]*$/) $1 = $1 ":latest"
      print $1
    }
  '
}

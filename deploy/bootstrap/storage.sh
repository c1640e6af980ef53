# shellcheck shell=sh
# The storage classes of databases and of their heap dumps. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# Databases request these classes by name. At a terminal, the user is asked which class to copy; otherwise the preflight reports them.
offer_storage_classes() {
  lacking=''
  for class in crate-premium crate-local; do exists storageclass "$class" || lacking="${lacking:+$lacking and }$class"; done
  [ -n "$lacking" ] || return 0
  kube get storageclasses -o 'jsonpath={range .items[*]}{.metadata.name} ({.provisioner}){"\n"}{end}' >"$scratch/classes" 2>>"$log_file" || return 0
  [ -s "$scratch/classes" ] || return 0
  printf 'Databases use storage classes that do not exist here: %s. These exist:\n' "$lacking"
  sed 's/^/  /' "$scratch/classes"
  printf 'Copy which one? [empty: create none] '
  read -r storage_source </dev/tty || storage_source=''
  if [ -n "$storage_source" ] && ! exists storageclass "$storage_source"; then stop "There is no storage class $storage_source. Nothing was done."; fi
}

# Rendered with kubectl's own templates, so that no other tool is needed.
storage_classes() {
  begin storage-classes "crate-premium and crate-local like $storage_source" "Choose a class that exists: kubectl get storageclasses"
  exists storageclass "$storage_source" || failed "there is no storage class $storage_source"
  made=''
  for class in crate-premium crate-local; do
    if exists storageclass "$class"; then continue; fi
    kube get storageclass "$storage_source" -o "go-template=apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: $class
  labels: { app.kubernetes.io/part-of: skerry }
provisioner: {{.provisioner}}
{{if .parameters}}parameters:{{range \$key, \$value := .parameters}}
  {{printf \"%q: %q\" \$key \$value}}{{end}}
{{end}}{{if .mountOptions}}mountOptions:{{range .mountOptions}}
  - {{printf \"%q\" .}}{{end}}
{{end}}reclaimPolicy: {{if .reclaimPolicy}}{{.reclaimPolicy}}{{else}}Delete{{end}}
allowVolumeExpansion: {{ne .provisioner \"kubernetes.io/no-provisioner\"}}
volumeBindingMode: WaitForFirstConsumer
" >"$scratch/manifest" || failed 'it cannot be read'
    apply "create the storage class $class" || failed "$class cannot be created"
    made="$made $class"
  done
  case $made in '') ended 'they exist already' ;; *) done_ "made$made" ;; esac
}

# The operator adds a volume for heap dumps to each node of a database, of a class that is a setting of the operator. If that class does not
# exist, databases stay Pending. An existing setting is kept while its class exists, because databases were created with it.
prepare_crate_operator() {
  setting='{range .spec.template.spec.containers[*].env[?(@.name=="CRATEDB_OPERATOR_DEBUG_VOLUME_%s")]}{.value}{end}'
  dump_class=$(operator_setting STORAGE_CLASS) || failed 'the settings of the operator cannot be read'
  dump_size=$(operator_setting SIZE) || failed 'the settings of the operator cannot be read'
  if [ -z "$dump_class" ] || ! exists storageclass "$dump_class"; then
    dump_size=''
    choose_dump_class
  fi
  {
    printf 'env:\n  CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS: "%s"\n' "$dump_class"
    [ -z "$dump_size" ] || printf '  CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE: "%s"\n' "$dump_size"
  } >"$scratch/found-crate-operator.yaml"
}
operator_setting() {
  # shellcheck disable=SC2059 # the setting is a format
  kube -n "$namespace" get deployment crate-operator --ignore-not-found -o "jsonpath=$(printf "$setting" "$1")" 2>"$scratch/output"
}

# Sets dump_class to a class that exists, or is going to be created.
choose_dump_class() {
  for dump_class in crate-premium crate-local; do
    if [ -n "$storage_source" ] || exists storageclass "$dump_class"; then return 0; fi
  done
  kube get storageclasses -o 'jsonpath={range .items[?(@.metadata.annotations.storageclass\.kubernetes\.io/is-default-class=="true")]}{.metadata.name}{"\n"}{end}' >"$scratch/classes" 2>"$scratch/output" ||
    failed 'the storage classes cannot be read'
  dump_class=$(head -n 1 "$scratch/classes")
  [ -z "$dump_class" ] || return 0
  dump_class=crate-premium
  say '       there is no storage class for heap dumps: databases start once there is one named crate-premium'
}

# shellcheck shell=sh
# Makes a region again from its file, once Skerry is installed. Sourced by install.sh. POSIX sh.
# shellcheck disable=SC2154 # install.sh sets these variables

# Refuses what cannot be imported, before anything is installed.
check_import() {
  if [ -z "$import_file" ]; then
    [ -z "$import_options" ] || refuse "${import_options# } is for --import"
    return 0
  fi
  if [ ! -r "$import_file" ] || [ -d "$import_file" ]; then refuse "$import_file cannot be read"; fi
  check_import_file
  wanted skerry || refuse '--import needs Skerry itself, which is left out'
  [ -z "$no_wait" ] || refuse '--import and --no-wait cannot be combined' 'The region is imported when it is ready.'
}

# What shows at once that a file cannot be imported: an installation takes minutes. What else is wrong with it, the agent says.
check_import_file() {
  [ -s "$import_file" ] || refuse "$import_file is empty"
  # 1f8b: packed with gzip. 7b: a curly bracket.
  case $(od -An -tx1 -N2 <"$import_file" | tr -d ' \n') in
    1f8b) return 0 ;;
    7b*) ;;
    *) refuse "$import_file is no region file" ;;
  esac
  [ "$(tail -c 100 <"$import_file" | tr -d '[:space:]' | tail -c 1)" = '}' ] || refuse "$import_file ends in the middle: it was cut"
}

# Lets an agent's pod import the file. What stands already stays, so that a run can be repeated.
import_region() {
  begin import "the region file $import_file" ''
  if [ -n "$dry_run" ]; then
    say "       would import $import_file, in a pod of the agent"
    return 0
  fi
  import_code=0
  # Blanks separate the words of the options; they contain none.
  # shellcheck disable=SC2086
  kube -n skerry exec -i deploy/skerry-agent -- node /skerry/agent.mjs import - $import_options <"$import_file" >"$scratch/imported" 2>&1 || import_code=$?
  tee -a "$log_file" <"$scratch/imported" | sed 's/^/       /'
  if [ "$import_code" -eq 0 ]; then ended 'imported'; else ended 'not all of it is there'; fi
  end_import
  [ "$import_code" -ne 0 ] || return 0
  : >"$scratch/output"
  step_help='see above what is missing. docs/recovery.md says what to do for each reason'
  failed 'the region is not whole'
}

# The right to make volumes is for the time of the import alone: the same release without it. No pod is replaced.
end_import() {
  importing=''
  while read -r name role chart repository version namespace least present wait definition keep <&4; do
    if [ "$name" = skerry ]; then
      begin skerry 'take back the right to make volumes' ''
      attempt component
    fi
  done 4<"$scratch/rows"
}

/** What calls a program that a text set as code may tell somebody to run. */
const programs = [
  ...['kubectl', 'helm', 'curl', 'openssl', 'cmctl', 'cloudflared', 'node', 'npm', 'docker', 'crictl', 'mosquitto_sub'],
  ...['journalctl', 'timedatectl', 'chronyc', 'chmod', 'df', 'cd', 'printf', './install.sh', './uninstall.sh'],
]

/** What may stand before the program: variables for it alone. `token=$(openssl …)` is a command of its own. */
const assignments = /^(?:[A-Z_]+=\S+ )+/

/** Whether a text that is set as code is a command: a program with what it is to do, and not its name alone. */
export function isCommand(code: string): boolean {
  if (/^\w+=\$\(|^date$|^\.\/(?:un)?install\.sh$/.test(code)) return true
  const bare = code.replace(assignments, '')
  const [program = '', ...rest] = bare.split(/\s+/)
  // What somebody does: pages tell of it, and nobody to do it.
  if (/^(?:kubectl delete|helm uninstall)$/.test(code)) return false
  // With variables for it, a script of the installation needs nothing else.
  return programs.includes(program) && (rest.length > 0 || bare !== code)
}

/**
 * Where a command begins in a sentence: at a program's name that has something to do behind it. Names that sentences are about as well
 * need one of their own words there: `helm upgrade`, and not `helm did not install it`.
 */
const beginning = new RegExp(
  [
    String.raw`(?<=^|[\s(|])(?:kubectl (?!is|did|alone)`,
    'helm (?:install|upgrade|uninstall|rollback|template|get|list) ',
    String.raw`node \S+\.mjs `,
    'curl -',
    '(?:openssl|timedatectl|chronyc|crictl|cmctl|journalctl|chmod) (?!is|older)',
    String.raw`(?:\./)?(?:un)?install\.sh -)`,
    '(?<=: )date$',
  ].join('|'),
  'g',
)

/** Where a sentence goes on behind a command. */
const goingOn = /; |\. (?=[A-Z])|, (?=[a-z])| {2,}\(| \(or |\)(?=[.,; ]|$)|: (?=[a-z])|\.$/

/** The commands in a sentence of a program, which has no marks for them. Placeholders such as `${name}` stay as they are. */
export function commandsInProse(sentence: string): string[] {
  const starts = [...sentence.matchAll(beginning)].filter(({ index }) => !/\|\s*$/.test(sentence.slice(0, index)))
  return starts.map(({ index }) => {
    const whole = sentence.slice(index)
    return whole.slice(0, goingOn.exec(whole)?.index).trim()
  })
}

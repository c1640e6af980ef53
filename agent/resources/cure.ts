/** One way to deal with an obstacle. */
export type Cure = {
  /** Its purpose and effect, in a sentence; for a destructive cure also the loss. */
  effect: string
  /** A command to paste into a shell as it is. Without one, `effect` says what to do. */
  command?: string
  /** Whether something is lost that cannot be restored: data, a volume, a claim, a Node, an object of a user. */
  destructive: boolean
}

/**
 * The effect of a kind of cure on the cluster. A deletion by the API counts as a change, since it keeps the volumes. A cure that destroys
 * something is never the first proposal.
 */
type Deed = 'advises' | 'looks' | 'changes' | 'destroys'

/** The names in angle brackets in a text. */
type Holes<Text extends string> = Text extends `${string}<${infer Name}>${infer Rest}` ? Name | Holes<Rest> : never

/** The values for the places in angle brackets. Several words become separate arguments of a command; an empty list removes the place. */
type Values<Text extends string> = { [Name in Holes<Text>]: string | string[] }

/** Makes a cure for one case. Texts without places need no values. */
type Make<Text extends string> = (...given: [Holes<Text>] extends [never] ? [] : [values: Values<Text>]) => Cure

/** The template of a cure, with places in angle brackets: `kubectl describe node <node>`. */
export type CureKind<Text extends string = string> = Make<Text> & {
  readonly does: Deed
  readonly effect: string
  readonly command?: string
}

/** Advice without a command. */
export function advises<Effect extends string>(effect: Effect): CureKind<Effect> {
  return kindOf('advises', effect)
}

/** A command that only shows something. */
export function looks<Effect extends string, Command extends string>(effect: Effect, command: Command): CureKind<`${Effect}${Command}`> {
  return kindOf('looks', effect, command)
}

/** A command whose change can be undone. */
export function changes<Effect extends string, Command extends string>(effect: Effect, command: Command): CureKind<`${Effect}${Command}`> {
  return kindOf('changes', effect, command)
}

/** A command with a permanent loss, which its effect names after "This loses". */
export function destroys<Effect extends `${string}This loses ${string}`, Command extends string>(
  effect: Effect,
  command: Command,
): CureKind<`${Effect}${Command}`> {
  return kindOf('destroys', effect, command)
}

function kindOf<Text extends string>(does: Deed, effect: string, command?: string): CureKind<Text> {
  const make = (values: Record<string, string | string[]> = {}): Cure => ({
    effect: fill(effect, values, (words) => words.join(', ')),
    ...(command !== undefined && { command: fill(command, values, (words) => words.map(quoted).join(' ')) }),
    destructive: does === 'destroys',
  })
  return Object.assign(make, { does, effect, ...(command !== undefined && { command }) }) as unknown as CureKind<Text>
}

function fill(text: string, values: Record<string, string | string[]>, join: (words: string[]) => string): string {
  return text.replace(/<(\w+)>( ?)/g, (_, name: string, space: string) => {
    const words = join([values[name] ?? []].flat())
    return words === '' ? '' : words + space
  })
}

/** A word quoted for a shell. Names of Kubernetes objects need no quotes. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Cures as one text for people: one line each, with the command after a colon. */
export function renderCures(cures: Cure[]): string {
  return cures.map(({ effect, command }) => (command === undefined ? effect : `${effect}: ${command}`)).join('\n')
}

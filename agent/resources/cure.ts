/** One thing that somebody can do about what stands in the way. */
export type Cure = {
  /** What it is for and what it does, in a sentence; of a destructive one also what it loses. */
  effect: string
  /** What is pasted into a shell, just so: nothing stands around it. Without one, `effect` says what to do. */
  command?: string
  /** Whether something cannot be had again afterwards: data, a volume, a claim, a Node, an object of a user. */
  destructive: boolean
}

/**
 * What a kind of cure does to the cluster. What the API deletes counts as a change, since it keeps the volumes;
 * what destroys is never proposed first.
 */
type Deed = 'advises' | 'looks' | 'changes' | 'destroys'

/** The names in angle brackets in a text. */
type Holes<Text extends string> = Text extends `${string}<${infer Name}>${infer Rest}` ? Name | Holes<Rest> : never

/** What is put into the places in angle brackets. Several words of a command stand side by side; none leave nothing behind. */
type Values<Text extends string> = { [Name in Holes<Text>]: string | string[] }

/** Makes a cure for one case; needs no values where the texts have no places for any. */
type Make<Text extends string> = (...given: [Holes<Text>] extends [never] ? [] : [values: Values<Text>]) => Cure

/** A cure as it is written down once, with places in angle brackets: `kubectl describe node <node>`. */
export type CureKind<Text extends string = string> = Make<Text> & {
  readonly does: Deed
  readonly effect: string
  readonly command?: string
}

/** Says what to do where no command does it. */
export function advises<Effect extends string>(effect: Effect): CureKind<Effect> {
  return kindOf('advises', effect)
}

/** A command that only shows something. */
export function looks<Effect extends string, Command extends string>(effect: Effect, command: Command): CureKind<`${Effect}${Command}`> {
  return kindOf('looks', effect, command)
}

/** A command that changes something which can be changed back or had again. */
export function changes<Effect extends string, Command extends string>(effect: Effect, command: Command): CureKind<`${Effect}${Command}`> {
  return kindOf('changes', effect, command)
}

/** A command after which something cannot be had again. Its effect says what, beginning with "This loses". */
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

/** A word as a shell takes it. Names of Kubernetes need no quotes. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Cures as one text for people: a line for each, at whose end the command stands after a colon. */
export function renderCures(cures: Cure[]): string {
  return cures.map(({ effect, command }) => (command === undefined ? effect : `${effect}: ${command}`)).join('\n')
}

/** What the search for cycles needs of a check. */
type Dependent = { name: string; dependsOn: readonly string[] }

/**
 * Checks that depend on themselves, each cycle once: the names in order, the first one repeated at the end. Names of checks that are not
 * given lead nowhere.
 */
export function cyclesOf(checks: Iterable<Dependent>): string[][] {
  const all = new Map([...checks].map((check) => [check.name, check]))
  const done = new Set<string>()
  const cycles: string[][] = []
  for (const start of all.keys()) {
    if (done.has(start)) continue
    // A stack of our own: a chain of ten thousand checks must not be too deep.
    const way: string[] = [start]
    const onWay = new Set(way)
    const left: string[][] = [[...(all.get(start)?.dependsOn ?? [])]]
    while (way.length > 0) {
      const next = left.at(-1)?.pop()
      if (next === undefined) {
        left.pop()
        const ended = way.pop() as string
        onWay.delete(ended)
        done.add(ended)
      } else if (onWay.has(next)) cycles.push([...way.slice(way.indexOf(next)), next])
      else if (all.has(next) && !done.has(next)) {
        way.push(next)
        onWay.add(next)
        left.push([...(all.get(next)?.dependsOn ?? [])])
      }
    }
  }
  return cycles
}

/** A check among those that it depends on, and those that depend on it. */
export type Linked = { readonly name: string; above: Linked[]; below: Linked[] }

/**
 * Links checks with each other. A name that is not there is passed over, and so is what would close a circle, which is returned: a check
 * that depends on itself could never be called down.
 */
export function linkChecks<T extends Linked>(nodes: ReadonlyMap<string, T>, dependsOn: (node: T) => readonly string[]): string[][] {
  const cycles = cyclesOf([...nodes.values()].map((node) => ({ name: node.name, dependsOn: dependsOn(node) })))
  const cut = new Set(cycles.map((cycle) => JSON.stringify(cycle.slice(-2))))
  for (const node of nodes.values()) {
    node.above = []
    node.below = []
  }
  for (const node of nodes.values())
    for (const name of new Set(dependsOn(node))) {
      const other = nodes.get(name)
      if (other === undefined || cut.has(JSON.stringify([node.name, name]))) continue
      node.above.push(other)
      other.below.push(node)
    }
  return cycles
}

/** Everything that is above a check, or below it, each once; not the check itself. */
export function* reachable<T extends Linked>(from: T, way: 'above' | 'below'): Generator<T> {
  const seen = new Set<Linked>([from])
  const left: Linked[] = [...from[way]]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    yield next as T
    left.push(...next[way])
  }
}

/** The checks so that each comes after all that it depends on. There are no circles after `linkChecks`. */
export function inOrder<T extends Linked>(nodes: Iterable<T>): T[] {
  const all = [...nodes]
  const open = new Map<Linked, number>(all.map((node) => [node, node.above.length]))
  const ready = all.filter((node) => node.above.length === 0)
  for (const node of ready)
    for (const below of node.below) {
      const left = (open.get(below) ?? 0) - 1
      open.set(below, left)
      if (left === 0) ready.push(below as T)
    }
  return ready
}

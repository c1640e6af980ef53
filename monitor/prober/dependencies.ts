/** What the search for circles needs to know about a check. */
type Dependent = { name: string; dependsOn: readonly string[] }

/** Circles of dependencies, each once: the names in order, with the first one repeated at the end. Unknown names are ignored. */
export function cyclesOf(checks: Iterable<Dependent>): string[][] {
  const all = new Map([...checks].map((check) => [check.name, check]))
  const done = new Set<string>()
  const cycles: string[][] = []
  for (const start of all.keys()) {
    if (done.has(start)) continue
    // No recursion: a chain of ten thousand checks must not exhaust the stack.
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

/** A check with those that it depends on above, and those that depend on it below. */
export type Linked<T> = { readonly name: string; above: T[]; below: T[] }

/**
 * Links checks with each other. Unknown names are ignored, and so is a dependency that would close a circle, since a check that depends on
 * itself could never go down. @returns the circles
 */
export function linkChecks<T extends Linked<T>>(nodes: ReadonlyMap<string, T>, dependsOn: (node: T) => readonly string[]): string[][] {
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

/** Every check above or below another, each once, without the check itself. */
export function* reachable<T extends Linked<T>>(from: T, way: 'above' | 'below'): Generator<T> {
  const seen = new Set<T>([from])
  const left: T[] = [...from[way]]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    yield next
    left.push(...next[way])
  }
}

/** The checks, each after all that it depends on. `linkChecks` leaves no circles. */
export function inOrder<T extends Linked<T>>(nodes: Iterable<T>): T[] {
  const all = [...nodes]
  const open = new Map<T, number>(all.map((node) => [node, node.above.length]))
  const ready = all.filter((node) => node.above.length === 0)
  for (const node of ready)
    for (const below of node.below) {
      const left = (open.get(below) ?? 0) - 1
      open.set(below, left)
      if (left === 0) ready.push(below)
    }
  return ready
}

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

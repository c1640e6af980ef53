import { type ChartFacts, imagesOf } from './chart-facts.ts'
import { merged, type Values, valueAt } from './chart-values.ts'

export type Which = 'pinned' | 'before'

/** The facts of all components' charts, at the versions that the list of components pins and at those that it pinned before. */
export type Contract = {
  about: string
  date: string
  charts: Record<string, Record<Which, ChartFacts>>
  beyond: Record<string, Beyond>
}

/** Facts of a component that no manifest of its chart shows. */
export type Beyond = {
  /** The oldest version of Kubernetes that a hook accepts. */
  hookWants?: Record<Which, string>
  /** Secrets that its programs recreate. */
  remakes?: string[]
  /** Services that its programs create. */
  makesServices?: ChartFacts['services']
  /** The value that enables the subchart with its CRDs in a folder crds/. */
  subchart?: string
  note?: string
}

/** The facts with these values applied: they decide whether CRDs are kept, and how Deployments are replaced. */
export function under(facts: ChartFacts, values: Values): ChartFacts {
  const all = merged(facts.defaults, values)
  const asked = (path: string) => valueAt(facts.defaults, path) !== undefined
  const keep = asked('crds.keep')
    ? valueAt(all, 'crds.keep') === true
    : asked('crds.annotations')
      ? (valueAt(all, 'crds.annotations') as Values | undefined)?.['helm.sh/resource-policy'] === 'keep'
      : undefined
  const strategy = asked('deploymentStrategy.type') ? (valueAt(all, 'deploymentStrategy.type') as string) : undefined
  return {
    ...facts,
    definitions: facts.definitions.map((each) => (keep !== undefined && each.from === 'templates' ? { ...each, keep } : each)),
    workloads: facts.workloads.map((each) => (strategy !== undefined && each.kind === 'Deployment' ? { ...each, strategy } : each)),
  }
}

/** The differences: a line per fact that is gone, new or changed. */
export function differences(was: ChartFacts, is: ChartFacts): string[] {
  const [before, now] = [linesOf(was), linesOf(is)]
  const changed = [...new Set([...before.keys(), ...now.keys()])].filter((key) => before.get(key) !== now.get(key))
  // The parts of something new or gone are not listed one by one.
  const whole = changed.filter((key) => before.has(key) !== now.has(key)).map((key) => `${key} `)
  const told = changed.filter((key) => !whole.some((other) => key.startsWith(other)))
  return told.sort().map((key) => {
    const [then, today] = [before.get(key), now.get(key)]
    if (then === undefined) return `${key} is new${today === '' ? '' : `: ${today}`}`
    if (today === undefined) return `${key} is gone${then === '' ? '' : `: ${then}`}`
    return `${key} is ${today || 'without that'}, and was ${then || 'without that'}`
  })
}

/** Each fact by its path. */
function linesOf(facts: ChartFacts): Map<string, string> {
  const lines: [string, string][] = [
    ['the version of the chart', facts.version],
    ['the condition on Kubernetes', facts.kubeVersion ?? ''],
    ...imagesOf(facts).map((image): [string, string] => [`image ${image}`, '']),
    ...facts.secrets.map((name): [string, string] => [`Secret/${name}`, '']),
    ...facts.claims.map(({ name, keep }): [string, string] => [`PersistentVolumeClaim/${name}`, keptOrNot(keep)]),
    ...facts.unknownValues.map((path): [string, string] => [`our value ${path}, which the chart does not list,`, '']),
    ...facts.services.map(({ namespace, name, ports }): [string, string] => [`Service/${name} in ${namespace}`, ports.join(' ')]),
  ]
  for (const { name, versions, from, keep } of facts.definitions) {
    lines.push([`CustomResourceDefinition/${name}`, from === 'crds' ? 'in the folder crds/' : `among the templates, ${keptOrNot(keep)}`])
    lines.push([`CustomResourceDefinition/${name} versions`, versions.join(' ')])
  }
  for (const { kind, name, labels, strategy, hook, volumes } of facts.workloads) {
    lines.push([`${kind}/${name}`, hook ? `a hook of ${hook.join(' and ')}` : ''])
    lines.push([`${kind}/${name} strategy`, strategy ?? ''])
    for (const [label, value] of Object.entries(labels)) lines.push([`${kind}/${name} label ${label}`, value])
    for (const claim of [...(volumes?.claims ?? []), ...(volumes?.template ?? [])]) lines.push([`${kind}/${name} volume ${claim}`, ''])
  }
  // A CRD must have the fields of the release's own objects before the release is upgraded.
  for (const { kind, fields, images } of facts.customs)
    if (images) for (const field of fields) lines.push([`field ${field} of ${kind}`, ''])
  return new Map(lines)
}

function keptOrNot(keep: boolean): string {
  return keep ? 'kept' : 'not kept'
}

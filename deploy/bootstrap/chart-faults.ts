import { parse } from 'yaml'
import type { Component } from '../../agent/preflight/components.ts'
import type { Beyond } from './chart-contract.ts'
import type { ChartFacts, Workload } from './chart-facts.ts'

/** The list of components, and the facts of those whose chart is known. */
export type Stack = {
  components: Component[]
  charts: Record<string, ChartFacts>
  beyond: Record<string, Beyond>
  which?: 'pinned' | 'before'
}

type Rule = (component: Component, facts: ChartFacts, stack: Stack) => string[]

/** The faults of the list of components, each with its place: `alloy: wait daemonset/alloy: …`. Pure. */
export function faultsOf(stack: Stack): string[] {
  return stack.components.flatMap((component) => {
    const facts = stack.charts[component.name]
    if (!facts) return []
    return rules.flatMap((rule) => rule(component, facts, stack)).map((fault) => `${component.name}: ${fault}`)
  })
}

const kindOf: Record<string, string> = { deployment: 'Deployment', statefulset: 'StatefulSet', daemonset: 'DaemonSet' }

const pin: Rule = ({ chart, version }, facts) => [
  ...(chart === facts.chart ? [] : [`chart ${chart}: it is called ${facts.chart}`]),
  ...(version === facts.version ? [] : [`version ${version}: the known facts are of ${facts.version}`]),
]

const waits: Rule = ({ wait }, { workloads, definitions }) =>
  wait.flatMap((target) => {
    const [kind = '', name] = target.replace('?', '').split('/')
    if (kind === 'crd') return definitions.some((each) => each.name === name) ? [] : [`wait ${target}: the chart has no such definition`]
    const found = workloads.some((each) => each.kind === kindOf[kind] && each.name === name && !each.hook)
    return found ? [] : [`wait ${target}: the chart has no such workload`]
  })

/** The first selector must find the chart's own objects; none may find another component's. */
const present: Rule = (component, facts, stack) =>
  component.present.flatMap((way, index) => {
    const own = facts.workloads.length > 0 ? [component] : stack.components.filter(({ namespace }) => namespace === component.namespace)
    const owners = stack.components.filter(({ name }) => stack.charts[name]?.workloads.some((workload) => isFound(workload, way)))
    const strangers = owners.filter((owner) => !own.includes(owner))
    return [
      ...(index === 0 && !owners.some((owner) => own.includes(owner)) ? [`present ${way}: it does not find the chart's own`] : []),
      ...strangers.map(({ name }) => `present ${way}: it finds ${name} too`),
    ]
  })

function isFound({ kind, labels }: Workload, way: string): boolean {
  const [kinds = '', selector = ''] = way.split(':')
  const pairs = selector.split(',').map((pair) => pair.split('='))
  return `${kind.toLowerCase()}s` === kinds && pairs.every(([label = '', value]) => labels[label] === value)
}

const definition: Rule = ({ definition: wanted }, _facts, { charts }) => {
  if (wanted === undefined) return []
  const found = Object.values(charts).some(({ definitions }) => definitions.some(({ name }) => name === wanted))
  return found ? [] : [`definition ${wanted}: no chart has it`]
}

const kept: Rule = ({ keep }, { definitions }) => {
  const lost = definitions.filter((each) => each.from === 'templates' && !each.keep).map(({ name }) => name)
  if (keep === 'definitions') return lost.length > 0 ? [] : ['keep definitions: no CRD would be deleted with the chart']
  return lost.map((name) => `definition ${name} is deleted with the chart, with all its objects: keep it by a value or by "keep"`)
}

const claims: Rule = (_component, { workloads }) =>
  workloads
    .filter(({ kind, strategy, volumes }) => kind === 'Deployment' && volumes?.claims && strategy !== 'Recreate')
    .map(({ name }) => `deployment/${name}: its strategy has to be Recreate, because two pods cannot share its volume`)

const kubernetes: Rule = ({ name, kubernetes: least }, { kubeVersion = '' }, { beyond, which = 'pinned' }) =>
  [
    ['the chart', /\d+\.\d+/.exec(kubeVersion)?.[0]],
    ['its hook', beyond[name]?.hookWants?.[which]],
  ].flatMap(([who, wants]) => (wants !== undefined && minor(least) < minor(wants) ? [`kubernetes ${least}: ${who} requires ${wants}`] : []))

const minor = (version: string) => Number(version.split('.')[1])

const remade: Rule = ({ name, remade: named }, { secrets }, { beyond }) =>
  named
    .filter((each) => ![...secrets, ...(beyond[name]?.remakes ?? [])].includes(each))
    .map((each) => `remade ${each}: neither the chart nor its programs create it`)

const rules: Rule[] = [pin, waits, present, definition, kept, claims, kubernetes, remade]

/** A text that names Services, or a file of values with Services as maps. */
export type Text = { where: string; text: string }

/** Services in the components' namespaces that a text names but no chart has. */
export function serviceFaults(texts: Text[], { components, charts, beyond }: Stack): string[] {
  const known = new Set(components.filter(({ name }) => charts[name]).map(({ namespace }) => namespace))
  const all = components.flatMap(({ name }) => [...(charts[name]?.services ?? []), ...(beyond[name]?.makesServices ?? [])])
  return texts.flatMap(({ where, text }) =>
    servicesIn(where, text)
      .filter(({ namespace }) => known.has(namespace))
      .filter(({ name, namespace, port }) => {
        const found = all.find((each) => each.name === name && each.namespace === namespace)
        return !found || (port !== undefined && !found.ports.some((each) => each.split(':').at(-1) === port))
      })
      .map(({ name, namespace, port }) => `${where}: no chart has the Service ${name} in ${namespace}${port ? ` with port ${port}` : ''}`),
  )
}

type Named = { name: string; namespace: string; port?: string | undefined }

function servicesIn(where: string, text: string): Named[] {
  const addresses = [...text.matchAll(/([a-z0-9-]+)\.([a-z0-9-]+)\.svc\b(?:\.cluster\.local)?(?::(\d+))?/g)]
  const named = addresses.map(([, name = '', namespace = '', port]): Named => ({ name, namespace, port }))
  return /\.ya?ml$/.test(where) ? [...named, ...mapsWithin(parse(text))] : named
}

/** Maps with a name, a namespace and a port. */
function mapsWithin(value: unknown): Named[] {
  if (typeof value !== 'object' || value === null) return []
  const { name, namespace, port } = value as Record<string, unknown>
  const inner = Object.values(value).flatMap(mapsWithin)
  return typeof name === 'string' && typeof namespace === 'string' && port !== undefined
    ? [{ name, namespace, port: String(port) }, ...inner]
    : inner
}

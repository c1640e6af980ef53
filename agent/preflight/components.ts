import { readFileSync } from 'node:fs'
import rendered from './components.json' with { type: 'json' }

/** A component that install.sh installs, as in deploy/bootstrap/components. Lists keep their order there. */
export type Component = {
  name: string
  /** `needed`: databases do not run without it. `retired`: only an earlier version installed it. */
  role: Role
  why?: string
  chart: string
  /** `https://…` or `oci://…` */
  repository?: string
  version: string
  checked?: string
  namespace: string
  /** The minimum version, such as 1.25. */
  kubernetes: string
  present: string[]
  /** `deployment/NAME` and so on, with "?" if it need not exist. */
  wait: string[]
  /** The name of a CRD without which it is useless. */
  definition?: string
  keep?: string
  remade: string[]
  image: string[]
  stays?: string
}

type Role = (typeof roles)[number]

const roles = ['needed', 'usual', 'retired'] as const
/** Keys that may be repeated, and keys with several words. */
const lists = ['present', 'image'] as const
const words = ['wait', 'remade'] as const
const required = ['chart', 'version', 'namespace'] as const
const keys: string[] = [
  ...['role', 'why', 'repository', 'checked', 'kubernetes', 'definition', 'keep', 'stays'],
  ...[...lists, ...words, ...required],
]

/** The list of this release, retired components included. `npm run render` generates it from deploy/bootstrap/components. */
export const ownComponents = rendered as Component[]

/** Reads a list in the format of deploy/bootstrap/components, with all its faults: `line 3: there is no key colour`. */
export function parseComponents(text: string): { components: Component[]; faults: string[] } {
  const components: Component[] = []
  const faults: string[] = []
  let began = 0
  const end = () => {
    const component = components.at(-1)
    for (const key of required) if (component && !(key in component)) faults.push(`line ${began}: ${component.name} has no ${key}`)
  }
  for (const [index, line] of text.split('\n').entries()) {
    const [, indent, key = '', value = ''] = /^(\s*)([^\s#]\S*)\s*(.*?)\s*$/.exec(line) ?? []
    const fault = (what: string) => faults.push(`line ${index + 1}: ${what}`)
    if (key === '') continue
    const component = components.at(-1)
    if (indent === '') {
      end()
      began = index + 1
      components.push(named(key))
      if (value !== '') fault('a name has a line of its own; its keys follow, indented')
    } else if (!component) fault('no name precedes this key')
    else if (!keys.includes(key)) fault(`there is no key ${key}`)
    else {
      for (const wrong of faultsOf(key, value)) fault(wrong)
      take(component, key, value)
    }
  }
  end()
  return { components, faults }
}

/**
 * Reads such a list from a file.
 * @throws Error with every fault of it
 */
export function readComponents(file: string): Component[] {
  const { components, faults } = parseComponents(readFileSync(file, 'utf8'))
  if (faults.length > 0) throw new Error(`the list of components, ${file}, is wrong:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
  return components
}

/**
 * The components to install: all that are not retired, or the named ones.
 * @throws Error when a name is not among them
 */
export function componentsToCome(all: readonly Component[], names: readonly string[] = []): Component[] {
  const brought = all.filter(({ role }) => role !== 'retired')
  const unknown = names.find((name) => brought.every((component) => component.name !== name))
  if (unknown !== undefined) throw new Error(`unknown component ${unknown}; there are ${brought.map(({ name }) => name).join(', ')}`)
  return names.length === 0 ? brought : brought.filter(({ name }) => names.includes(name))
}

function named(name: string): Component {
  return { name, role: 'usual', kubernetes: '1.20', present: [], wait: [], remade: [], image: [] } as unknown as Component
}

function faultsOf(key: string, value: string): string[] {
  if (value === '') return [`${key} has no value`]
  const [first = ''] = value.split(/\s+/)
  if (key === 'role' && !roles.includes(first as Role)) return [`role is needed, usual or retired, not ${first}`]
  if (key === 'kubernetes' && !/^1\.\d+$/.test(first)) return [`kubernetes is a version such as 1.25, not ${first}`]
  return []
}

function take(component: Component, key: string, value: string): void {
  if (lists.includes(key as never)) component[key as (typeof lists)[number]].push(value)
  else if (words.includes(key as never)) component[key as (typeof words)[number]].push(...value.split(/\s+/))
  else Object.assign(component, { [key]: value })
}

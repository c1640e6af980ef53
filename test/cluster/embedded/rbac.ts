import type { Attempt, Core, User } from './core.ts'
import type { Json, KubeObject } from './object.ts'
import { ApiError, forbidden } from './status.ts'

const group = 'rbac.authorization.k8s.io'
const buckets = ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'].map((plural) => `${group}/${plural}`)

/** A requested action, on a resource or on a path outside resources. */
export type Attributes = {
  verb: string
  group: string
  resource: string
  subresource: string
  name: string
  namespace: string
  /** The path, if it is not a resource. */
  path?: string
}

export type PolicyRule = {
  verbs: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

/** Role-based access control, evaluated with the objects in the cluster. */
export class Rbac {
  readonly #core: Core
  /** Rules by user and namespace, for one revision of the RBAC objects. */
  readonly #cache = new Map<string, PolicyRule[]>()
  #cachedAt = -1

  constructor(core: Core) {
    this.#core = core
  }

  allows(user: User, attributes: Attributes): boolean {
    if (user.groups.includes('system:masters')) return true
    return this.rulesFor(user, attributes.namespace).some((rule) => grants(rule, attributes))
  }

  /** Every rule that applies to a user in a namespace, or cluster-wide if the namespace is empty. */
  rulesFor(user: User, namespace: string): PolicyRule[] {
    const { store } = this.#core
    const revision = Math.max(...buckets.map((bucket) => store.bucket(bucket).revision))
    if (revision !== this.#cachedAt) {
      this.#cache.clear()
      this.#cachedAt = revision
    }
    const key = `${user.name} ${user.groups.join()} ${namespace}`
    let rules = this.#cache.get(key)
    if (!rules) {
      rules = this.#resolve(user, namespace)
      this.#cache.set(key, rules)
    }
    return rules
  }

  #boundTo(user: User, namespace: string): KubeObject[] {
    const { lookup } = this.#core
    const bound = lookup.list(`${group}/clusterrolebindings`).filter((binding) => names(binding, user))
    if (namespace) bound.push(...lookup.list(`${group}/rolebindings`, namespace).filter((binding) => names(binding, user)))
    return bound
  }

  #resolve(user: User, namespace: string): PolicyRule[] {
    return this.#boundTo(user, namespace).flatMap((binding) => this.#rulesOf(binding.roleRef, binding.metadata.namespace))
  }

  #roleOf(reference: Json, namespace: string | undefined): KubeObject | undefined {
    const { lookup } = this.#core
    return reference?.kind === 'ClusterRole'
      ? lookup.get(`${group}/clusterroles`, undefined, reference.name)
      : lookup.get(`${group}/roles`, namespace, reference?.name)
  }

  #rulesOf(reference: Json, namespace: string | undefined): PolicyRule[] {
    const { lookup } = this.#core
    const role = this.#roleOf(reference, namespace)
    const selectors: Json[] = role?.aggregationRule?.clusterRoleSelectors ?? []
    const aggregated = selectors.flatMap(({ matchLabels = {} }) =>
      lookup
        .list(`${group}/clusterroles`)
        .filter(({ metadata }) => Object.entries(matchLabels).every(([key, value]) => metadata.labels?.[key] === value))
        .flatMap((each) => each.rules ?? []),
    )
    return [...(role?.rules ?? []), ...aggregated]
  }

  /** The refusal of an action without permission. It names the roles that bindings of the user name, and that do not exist. */
  denied(user: User, wanted: Attributes): ApiError {
    const { group: apiGroup, resource, name, path, namespace } = wanted
    const details = path === undefined ? { ...(name ? { name } : {}), ...(apiGroup ? { group: apiGroup } : {}), kind: resource } : {}
    const absent = this.#boundTo(user, namespace).flatMap(({ roleRef, metadata }) => {
      if (this.#roleOf(roleRef, metadata.namespace)) return []
      return `${String(roleRef?.kind).toLowerCase()}.${group} "${roleRef?.name}" not found`
    })
    const reason = absent.length === 0 ? '' : `: RBAC: ${absent.length === 1 ? absent[0] : `[${absent.join(', ')}]`}`
    return new ApiError(403, 'Forbidden', `${refusal(user, wanted)}${reason}`, details)
  }

  /** Refuses grants that exceed the permissions of the granting user, as the real server does. */
  readonly admission = ({ operation, type, object, namespace, user }: Attempt): void => {
    if (operation === 'delete' || type.group !== group || !object || user.groups.includes('system:masters')) return
    const isRole = type.kind === 'Role' || type.kind === 'ClusterRole'
    const own = isRole ? type.plural : object.roleRef?.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
    const name = isRole ? object.metadata.name : (object.roleRef?.name ?? '')
    const attributes = { group, resource: own, subresource: '', name, namespace: namespace ?? '' }
    if (this.allows(user, { ...attributes, verb: isRole ? 'escalate' : 'bind' })) return
    const wanted: PolicyRule[] = isRole ? (object.rules ?? []) : this.#rulesOf(object.roleRef, namespace)
    const missing = wanted.filter((rule) => !this.#holds(user, namespace ?? '', rule))
    if (missing.length === 0) return
    const list = missing.map((rule) => JSON.stringify(rule)).join('\n')
    const message = `user "${user.name}" (groups=[${user.groups.map((each) => `"${each}"`).join(' ')}]) is attempting to grant RBAC permissions not currently held:\n${list}`
    throw forbidden(type, object.metadata.name, message)
  }

  #holds(user: User, namespace: string, rule: PolicyRule): boolean {
    const held = this.rulesFor(user, namespace)
    const every = (test: Partial<Attributes>): boolean => {
      const attributes = { verb: '', group: '', resource: '', subresource: '', name: '', namespace, ...test }
      return held.some((each) => grants(each, attributes))
    }
    return rule.verbs.every(
      (verb) =>
        (rule.nonResourceURLs ?? []).every((path) => every({ verb, path })) &&
        (rule.apiGroups ?? []).every((apiGroup) =>
          (rule.resources ?? []).every((each) => {
            const [resource = '', subresource = ''] = each.split('/')
            const names = rule.resourceNames?.length ? rule.resourceNames : ['']
            return names.every((name) => every({ verb, group: apiGroup, resource, subresource, name }))
          }),
        ),
    )
  }
}

function names(binding: KubeObject, user: User): boolean {
  return (binding.subjects ?? []).some((subject: Json) => {
    if (subject.kind === 'User') return subject.name === user.name
    if (subject.kind === 'Group') return user.groups.includes(subject.name)
    const namespace = subject.namespace ?? binding.metadata.namespace
    return subject.kind === 'ServiceAccount' && user.name === `system:serviceaccount:${namespace}:${subject.name}`
  })
}

const has = (list: string[] | undefined, value: string): boolean => list !== undefined && (list.includes(value) || list.includes('*'))

function grants(rule: PolicyRule, wanted: Attributes): boolean {
  if (!has(rule.verbs, wanted.verb)) return false
  if (wanted.path !== undefined) {
    const { path } = wanted
    return (rule.nonResourceURLs ?? []).some(
      (each) => each === path || each === '*' || (each.endsWith('*') && path.startsWith(each.slice(0, -1))),
    )
  }
  const resource = wanted.subresource ? `${wanted.resource}/${wanted.subresource}` : wanted.resource
  const anyOwner = wanted.subresource && rule.resources?.includes(`*/${wanted.subresource}`)
  if (!has(rule.apiGroups, wanted.group) || !(has(rule.resources, resource) || anyOwner)) return false
  return !rule.resourceNames?.length || rule.resourceNames.includes(wanted.name)
}

/** The text of a refusal, in the real server's words. */
function refusal(user: User, { verb, group: apiGroup, resource, subresource, name, namespace, path }: Attributes): string {
  if (path !== undefined) return `forbidden: User "${user.name}" cannot ${verb} path "${path}"`
  const what = subresource ? `${resource}/${subresource}` : resource
  const where = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope'
  const qualified = apiGroup ? `${resource}.${apiGroup}` : resource
  const named = name ? ` "${name}"` : ''
  return `${qualified}${named} is forbidden: User "${user.name}" cannot ${verb} resource "${what}" in API group "${apiGroup}" ${where}`
}

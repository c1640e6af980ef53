import type { User } from './core.ts'
import type { Json } from './object.ts'
import type { Attributes, Rbac } from './rbac.ts'
import { badRequest } from './status.ts'

function attributesOf(spec: Json): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: other } = spec ?? {}
  if (!resource && !other) throw badRequest('exactly one of nonResourceAttributes or resourceAttributes must be specified')
  const none = { group: '', resource: '', subresource: '', name: '', namespace: '' }
  if (other) return { ...none, verb: other.verb ?? '', path: other.path ?? '' }
  const { verb = '', group = '', resource: plural = '', subresource = '', name = '', namespace = '' } = resource
  return { verb, group, resource: plural, subresource, name, namespace }
}

function rulesReview(rbac: Rbac, user: User, namespace: string): Json {
  const rules = user.groups.includes('system:masters')
    ? [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
        { verbs: ['*'], nonResourceURLs: ['*'] },
      ]
    : rbac.rulesFor(user, namespace)
  return {
    resourceRules: rules.flatMap(({ verbs, apiGroups, resources, resourceNames }) =>
      resources ? [{ verbs, apiGroups, resources, ...(resourceNames ? { resourceNames } : {}) }] : [],
    ),
    nonResourceRules: rules.flatMap(({ verbs, nonResourceURLs }) => (nonResourceURLs ? [{ verbs, nonResourceURLs }] : [])),
    incomplete: false,
  }
}

/** Answers reviews, objects that are created but never stored: who am I, am I allowed to. */
export function answerReview(rbac: Rbac, user: User, kind: string, document: Json): Json {
  const { spec } = document ?? {}
  switch (kind) {
    case 'SelfSubjectReview':
      return { ...document, status: { userInfo: { username: user.name, ...(user.uid ? { uid: user.uid } : {}), groups: user.groups } } }
    case 'SelfSubjectRulesReview':
      return { ...document, status: rulesReview(rbac, user, spec?.namespace ?? '') }
    case 'SubjectAccessReview': {
      const asked = { name: spec?.user ?? '', groups: spec?.groups ?? [] }
      return { ...document, status: { allowed: rbac.allows(asked, attributesOf(spec)) } }
    }
    default:
      return { ...document, status: { allowed: rbac.allows(user, attributesOf(spec)) } }
  }
}

import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { labels, objectName, projectId } from './identifiers.ts'
import { label, managedBy } from './labels.ts'
import { cpuQuantity, memorySum, storageQuantity } from './quantity.ts'

/** A line of text for people. */
const line = z
  .string()
  .min(1, 'must not be empty')
  .max(120)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must be one line of text without control characters')

const quota = z
  .strictObject({
    cpu: cpuQuantity.optional().describe('Cores of all running CrateDB nodes together').meta({ example: 24 }),
    memory: memorySum.optional().describe('Memory of all running CrateDB nodes together').meta({ example: '96Gi' }),
    storage: storageQuantity
      .optional()
      .describe('Size of all volumes together, the heap-dump volume that the operator gives each node included')
      .meta({ example: '2Ti' }),
    databases: z
      .int()
      .min(0)
      .max(1000)
      .optional()
      .describe('How many databases there may be, suspended ones included')
      .meta({ example: 8 }),
  })
  .describe('Limits of everything in the project; resources that are left out are not limited')
  .meta({ example: { cpu: 24, memory: '96Gi', storage: '2Ti', databases: 8 } })

/** For how many days deleted databases can be had back, where nobody has said it. */
export const usualDays = 7

/** A project as the API accepts, stores and returns it. Parsing a returned one gives the same again. */
export const projectSpec = z
  .strictObject({
    id: projectId.describe("The project's id; its namespace is project-<id>").meta({ example: 'harbour' }),
    displayName: line.optional().describe('What people call it').meta({ example: 'Harbour authority' }),
    organization: line.optional().describe('To whom it belongs').meta({ example: 'Port of Eider' }),
    quota: quota.optional(),
    imagePullSecrets: z
      .array(objectName)
      .max(16)
      .refine((names) => new Set(names).size === names.length, 'must not name a Secret twice')
      .default([])
      .describe("Names of Secrets in the agent's namespace with which the project's pods pull images; they are copied into its namespace")
      .meta({ example: ['registry-mirror'] }),
    labels: labels
      .default({})
      .describe('Labels of the project and of its namespace, among those that the region allows')
      .meta({ example: { 'cost-centre': '4711' } }),
    deletionProtection: z.boolean().default(false).describe('While true the project cannot be deleted').meta({ example: true }),
    keepDeletedDays: z
      .int()
      .min(0)
      .max(90)
      .default(usualDays)
      .describe(
        'How many days a database that the API deletes can be had back, before its data is deleted; a change applies to later deletions',
      )
      .meta({ example: 30 }),
  })
  .describe('A tenant: a namespace with limits, isolation and pull secrets')

/** What `projectSpec` gives: every default filled in, quantities in Skerry's spelling. */
export type ProjectSpec = z.output<typeof projectSpec>

/** The `Project` object of a project. Pure, as everything in this folder: no client, no clock, no chance. */
export function desiredProject(spec: ProjectSpec): KubernetesObject {
  const { id, ...rest } = spec
  return {
    apiVersion: 'skerry.dev/v1',
    kind: 'Project',
    metadata: { name: id, labels: { ...spec.labels, ...managedBy, [label.project]: id } },
    spec: rest,
  }
}

/** The project that a `Project` object describes, whoever wrote the object. Members that are missing or unreadable take their defaults. */
export function readProject({ metadata, spec = {} }: KubernetesObject): ProjectSpec {
  const { id: _id, ...fields } = projectSpec.shape
  const given: Record<string, unknown> = {}
  for (const [field, schema] of Object.entries(fields)) {
    const parsed = schema.safeParse(spec[field])
    if (parsed.success && parsed.data !== undefined) given[field] = parsed.data
  }
  return { id: metadata.name, imagePullSecrets: [], labels: {}, deletionProtection: false, keepDeletedDays: usualDays, ...given }
}

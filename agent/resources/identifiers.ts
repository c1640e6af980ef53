import * as z from 'zod'
import { wrongType } from './wording.ts'

const dnsLabelForm = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const dnsLabelWords = 'must consist of lower-case letters, digits and "-", and begin and end with a letter or digit'

/** A DNS label (RFC 1123). @param because the reason for the maximum length */
function dnsLabel(longest: number, because: string) {
  return z
    .string()
    .min(1, 'must not be empty')
    .max(longest, `must have at most ${longest} characters: ${because}`)
    .regex(dnsLabelForm, dnsLabelWords)
}

/** A project's id: at most 55 characters, since its namespace is `project-<id>` and the name of a namespace has at most 63. */
export const projectId = dnsLabel(55, 'its namespace is called project-<id>, and Kubernetes allows 63')

/**
 * A database's id, which is the name of its CrateDB. The pods' label `controller-revision-hash` has at most 63 characters: the name of the
 * StatefulSet, a dash and a hash of ten. The StatefulSet is called `crate-data-hot-<id>`, so 37 are left for the id.
 */
export const databaseId = dnsLabel(37, 'its StatefulSet is called crate-data-hot-<id>, and Kubernetes allows 52')

/** The id of a deleted database: that of the database, and eight hex digits that tell several deletions apart. */
export const retainedDatabaseId = z
  .string()
  .max(46)
  .regex(/^[a-z0-9]([-a-z0-9]{0,35}[a-z0-9])?\.[0-9a-f]{8}$/, 'must be the id of a deleted database such as "tidal-gauge.3f9a01bc"')

/** The name of a Secret, StorageClass or the like: DNS labels joined by dots (RFC 1123). */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, `${dnsLabelWords}; "." may join such parts`)

/** A hostname with at least two parts. */
export const hostname = z
  .string()
  .max(253)
  .regex(
    /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be a full host name in lower case such as "tidal-gauge.example.org"',
  )

/** A user that the operator may create. It pastes the name into SQL, so names that need quoting are refused. */
export const userName = z
  .string()
  .regex(
    /^[a-z_][a-z0-9_]{0,62}$/,
    'must begin with a lower-case letter or "_", continue with those and digits, and have at most 63 characters',
  )
  .refine((name) => !['crate', 'system', 'gc'].includes(name), 'is a user that CrateDB or the operator itself creates')

/** A password. Control characters and lone surrogates would not pass unchanged through a terminal, SQL and UTF-8. */
export const password = z
  .string()
  .min(12, 'must have at least 12 characters')
  .max(256)
  .refine((text) => !/\p{Cc}/u.test(text), 'must not contain control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')

/** A value that becomes an environment variable of a container, such as an access key: printable ASCII without spaces. */
export const credential = z
  .string()
  .min(1, 'must not be empty')
  .max(1024)
  .regex(/^[!-~]+$/, 'must consist of printable ASCII characters without spaces')

/** A CrateDB release, 4.5.0 or newer: the operator runs no older ones. */
export const version = z
  .string(wrongType('must be text such as "5.10.1"'))
  .regex(/^(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})$/, 'must be a full release such as "5.10.1"')
  .refine((text) => {
    // It is called for text of any length.
    const [major = 0, minor = 0] = text.split('.', 2).map(Number)
    return major > 4 || (major === 4 && minor >= 5)
  }, 'must be at least 4.5.0: the Crate Operator runs nothing older')

// The operator's CRD has exactly this grammar (crd.yaml, spec.backups.aws.cron). It accepts values out of range; a CronJob does not.
const cronRanges = [
  { name: 'minute', least: 0, greatest: 59 },
  { name: 'hour', least: 0, greatest: 23 },
  { name: 'day of the month', least: 1, greatest: 31 },
  { name: 'month', least: 1, greatest: 12 },
  { name: 'day of the week', least: 0, greatest: 6 },
]
const cronField = /^(\d{1,2}(,\d{1,2})+|\d{1,2}[/-]\d{1,2}|\d{1,2}|\*)$/

/** When snapshots are taken, in UTC: five fields, as the operator accepts them. */
export const cron = z
  .string(wrongType('must be text such as "17 * * * *"'))
  .max(200)
  .superRefine((text, context) => {
    if (text.length > 200) return
    const fields = text.split(' ')
    if (fields.length !== 5 || !fields.every((field) => cronField.test(field))) {
      context.addIssue(
        'must be five fields separated by one space, each a number, a list "1,2", a range "1-5", a step "0/15" or "*"; "*/15" and names are not accepted by the Crate Operator',
      )
      return
    }
    for (const [index, { name, least, greatest }] of cronRanges.entries()) {
      const field = fields[index] ?? ''
      const numbers = field === '*' ? [] : field.split(/[,/-]/).map(Number)
      const stepped = field.includes('/')
      const wrong = numbers.some((value, at) => (stepped && at === 1 ? value < 1 || value > greatest : value < least || value > greatest))
      if (wrong) context.addIssue(`the ${name} must be from ${least} to ${greatest}, not "${field}"`)
      else if (field.includes('-') && (numbers[0] ?? 0) > (numbers[1] ?? 0))
        context.addIssue(`the ${name} "${field}" ends before it begins`)
    }
  })

/** Prefixes of labels and annotations that belong to Kubernetes, to the operator, to Prometheus' discovery by it, or to Skerry. */
const reservedPrefixes = [
  'app.kubernetes.io',
  'skerry.dev',
  'cloud.crate.io',
  'operator.cloud.crate.io',
  'kubernetes.io',
  'k8s.io',
  'prometheus.io',
]

/** Why this is no key of a label or annotation that a request could set; undefined if it is one. */
export function keyFault(key: string): string | undefined {
  const slash = key.indexOf('/')
  const prefix = slash < 0 ? undefined : key.slice(0, slash)
  const name = key.slice(slash + 1)
  if (!/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(name)) {
    return 'the name must have 1 to 63 letters, digits, "-", "_" or ".", and begin and end with a letter or digit'
  }
  if (prefix === undefined) return undefined
  if (!objectName.safeParse(prefix).success) return 'the part before "/" must be a DNS name in lower case'
  const reserved = reservedPrefixes.find((candidate) => prefix === candidate || prefix.endsWith(`.${candidate}`))
  return reserved && `the prefix ${reserved} is reserved`
}

/** A map of labels or annotations. @param faultOf the fault of an entry; undefined if it is valid */
function keyedTexts(most: number, faultOf: (key: string, value: string) => string | undefined) {
  return z.record(z.string(), z.string()).superRefine((texts, context) => {
    if (Object.keys(texts).length > most) context.addIssue(`must have at most ${most} entries`)
    for (const [key, value] of Object.entries(texts)) {
      const message = keyFault(key) ?? faultOf(key, value)
      if (message !== undefined) context.addIssue({ code: 'custom', path: [key], message })
    }
  })
}

/** Labels of legal syntax outside the reserved prefixes. */
export const labels = keyedTexts(32, (_key, value) =>
  /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/.test(value)
    ? undefined
    : 'the value must have at most 63 letters, digits, "-", "_" or ".", and begin and end with a letter or digit',
)

/** Annotations of legal syntax outside the reserved prefixes. Kubernetes allows 256 KiB per object, which they share with the operator's. */
export const annotations = keyedTexts(32, (_key, value) => {
  if (value.length > 4096) return 'the value must have at most 4096 characters'
  return value.isWellFormed() && !/\p{Cc}/u.test(value.replaceAll(/[\n\t]/g, ''))
    ? undefined
    : 'the value must be text without control characters'
})

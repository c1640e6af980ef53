import * as z from 'zod'
import { duration, secretFile } from '../../../shared/fields.ts'
import { httpUrl } from '../../wire/http-access.ts'
import { type Action, occasions } from './action.ts'
import { templateFault } from './template.ts'

const every = duration({ min: '1m', max: '7d' }).prefault('10m').describe('Shortest time between two of these actions')

const headerName = z
  .string()
  .max(100)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be the name of a header field')

const namespace = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be the name of a namespace')

/** No sets and no negations: it must be obvious which pods are deleted. */
const selector = z
  .string()
  .max(500)
  .regex(/^[\w./-]+=[\w.-]+(,[\w./-]+=[\w.-]+)*$/, 'must be labels with their values, such as app=shop,tier=web')

const unit = z
  .string()
  .max(255)
  .regex(
    /^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*\.(service|socket|timer|path|target|mount)$/,
    'must be the name of a systemd unit, such as nginx.service',
  )

/** Whether a body of this media type is JSON. */
export function isJson(contentType: string): boolean {
  return /^[^;]*[/+]json\b/.test(contentType)
}

/** The schema of an action in the file. */
export const actionConfig = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('webhook').describe('Send the status of the check to a URL'),
      url: httpUrl.optional().describe('Address; redirects are not followed'),
      urlFile: secretFile().optional().describe('File with the address, if that contains a key'),
      headerFiles: z.record(headerName, secretFile()).default({}).describe('Header fields, each with the file that contains its value'),
      method: z.enum(['POST', 'PUT']).default('POST').describe('Method of the request'),
      contentType: z
        .string()
        .regex(/^[\w.+-]+\/[\w.+-]+(; ?charset=[\w-]+)?$/, 'must be a media type such as text/plain')
        .default('application/json')
        .describe('Media type of the body'),
      body: z.string().min(1).max(16_384).optional().describe('Template of the body; by default, the status as JSON'),
      secretFiles: z
        .record(z.string().regex(/^\w{1,100}$/, 'must be letters, digits and underscores'), secretFile())
        .default({})
        .describe('Secret values for the template: `{{secrets.NAME}}` is the content of the file'),
      on: z.array(z.enum(occasions)).min(1).default(['down']).describe('When to send: `down`, `degraded`, `recovered` (up after either)'),
      every,
    })
    .refine(({ url, urlFile }) => (url === undefined) !== (urlFile === undefined), 'needs either url or urlFile')
    .superRefine(({ body, contentType, secretFiles }, context) => {
      const given = { isJson: isJson(contentType), secrets: Object.keys(secretFiles) }
      const message = body === undefined ? undefined : templateFault(body, given)
      if (message !== undefined) context.addIssue({ code: 'custom', path: ['body'], message })
    }),
  z.strictObject({
    type: z.literal('restart-pod').describe('Delete pods, so that their owners create new ones'),
    namespace: namespace.describe('Namespace of the pods'),
    selector: selector.describe('Label selector of the pods. If it matches more than ten, none is deleted'),
    every,
  }),
  z.strictObject({
    type: z.literal('restart-unit').describe('Restart a systemd unit of this machine'),
    unit: unit.describe('Name of the unit, with .service'),
    every,
  }),
])

/** An action as the prober takes it. */
export function actionOf(given: z.output<typeof actionConfig>): Action {
  if (given.type !== 'webhook') {
    const { every, ...action } = given
    return { ...action, everyMs: every }
  }
  const { url, urlFile, headerFiles, secretFiles, every, type, ...rest } = given
  const to = url ?? urlFile
  if (to === undefined) throw new TypeError('a webhook without an address')
  return { type, url: to, headers: headerFiles, secrets: secretFiles, ...rest, everyMs: every }
}

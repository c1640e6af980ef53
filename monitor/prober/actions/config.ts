import * as z from 'zod'
import { duration, secretFile } from '../../../shared/fields.ts'
import { httpUrl } from '../../wire/http-access.ts'
import type { Action } from './action.ts'

const every = duration({ min: '1m', max: '7d' }).prefault('10m').describe('It is done at most once in this time')

const headerName = z
  .string()
  .max(100)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be the name of a header field')

const namespace = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be the name of a namespace')

/** No sets, no negations: what is deleted must be plain to see. */
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

/** How an action is written in the file. */
export const actionConfig = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('webhook').describe('POST what is known of the check as JSON'),
      url: httpUrl.optional().describe('Where it is sent; redirects are not followed'),
      urlFile: secretFile().optional().describe('File with the address, where it holds a key'),
      headerFiles: z.record(headerName, secretFile()).default({}).describe('Header fields, each with the file that holds its value'),
      every,
    })
    .refine(({ url, urlFile }) => (url === undefined) !== (urlFile === undefined), 'needs either url or urlFile'),
  z.strictObject({
    type: z.literal('restart-pod').describe('Delete pods, so that what owns them makes new ones'),
    namespace: namespace.describe('Where they are'),
    selector: selector.describe('Their labels. When it finds more than ten pods, none is deleted'),
    every,
  }),
  z.strictObject({
    type: z.literal('restart-unit').describe('Restart a systemd unit of this machine'),
    unit: unit.describe('Its name, with .service'),
    every,
  }),
])

/** An action as it is done. */
export function actionOf(given: z.output<typeof actionConfig>): Action {
  if (given.type !== 'webhook') {
    const { every, ...action } = given
    return { ...action, everyMs: every }
  }
  const { url, urlFile, headerFiles, every } = given
  const to = url ?? urlFile
  if (to === undefined) throw new TypeError('a webhook without an address')
  return { type: 'webhook', url: to, headers: headerFiles, everyMs: every }
}

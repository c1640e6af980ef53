import type { CheckKind } from './kind.ts'
import { tcp } from './tcp.ts'

/** Every kind of health check. A new one is one file and one line here; schema, documentation and series follow from it. */
export const checkKinds = {
  tcp,
} satisfies Record<string, CheckKind>

/** The name of a kind of health check. */
export type CheckKindName = keyof typeof checkKinds

/** The kind of that name, whose options are then known only to it. @throws RangeError if there is none */
export function checkKindNamed(name: string): CheckKind {
  if (!Object.hasOwn(checkKinds, name))
    throw new RangeError(`no kind of check is called ${name}: there are ${Object.keys(checkKinds).join(', ')}`)
  return checkKinds[name as CheckKindName] as unknown as CheckKind
}

/** Why a probe does not run; the port that took the request answers with the problem of that name. */
export type ProbeRefusalType = 'invalid-request' | 'module-refused' | 'probe-not-allowed' | 'busy'

/** A probe that does not run. @param detail for the client, without secrets */
export class ProbeRefusal extends Error {
  override readonly name = 'ProbeRefusal'
  readonly type: ProbeRefusalType

  constructor(type: ProbeRefusalType, detail: string) {
    super(detail)
    this.type = type
  }
}

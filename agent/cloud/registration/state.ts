import * as z from 'zod'
import { privateKey } from '../../../shared/signing/key.ts'
import { jws, signingKeys } from '../contract/documents.ts'
import { registrationId } from '../contract/registration.ts'
import type { RegistrationStatus } from './status.ts'

/** What a region must not lose to stay itself: the content of the Secret of its identity. Times are Unix milliseconds by the cloud's clock. */
export const linkState = z.object({
  key: privateKey,
  /** How the region stands with one cloud; absent before the first claim was answered, and after it has left. */
  joined: z
    .object({
      /** The origin of the cloud. Of another one, nothing of this holds. */
      cloud: z.string(),
      id: registrationId,
      /** The installation token of the claim, by its SHA-256. */
      token: z.string().optional(),
      /** Absent while the cloud has not approved. */
      credential: z.object({ token: z.string(), renewAt: z.int(), expiresAt: z.int() }).optional(),
      joinState: jws.optional(),
    })
    .optional(),
  /** By what the cloud is trusted, besides the configuration. */
  trust: z.object({ cloud: z.string(), sequence: z.int(), anchors: z.array(z.string()), keys: signingKeys.optional() }).optional(),
})
export type LinkState = z.infer<typeof linkState>
export type Joined = NonNullable<LinkState['joined']>
export type KnownTrust = NonNullable<LinkState['trust']>

/** What somebody on site has given for joining: the Secret `skerry-join`. */
export type JoinSecret = {
  /** SHA-256 of the installation token, in lower-case hexadecimal. */
  sha256: string
  /** The id of the token, which is good for one region; older tokens have none. */
  id?: string | undefined
  /** SHA-256 of the public key of the CA that the cloud's certificate must come from, base64url. */
  pin?: string | undefined
  /** The public key of the cloud, PEM. */
  cloudKey?: string | undefined
}

/** What the site wants: the `spec` of the Registration. */
export type Wanted = {
  /** false: leave the cloud. */
  joined: boolean
  /** Any text: a new one makes the region ask again where it rests. */
  askAgain?: string | undefined
}

/** Where the link keeps what it must not lose. It writes only over the version that it has read or written last. */
export type LinkStore = {
  /** From the API server, never from a cache. */
  read(): Promise<LinkState | undefined>
  /** Does nothing if there is a state already. */
  create(state: LinkState): Promise<void>
  /** Changes the state that was read or written last. @throws Problem `conflict` if somebody else has written meanwhile */
  change(edit: (state: LinkState) => LinkState): Promise<LinkState>
  /** Deletes the state with its key. @throws Problem `conflict` likewise */
  remove(): Promise<void>
  joinSecret(): Promise<JoinSecret | undefined>
  wanted(): Promise<Wanted>
  status(): Promise<RegistrationStatus | undefined>
  publish(status: RegistrationStatus): Promise<void>
}

/** A Kubernetes control plane that a test may do with as it likes. It listens on loopback and ends with `stop()`. */
export type TestCluster = {
  kind: 'embedded' | 'real'
  /** `https://127.0.0.1:PORT` */
  url: string
  /** PEM of the authority that signed the API server's certificate. */
  ca: string
  /** A bearer token of group `system:masters`. */
  adminToken: string
  /** A kubeconfig in YAML for the bearer of `token`, the administrator when left out. */
  kubeconfig(token?: string): string
  /** Creates the ServiceAccount if need be and returns a bearer token for it. What it may do is up to the RBAC objects in the cluster. */
  serviceAccountToken(namespace: string, name: string): Promise<string>
  /** Makes the API server misbehave; only the embedded one can. */
  faults: Faults | undefined
  /** Takes the API server away (connections refused, open ones cut) and brings it back on the same port, state kept. */
  suspend(): Promise<void>
  resume(): Promise<void>
  stop(): Promise<void>
}

/** Faults are drawn independently for each request with the probability given, by a seeded generator. */
export type Faults = {
  set(faults: {
    /** Added before an answer, in milliseconds. */
    latencyMs?: number
    /** Share of requests answered with 500, 503 or 429 before anything is done. */
    errorRate?: number
    /** Share of writes that are done and then answered by a cut connection. */
    lostAnswerRate?: number
    /** Share of updates and patches answered with 409 Conflict before anything is done. */
    conflictRate?: number
  }): void
  clear(): void
  /** Cuts every open watch now. */
  dropWatches(): void
  /** Forgets all history, so that a watch from an older resourceVersion gets 410 Gone. */
  compact(): void
}

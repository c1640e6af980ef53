/** A Kubernetes control plane for one test, or for the tests of one file. It listens on loopback and ends with `stop()`. */
export type TestCluster = {
  kind: 'embedded' | 'real'
  /** `https://127.0.0.1:PORT` */
  url: string
  /** The CA certificate of the API server, as PEM. */
  ca: string
  /** A bearer token of group `system:masters`. */
  adminToken: string
  /** A kubeconfig, as YAML, with this token; by default, the administrator's. */
  kubeconfig(token?: string): string
  /** A bearer token of a ServiceAccount, which is created if it does not exist. RBAC objects in the cluster decide what it may do. */
  serviceAccountToken(namespace: string, name: string): Promise<string>
  /** Makes the API server misbehave. Undefined for a real one. */
  faults: Faults | undefined
  /** Makes the API server unreachable: it refuses connections and cuts open ones. */
  suspend(): Promise<void>
  /** Brings it back on the same port, with all objects. */
  resume(): Promise<void>
  stop(): Promise<void>
}

/** Faults of the API server. Each request draws its own, from a seeded generator, so that a run can be repeated. */
export type Faults = {
  set(faults: {
    /** Delay of each answer, in milliseconds. */
    latencyMs?: number
    /** Share of requests, from 0 to 1, that fail with 500, 503 or 429 and have no effect. */
    errorRate?: number
    /** Share of writes that take effect, after which the connection is cut without an answer. */
    lostAnswerRate?: number
    /** Share of updates and patches that fail with 409 Conflict and have no effect. */
    conflictRate?: number
  }): void
  clear(): void
  /** Cuts all open watches. */
  dropWatches(): void
  /** Drops the history, so that a watch from an older resourceVersion gets 410 Gone. */
  compact(): void
}

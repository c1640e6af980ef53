import { advises, changes, destroys, looks } from '../../resources/cure.ts'

/*
 * All cures, by the code of their obstacle. No command is defined anywhere else.
 *
 * test/agent/region/cures.real.test.ts runs each command unchanged, in the situation in which it is proposed. Within one obstacle, cures that
 * only look come first, then those that change something, and last those that destroy something. The API is reached at `$url` with `$token`,
 * as in docs/operating.md.
 */

const asToken = '-H "Authorization: Bearer $token"'
const unprotecting = `${asToken} -H 'content-type: application/merge-patch+json' -d '{"deletionProtection":false}'` as const
const logOfOperator = 'kubectl --namespace <namespace> logs deployment/<deployment>'
const describePod = 'kubectl --namespace <namespace> describe pod <pod>'
const describeClaim = 'kubectl --namespace <namespace> describe pvc <claim>'
/** Removes only this finalizer, and only if it is still at the index where it was seen. */
const onlyThatOne =
  '[{"op":"test","path":"/metadata/finalizers/<index>","value":"<finalizer>"},{"op":"remove","path":"/metadata/finalizers/<index>"}]'
const takeOffFinalizer = `kubectl <where> patch <kind> <name> --type json --patch '${onlyThatOne}'` as const

const ofTheRegion = {
  EvidenceUnread: {
    grant: advises("Grant the agent's service account what the message names: compare its ClusterRole with deploy/rbac/agent.yaml."),
    apiServer: looks('Wait: it usually passes. Otherwise check the API server', `kubectl get --raw '/readyz?verbose'`),
  },
  OperatorNotRunning: {
    find: looks(
      "Install it, or name its Deployment in the agent's configuration if it is one of these",
      'kubectl get deployments --all-namespaces',
    ),
    start: changes('Start it', 'kubectl --namespace <namespace> scale deployment <deployment> --replicas=1'),
    describe: looks('See why it is not ready', 'kubectl --namespace <namespace> describe deployment <deployment>'),
    pods: looks('See the state of its pods', 'kubectl --namespace <namespace> describe pods --selector <selector>'),
    log: looks('See what it logs, once it has started', logOfOperator),
  },
  OperatorStepFailed: {
    log: looks('Its log says more', logOfOperator),
    why: looks('It does not retry. Its log says why', logOfOperator),
    unprotect: changes(
      'Once that is fixed, turn off the deletion protection with the API ($url, $token)',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${unprotecting}`,
    ),
    remove: changes(
      'Once that is fixed, delete the database with the API ($url, $token), which keeps its volumes, then repeat the request that created it',
      `curl -X DELETE "$url/v1/projects/<project>/databases/<database>?retainVolumes=true" ${asToken}`,
    ),
  },
  OperatorStepDelayed: { log: looks('Wait: it usually passes. Otherwise its log says more', logOfOperator) },
  OperatorStalled: {
    log: looks('See whether its log mentions <database>', logOfOperator),
    restart: changes(
      'Restart the operator. Databases keep running, and it continues unfinished work',
      'kubectl --namespace <namespace> rollout restart deployment <deployment>',
    ),
  },
  UpgradeRolledBack: {
    events: looks(
      'See why in its events, fix it and request the upgrade again',
      'kubectl --namespace <namespace> describe cratedb <database>',
    ),
  },
}

const ofBackups = {
  BackupsNotTaken: {
    snapshots: advises(
      'Patch "snapshots" into the database: these are backups that Skerry takes itself, and they can be added at any time.',
    ),
    setImage: advises(
      'For databases that are created from then on, give the Crate Operator the image of its backup tool in <variable>, if you have it: it is not public.',
    ),
  },
}

const ofVolumeSnapshots = {
  VolumeSnapshotFailing: {
    fix: advises(
      'Fix what the storage driver says: the snapshot controller tries again by itself. Once the operation has ended, repeat the request.',
    ),
  },
}

/** Of operations that nobody works on. */
const ofTheQueue = {
  NoLeader: {
    holder: looks('See the holder, and whether that pod still runs', 'kubectl --namespace <namespace> get lease <lease> --output yaml'),
    free: changes(
      'Only if no pod of that name runs, clear the holder: a replica takes the Lease within seconds',
      `kubectl --namespace <namespace> patch lease <lease> --type merge --patch '{"spec":{"holderIdentity":""}}'`,
    ),
  },
  OperationAhead: {
    see: looks('See what that one waits for', 'kubectl --namespace <namespace> get operation <operation> --output yaml'),
    cancel: changes(
      'If that one is no longer wanted, cancel it with the API ($url, $token)',
      `curl -X DELETE "$url/v1/operations/<operation>" ${asToken}`,
    ),
  },
  NoFreeWorker: {
    see: looks('Wait: it usually passes. Otherwise see which operations do not end', 'kubectl --namespace <namespace> get operations'),
    raise: advises('Or raise operations.parallelism in the configuration of the agent.'),
  },
}

const ofProjects = {
  ProjectNotReady: {
    create: advises('Create the project first; its namespace comes with it.'),
    leaving: looks('Wait until it is gone, then create it again', 'kubectl describe project <project>'),
    describe: looks('Its conditions say what to do', 'kubectl describe project <project>'),
  },
  NamespaceNotOwned: {
    handOver: changes(
      'Choose another project id. Or hand the namespace over, if whoever made it agrees: Skerry changes it then, and deletes it with all that is in it when the project is deleted',
      'kubectl label --overwrite namespace <namespace> app.kubernetes.io/managed-by=skerry skerry.dev/project=<project>',
    ),
  },
  RightsPending: {
    wait: advises(
      'Wait: it usually passes. Otherwise compare the ClusterRole skerry-agent-project with the one in the chart of the running version.',
    ),
    compare: advises('Compare that RoleBinding, and the ClusterRole skerry-agent-project, with those of the chart of the running version.'),
    install: advises('Install the one of the running version: upgrade the release, or apply deploy/rbac/agent.yaml.'),
  },
  QuotaNotCounted: {
    quotas: looks(
      'If that takes more than a minute, check that kube-controller-manager runs',
      'kubectl describe resourcequota --all-namespaces',
    ),
  },
  NamespaceMissing: {
    describe: looks(
      'The leading agent creates it within seconds. If not, see what it says about the project',
      'kubectl describe project <project>',
    ),
    leases: looks('See which agent leads', 'kubectl get leases --all-namespaces'),
  },
  NamespaceTerminating: {
    discovery: looks('An API service does not answer. Fix the unavailable one', 'kubectl get apiservices'),
    parsing: looks('Fix or remove the API service that the message names', 'kubectl get apiservices'),
    content: looks('See what it says', 'kubectl describe namespace <namespace>'),
    holders: looks(
      'See what holds them',
      'kubectl --namespace <namespace> get <resources> --output custom-columns=KIND:.kind,NAME:.metadata.name,FINALIZERS:.metadata.finalizers',
    ),
    wait: looks('Wait until it is gone. If it stays, check that kube-controller-manager runs', 'kubectl describe namespace <namespace>'),
  },
  DatabasesRemain: {
    unprotectDatabase: changes(
      'If it is to be deleted, turn off the deletion protection of database <database> with the API ($url, $token)',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${unprotecting}`,
    ),
    unprotectProject: changes(
      'Turn off the deletion protection of the project with the API ($url, $token)',
      `curl -X PATCH "$url/v1/projects/<project>" ${unprotecting}`,
    ),
    cascade: changes(
      'Delete the databases together with the project with the API ($url, $token), which keeps their volumes',
      `curl -X DELETE "$url/v1/projects/<project>?cascade=true" ${asToken}`,
    ),
    remove: changes(
      'Delete database <database> with the API ($url, $token), which keeps its volumes',
      `curl -X DELETE "$url/v1/projects/<project>/databases/<database>?retainVolumes=true" ${asToken}`,
    ),
  },
  FinalizerHeld: {
    install: advises('Install the Crate Operator again: it removes the finalizer itself.'),
    operator: looks('Check that it runs', 'kubectl --namespace <namespace> get deployment <deployment>'),
    claim: looks('See which pods use it', describeClaim),
    service: looks('Check that it runs, and see what it says', 'kubectl --namespace <namespace> describe service <service>'),
    collector: looks('Check that kube-controller-manager runs, and see what remains', 'kubectl --namespace <namespace> get all'),
    drivers: looks('See which storage drivers there are', 'kubectl get csidrivers'),
    snapshots: looks(
      'See which snapshots are not ready, and check that the snapshot controller and the storage driver run',
      'kubectl --namespace <namespace> get volumesnapshots',
    ),
    driverPods: looks('Check that the pods of the storage driver run', 'kubectl get pods --all-namespaces'),
    controller: advises('Find the controller that the finalizer is named after and start it: it removes the finalizer itself.'),
    keepVolumes: changes(
      'First of all, keep the volumes, whatever happens to their claims',
      `kubectl patch pv <volumes> --patch '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`,
    ),
    withoutOperator: destroys(
      'Only if the operator is gone for good, and this is not OpenShift, remove its finalizer. This loses the CrateDB and what belongs to it: pods, Services and claims. Volumes that are Retain stay',
      takeOffFinalizer,
    ),
    withoutController: destroys(
      'Only if that controller no longer exists, remove its finalizer. This loses <object>, and what that controller would still have done. Volumes that are Retain stay',
      takeOffFinalizer,
    ),
  },
}

const ofNodes = {
  NodeNotReady: {
    describe: looks('Bring it back. See its conditions and events', 'kubectl describe node <node>'),
    remove: destroys(
      'Only when the machine is certainly off, and for good, remove the node: its pods start elsewhere, and two pods that write to one volume corrupt it. This loses the Node and its labels',
      'kubectl delete node <node>',
    ),
    pods: looks('Its pods are removed within a minute', 'kubectl --namespace <namespace> get pods --output wide'),
    force: destroys(
      'Only when the machine is certainly off, let them start elsewhere: two pods that write to one volume corrupt it. This loses these pods, without waiting for them to end',
      'kubectl --namespace <namespace> delete pod <pods> --force',
    ),
  },
  PodNotEnding: { describe: looks('See what the kubelet says', describePod) },
  PodUnschedulable: {
    nodes: looks('Add nodes', 'kubectl get nodes'),
    scheduler: looks('Check that kube-scheduler runs', 'kubectl --namespace kube-system get pods'),
    spread: advises('Add nodes until there is one for each CrateDB node.'),
    resources: advises('Free some, or add larger nodes.'),
    fewer: changes(
      'Or request <count> CrateDB nodes with the API ($url, $token). This takes back the others, which have never started',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${asToken} -H 'content-type: application/merge-patch+json' -d '{"nodes":{"count":<count>}}'`,
    ),
    less: changes(
      'Or go back to <cpu> cores and <memory> per CrateDB node with the API ($url, $token)',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${asToken} -H 'content-type: application/merge-patch+json' -d '{"nodes":{"cpu":<cpu>,"memory":"<memory>"}}'`,
    ),
    again: advises(
      'Or delete the database with the API: it has not been set up and holds no data. Then put it with fewer or smaller nodes.',
    ),
    againWithData: advises(
      'Or delete the database with the API and retainVolumes=true: it has not been set up, but may hold data, on volumes that are older than it. Then reserve these volumes for it again (docs/operating.md, Restore), and put it with smaller nodes: with another number of nodes or disks it could not use them.',
    ),
    taints: looks(
      'See which taints the nodes have; Kubernetes taints nodes that are under pressure or not ready',
      'kubectl get nodes --output custom-columns=NAME:.metadata.name,TAINTS:.spec.taints',
    ),
    untaint: changes('Remove the taint from each node that CrateDB may use, here <node>', 'kubectl taint nodes <node> <key>-'),
    labels: looks('See which labels the nodes have', 'kubectl get nodes --show-labels'),
    label: changes('Label each node that CrateDB may use, with its name in $node', 'kubectl label node "$node" <labels>'),
    cordoned: looks('See which nodes are cordoned', 'kubectl get nodes'),
    uncordon: changes('Once the work that they were cordoned for is finished, uncordon them', 'kubectl uncordon <nodes>'),
    volumes: looks('The volume is tied to a node or zone: bring that back', 'kubectl --namespace <namespace> get pvc,pv --output wide'),
    zones: advises('Add nodes in the other zones; the operator spreads over three.'),
    claims: looks('See why it is not bound', 'kubectl --namespace <namespace> describe pvc'),
    maxPods: advises("Add nodes, or raise the kubelet's maxPods."),
    describe: looks('See its events', describePod),
  },
}

const ofPods = {
  QuotaExceeded: {
    describe: looks('Raise the quota of project <project>, or request less', 'kubectl --namespace <namespace> describe resourcequota'),
  },
  PodRefused: {
    describe: looks('Change what refuses them, which the message names', 'kubectl --namespace <namespace> describe statefulset <set>'),
  },
  SecretMissing: {
    pull: changes(
      'Create it, with the registry in $server and its credentials in $user and $password',
      'kubectl --namespace <namespace> create secret docker-registry <name> --docker-server="$server" --docker-username="$user" --docker-password="$password"',
    ),
    repeat: advises('Create it again by repeating the request that contained it.'),
    create: changes(
      'Or create it with its former value for the key <key> in $value',
      'kubectl --namespace <namespace> create secret generic <name> --from-literal=<key>="$value"',
    ),
    tunnel: changes(
      'Create it, with the path of the credentials of the tunnel in $file',
      'kubectl --namespace <namespace> create secret generic <name> --from-file=credentials.json="$file"',
    ),
  },
  ImageNotPulled: { describe: looks("Check the version, the registry and the project's imagePullSecrets", describePod) },
  ContainerConfigError: { describe: looks('Create what it names, or correct it', describePod) },
  InitContainerFailing: {
    mirror: looks(
      'Let the pods reach repo1.maven.org, or provide a mirror under that name',
      'kubectl --namespace <namespace> logs <pod> --container <container>',
    ),
    log: looks('Its log says why', 'kubectl --namespace <namespace> logs <pod> --container <container>'),
  },
  PodCrashLooping: {
    memory: looks('Give it more memory, or a smaller heapRatio', describePod),
    log: looks('Its log says why', 'kubectl --namespace <namespace> logs <pod> --container <container>'),
    previous: looks('Its last log says why', 'kubectl --namespace <namespace> logs <pod> --container <container> --previous'),
  },
  LoadBalancerWithoutAddress: {
    describe: looks(
      'Install a load balancer controller (on bare metal, for instance, MetalLB) or fix it',
      'kubectl --namespace <namespace> describe service <service>',
    ),
  },
}

const ofVolumes = {
  VolumeNotBound: {
    lost: looks('Restore it from a snapshot of the storage or of the database', describeClaim),
    class: looks('Create it, or request one of these', 'kubectl get storageclasses'),
    // A StatefulSet keeps the class that it was made with.
    debugClass: looks(
      "Create it. For databases created from now on, the operator's CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS can name one of these",
      'kubectl get storageclasses',
    ),
    defaultClass: looks('Mark one as default', 'kubectl get storageclasses'),
    failed: looks('Fix what the message names', describeClaim),
    volumes: looks('Provide a PersistentVolume of that class and size', 'kubectl get pv'),
    driver: looks('Check that the pods of the storage driver run', describeClaim),
  },
  ClassCannotGrow: {
    allow: changes(
      'If its driver can do it, let volumes of the class grow',
      `kubectl patch storageclass <class> --patch '{"allowVolumeExpansion":true}'`,
    ),
    wait: advises('Otherwise wait: the Crate Operator gives up after half an hour, and the database goes on with volumes of <size>.'),
  },
  VolumeNotResized: { describe: looks('Fix what the message names', describeClaim) },
  VolumeAttachmentOnDeadNode: {
    describe: looks('See what it says. It goes once the node is back', 'kubectl describe volumeattachment <attachment>'),
    detach: destroys(
      'Only when the machine is certainly off, detach the volume: two machines that write to it corrupt it. This loses the VolumeAttachment',
      'kubectl delete volumeattachment <attachment> --wait=false',
    ),
    removeNode: destroys(
      'Only when the machine is certainly off, and for good, remove the node too. This loses the Node and its labels',
      'kubectl delete node <node>',
    ),
  },
  VolumeNotAttached: { describe: looks('Fix what the message names', describePod) },
}

const ofTheTunnel = {
  TunnelNotApplied: {
    compare: advises("Wait: it usually passes. If the message says forbidden, compare the agent's Role with deploy/rbac/agent.yaml."),
  },
  CloudflaredMissing: {
    install: advises(
      'Install it: upgrade the release with cloudflared.enabled=true. If it has another name, set tunnel.deployment in the configuration of the agent.',
    ),
  },
  CloudflaredScaledDown: { start: changes('Start it', 'kubectl --namespace <namespace> scale deployment <deployment> --replicas=2') },
  CloudflaredNotReady: {
    log: looks(
      'Check that outbound port 7844 is open, for UDP or TCP, and see what it logs',
      'kubectl --namespace <namespace> logs deployment/<deployment>',
    ),
    describe: looks('See the state of its pods', 'kubectl --namespace <namespace> describe deployment <deployment>'),
  },
}

/** All cures, by the code of the obstacle that proposes them. */
export const cures = {
  ...ofTheRegion,
  ...ofBackups,
  ...ofVolumeSnapshots,
  ...ofTheQueue,
  ...ofProjects,
  ...ofNodes,
  ...ofPods,
  ...ofVolumes,
  ...ofTheTunnel,
}

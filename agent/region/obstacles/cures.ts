import { advises, changes, destroys, looks } from '../../resources/cure.ts'

/*
 * Everything that anybody is told to do about what stands in the way, by the code of the obstacle. No command stands anywhere else.
 *
 * Each is run as it stands by test/agent/region/cures.real.test.ts, in the situation that shows it. Within one obstacle what looks comes
 * first, then what changes, and what destroys last. The API is reached at `$url` with `$token`, as in docs/operating.md.
 */

const asToken = '-H "Authorization: Bearer $token"'
const unprotecting = `${asToken} -H 'content-type: application/merge-patch+json' -d '{"deletionProtection":false}'` as const
const logOfOperator = 'kubectl --namespace <namespace> logs deployment/<deployment>'
const describePod = 'kubectl --namespace <namespace> describe pod <pod>'
const describeClaim = 'kubectl --namespace <namespace> describe pvc <claim>'
/** Of all finalizers just the one, and only while it stands where it was seen. */
const onlyThatOne =
  '[{"op":"test","path":"/metadata/finalizers/<index>","value":"<finalizer>"},{"op":"remove","path":"/metadata/finalizers/<index>"}]'
const takeOffFinalizer = `kubectl <where> patch <kind> <name> --type json --patch '${onlyThatOne}'` as const

const ofTheRegion = {
  EvidenceUnread: {
    grant: advises("Grant the agent's service account what the message names: compare its ClusterRole with deploy/rbac/agent.yaml."),
    apiServer: looks('None if it passes. Else check the API server', `kubectl get --raw '/readyz?verbose'`),
  },
  OperatorNotRunning: {
    find: looks(
      "Install it, or name its Deployment in the agent's configuration if it is one of these",
      'kubectl get deployments --all-namespaces',
    ),
    start: changes('Start it', 'kubectl --namespace <namespace> scale deployment <deployment> --replicas=1'),
    describe: looks('See what keeps it from being ready', 'kubectl --namespace <namespace> describe deployment <deployment>'),
    pods: looks('See what became of its pods', 'kubectl --namespace <namespace> describe pods --selector <selector>'),
    log: looks('See what it says, once it has started', logOfOperator),
  },
  OperatorStepFailed: {
    log: looks('Its log tells more', logOfOperator),
    why: looks('It does not try again by itself. Its log says why', logOfOperator),
    unprotect: changes(
      'Once that is mended, take the protection off that keeps the API ($url, $token) from deleting the database',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${unprotecting}`,
    ),
    remove: changes(
      'Once that is mended, delete the database by the API ($url, $token), which keeps its volumes, then repeat the request that created it',
      `curl -X DELETE "$url/v1/projects/<project>/databases/<database>?retainVolumes=true" ${asToken}`,
    ),
  },
  OperatorStepDelayed: { log: looks('None if it passes. Its log tells more', logOfOperator) },
  OperatorStalled: {
    log: looks('See whether its log mentions <database>', logOfOperator),
    restart: changes(
      'Restart the operator. Databases run on, and it takes up what it finds unfinished',
      'kubectl --namespace <namespace> rollout restart deployment <deployment>',
    ),
  },
  UpgradeRolledBack: {
    events: looks(
      'See why in its events, mend that and ask for the upgrade again',
      'kubectl --namespace <namespace> describe cratedb <database>',
    ),
  },
}

const ofProjects = {
  ProjectNotReady: {
    create: advises('Create the project first; its namespace comes with it.'),
    leaving: looks('Wait for its end, then create it again', 'kubectl describe project <project>'),
    describe: looks('Its conditions say what to do', 'kubectl describe project <project>'),
  },
  NamespaceNotOwned: {
    handOver: changes(
      'Choose another project id. Or hand the namespace over, if whoever made it agrees: Skerry changes it then, and deletes it with all that is in it when the project is deleted',
      'kubectl label --overwrite namespace <namespace> app.kubernetes.io/managed-by=skerry skerry.dev/project=<project>',
    ),
  },
  QuotaNotCounted: {
    quotas: looks(
      'If that takes more than a minute, see that kube-controller-manager runs',
      'kubectl describe resourcequota --all-namespaces',
    ),
  },
  NamespaceMissing: {
    describe: looks(
      'The leading agent makes it within seconds. If not, see what it says of the project',
      'kubectl describe project <project>',
    ),
    leases: looks('See which agent leads', 'kubectl get leases --all-namespaces'),
  },
  NamespaceTerminating: {
    discovery: looks('An API service does not answer. Mend the one that is not available', 'kubectl get apiservices'),
    parsing: looks('Mend or remove the API service that the message names', 'kubectl get apiservices'),
    content: looks('See what it says', 'kubectl describe namespace <namespace>'),
    holders: looks(
      'See what holds them',
      'kubectl --namespace <namespace> get <resources> --output custom-columns=KIND:.kind,NAME:.metadata.name,FINALIZERS:.metadata.finalizers',
    ),
    wait: looks('Wait for its end. If it does not end, see that kube-controller-manager runs', 'kubectl describe namespace <namespace>'),
  },
  DatabasesRemain: {
    unprotectDatabase: changes(
      'Take the protection of database <database> off by the API ($url, $token), if it is to go',
      `curl -X PATCH "$url/v1/projects/<project>/databases/<database>" ${unprotecting}`,
    ),
    unprotectProject: changes(
      'Take the protection of the project off by the API ($url, $token)',
      `curl -X PATCH "$url/v1/projects/<project>" ${unprotecting}`,
    ),
    cascade: changes(
      'Delete the databases with the project by the API ($url, $token), which keeps their volumes',
      `curl -X DELETE "$url/v1/projects/<project>?cascade=true" ${asToken}`,
    ),
    remove: changes(
      'Delete database <database> by the API ($url, $token), which keeps its volumes',
      `curl -X DELETE "$url/v1/projects/<project>/databases/<database>?retainVolumes=true" ${asToken}`,
    ),
  },
  FinalizerHeld: {
    install: advises('Install the Crate Operator again: it takes the finalizer off by itself.'),
    operator: looks('See that it runs', 'kubectl --namespace <namespace> get deployment <deployment>'),
    claim: looks('See which pods use it', describeClaim),
    service: looks('See that it runs and what it says', 'kubectl --namespace <namespace> describe service <service>'),
    collector: looks('See that kube-controller-manager runs, and what is left', 'kubectl --namespace <namespace> get all'),
    drivers: looks('See which storage drivers there are', 'kubectl get csidrivers'),
    driverPods: looks('See that the pods of the storage driver run', 'kubectl get pods --all-namespaces'),
    controller: advises('Find the controller that it is named for and start it: it takes the finalizer off by itself.'),
    keepVolumes: changes(
      'Before anything else is done, keep the volumes, whatever becomes of their claims',
      `kubectl patch pv <volumes> --patch '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`,
    ),
    withoutOperator: destroys(
      'Only if the operator is gone for good, and this is not OpenShift, take its finalizer off. This loses the CrateDB and what belongs to it: pods, Services and claims. Volumes that are Retain stay',
      takeOffFinalizer,
    ),
    withoutController: destroys(
      'Only if there is no such controller any more, take its finalizer off. This loses <object>, and what that controller would still have done. Volumes that are Retain stay',
      takeOffFinalizer,
    ),
  },
}

const ofNodes = {
  NodeNotReady: {
    describe: looks('Bring it back. See what it says', 'kubectl describe node <node>'),
    remove: destroys(
      'Only once the machine is off for certain and for good, remove the node: its pods start elsewhere, and two that write to one volume corrupt it. This loses the Node and its labels',
      'kubectl delete node <node>',
    ),
    pods: looks('Its pods go by themselves within a minute', 'kubectl --namespace <namespace> get pods --output wide'),
    force: destroys(
      'Only once the machine is off for certain, let them start elsewhere: two that write to one volume corrupt it. This loses these pods, without waiting for their end',
      'kubectl --namespace <namespace> delete pod <pods> --force',
    ),
  },
  PodNotEnding: { describe: looks('See what the kubelet says', describePod) },
  PodUnschedulable: {
    nodes: looks('Add nodes', 'kubectl get nodes'),
    scheduler: looks('See that kube-scheduler runs', 'kubectl --namespace kube-system get pods'),
    spread: advises('Add as many nodes as there are to be CrateDB nodes, or ask for fewer.'),
    resources: advises('Ask for less per node, free some, or add larger nodes.'),
    taints: looks(
      'See which taints the nodes bear; one that is under pressure or not ready bears one by itself',
      'kubectl get nodes --output custom-columns=NAME:.metadata.name,TAINTS:.spec.taints',
    ),
    untaint: changes('Take the taint off each node that CrateDB may use, here <node>', 'kubectl taint nodes <node> <key>-'),
    labels: looks('See which labels the nodes bear', 'kubectl get nodes --show-labels'),
    label: changes('Label each node that CrateDB may use, with its name in $node', 'kubectl label node "$node" <labels>'),
    cordoned: looks('See which nodes are cordoned', 'kubectl get nodes'),
    uncordon: changes('Once whoever cordoned them has finished, let them take pods again', 'kubectl uncordon <nodes>'),
    volumes: looks('The volume is tied to a node or zone: bring that back', 'kubectl --namespace <namespace> get pvc,pv --output wide'),
    zones: advises('Add nodes in the other zones; the operator spreads over three.'),
    claims: looks('See what keeps it from being bound', 'kubectl --namespace <namespace> describe pvc'),
    maxPods: advises("Add nodes, or raise the kubelet's maxPods."),
    describe: looks('See all that was said of it', describePod),
  },
}

const ofPods = {
  QuotaExceeded: {
    describe: looks('Raise the quota of project <project>, or ask for less', 'kubectl --namespace <namespace> describe resourcequota'),
  },
  PodRefused: {
    describe: looks('Change what refuses them, which the message names', 'kubectl --namespace <namespace> describe statefulset <set>'),
  },
  SecretMissing: {
    pull: changes(
      'Create it, with the registry in $server and its credentials in $user and $password',
      'kubectl --namespace <namespace> create secret docker-registry <name> --docker-server="$server" --docker-username="$user" --docker-password="$password"',
    ),
    repeat: advises('Create it again by repeating the request that held it.'),
    create: changes(
      'Or create it with what it held under the key <key> in $value',
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
      'Let the pods reach repo1.maven.org, or put a mirror in front of that host',
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
      'Install a load balancer controller (on bare metal, for instance, MetalLB) or mend it',
      'kubectl --namespace <namespace> describe service <service>',
    ),
  },
}

const ofVolumes = {
  VolumeNotBound: {
    lost: looks('Restore it from a snapshot of the storage or of the database', describeClaim),
    class: looks('Create it, or ask for one of these', 'kubectl get storageclasses'),
    // A StatefulSet keeps the class that it was made with.
    debugClass: looks(
      "Create it. For databases that are made from now on, the operator's CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS can name one of these",
      'kubectl get storageclasses',
    ),
    defaultClass: looks('Mark one as default', 'kubectl get storageclasses'),
    failed: looks('Mend what the message names', describeClaim),
    volumes: looks('Provide a PersistentVolume of that class and size', 'kubectl get pv'),
    driver: looks('See that the pods of the storage driver run', describeClaim),
  },
  ClassCannotGrow: {
    allow: changes(
      'If its driver can do it, let volumes of the class grow',
      `kubectl patch storageclass <class> --patch '{"allowVolumeExpansion":true}'`,
    ),
    back: advises('Else go back to <size>.'),
  },
  VolumeNotResized: { describe: looks('Mend what the message names', describeClaim) },
  VolumeAttachmentOnDeadNode: {
    describe: looks('See what it says. It goes by itself once the node is back', 'kubectl describe volumeattachment <attachment>'),
    detach: destroys(
      'Only once the machine is off for certain, detach the volume: two machines that write to it corrupt it. This loses the VolumeAttachment',
      'kubectl delete volumeattachment <attachment> --wait=false',
    ),
    removeNode: destroys(
      'Only once the machine is off for certain and for good, remove the node too. This loses the Node and its labels',
      'kubectl delete node <node>',
    ),
  },
  VolumeNotAttached: { describe: looks('Mend what the message names', describePod) },
}

const ofTheTunnel = {
  TunnelNotApplied: {
    compare: advises("None if it passes. If it says forbidden, compare the agent's Role with deploy/rbac/agent.yaml."),
  },
  CloudflaredMissing: {
    install: advises(
      'Install it: upgrade the release with cloudflared.enabled=true. If it has another name, set tunnel.deployment in the configuration of the agent.',
    ),
  },
  CloudflaredScaledDown: { start: changes('Start it', 'kubectl --namespace <namespace> scale deployment <deployment> --replicas=2') },
  CloudflaredNotReady: {
    log: looks(
      'See that port 7844 is open outwards, by UDP or TCP, and what it says',
      'kubectl --namespace <namespace> logs deployment/<deployment>',
    ),
    describe: looks('See what became of its pods', 'kubectl --namespace <namespace> describe deployment <deployment>'),
  },
}

/** All cures, by the code of the obstacle that proposes them. */
export const cures = { ...ofTheRegion, ...ofProjects, ...ofNodes, ...ofPods, ...ofVolumes, ...ofTheTunnel }

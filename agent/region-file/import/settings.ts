import * as z from 'zod'

/** Folders in which the usual provisioners put volumes on hosts. */
const usualFolders = [
  '/opt/local-path-provisioner',
  '/var/local-path-provisioner',
  '/var/lib/rancher/k3s/storage',
  '/var/openebs/local',
  '/var/snap/microk8s/common/default-storage',
  '/mnt/disks',
  '/tmp/hostpath_pv',
]

/** Which volumes an import may make again. */
export const importSection = z.strictObject({
  hostFolders: z
    .array(
      z
        .string()
        .max(1_000)
        .regex(/^\/[^/]/, 'must be a folder such as /opt/local-path-provisioner, and not the whole host')
        .refine((folder) => !folder.split('/').includes('..'), 'must not contain ".."'),
    )
    .max(50)
    .default(usualFolders)
    .describe('Folders of hosts in which volumes may be that an import makes again: of `hostPath` and `local`'),
})

import type { MemberRole } from '@stillpoint/shared/manifest';
import type { ReplicaImage } from '../api.ts';

/** What happens to one node. */
export interface PlannedNode {
  readonly node: string;
  readonly roles: readonly MemberRole[];
  /** Node whose part is the image. Another node than `node` means: this replica is seeded over the network. */
  readonly image: string;
  /** Digest of that part's manifest. */
  readonly imageSha256: string;
  /** Digest of the node's own part manifest, when its configuration is restored; else empty. */
  readonly ownPartSha256: string;
  readonly storedBytes: number;
  /** Where the data goes. */
  readonly datadir: string;
  /** Bytes needed beside the live data, on its file system. */
  readonly needBytes: number;
  readonly freeBytes: number;
  /** Bytes that are there now and will be kept aside. */
  readonly replacesBytes: number;
  readonly serverRunning: boolean;
  readonly installedVersion: string;
  readonly setVersion: string;
  readonly restoreConfiguration: boolean;
  /** GTID position from which the server goes on. */
  readonly gtidPosition: string;
  /** Where to replicate from afterwards; undefined for a server that replicates from nobody in the plan. */
  readonly replicateFrom: { readonly node: string; readonly host: string; readonly port: number } | undefined;
}

/** A restore, before it happens. It is stored under its id, which confirms it. */
export interface RestorePlan {
  readonly id: string;
  readonly cluster: string;
  readonly setId: string;
  readonly cutAt: string;
  readonly createdAt: string;
  readonly replicas: ReplicaImage;
  readonly replication: 'start' | 'print';
  readonly nodes: readonly PlannedNode[];
  /** Why it cannot be run as things are; empty for a plan that can. */
  readonly problems: readonly { readonly node: string; readonly message: string; readonly hint: string }[];
  readonly warnings: readonly string[];
}

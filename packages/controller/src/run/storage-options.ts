import type { MessageInitShape } from '@bufbuild/protobuf';
import { type CaptureOptionsSchema, IoClass } from '@stillpoint/shared/proto';
import type { PlannedStorage } from '../plan/storage.ts';

type Options = Required<
  Pick<MessageInitShape<typeof CaptureOptionsSchema>, 'compressionLevel' | 'uncompressed' | 'recipients' | 'throttle' | 'priority'>
>;

/** What agents are told of how to store. Pure. */
export function storageOptions({ compression, ionice, nice, recipients, throttle = 0 }: PlannedStorage): Options {
  return {
    ...(compression === 'none' ? { uncompressed: true, compressionLevel: 0 } : { uncompressed: false, compressionLevel: compression }),
    recipients: [...recipients],
    throttle: BigInt(throttle),
    priority: { nice, ...ioClassOf(ionice) },
  };
}

function ioClassOf(ionice: string | undefined): { ioClass: IoClass; ioLevel: number } {
  if (ionice === undefined) return { ioClass: IoClass.UNSPECIFIED, ioLevel: 0 };
  const [name, level = '0'] = ionice.split(':');
  return { ioClass: name === 'idle' ? IoClass.IDLE : IoClass.BEST_EFFORT, ioLevel: Number(level) };
}

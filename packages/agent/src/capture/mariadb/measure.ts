import type { MariadbConfig } from '../../config/schema.ts';
import { incarnationOf } from '../../mariadb/incarnation.ts';
import { accountOf, openSession } from '../../mariadb/session.ts';
import { runningSettings, type ServerSettings } from '../../mariadb/settings.ts';
import { imageBytes } from './data-bytes.ts';

/** The server whose image is taken. */
export interface Measured {
  readonly settings: ServerSettings;
  /** Undefined when nothing tells it; see incarnationOf. */
  readonly incarnation: string | undefined;
  /** Size of the server's files, bytes. */
  readonly dataBytes: number;
}

/** Looks at the server while the copy runs already, for not to make writers wait for it. Never an unhandled rejection. */
export function measure(mariadb: MariadbConfig, signal: AbortSignal): Promise<Measured> {
  const measuring = look(mariadb, signal);
  measuring.catch(() => undefined);
  return measuring;
}

async function look(mariadb: MariadbConfig, signal: AbortSignal): Promise<Measured> {
  const session = await openSession(accountOf(mariadb), signal);
  try {
    const settings = await runningSettings(session, signal);
    return { settings, incarnation: await incarnationOf(settings), dataBytes: await imageBytes(settings, signal) };
  } finally {
    await session.close();
  }
}

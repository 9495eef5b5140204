import { z } from 'zod';
import { NAME_PATTERN } from '../operation/index.ts';
import { parseDuration } from '../time/index.ts';

/** A name of a cluster or node: it becomes a directory name. */
export const nameSetting = z.string().regex(NAME_PATTERN, 'letters, digits, dot, dash and underscore only, at most 64');

/** A duration such as `10s`; milliseconds once parsed. */
export const durationSetting = z.string({ error: ({ input }) => notText(input) }).transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === undefined) {
    context.addIssue({ code: 'custom', message: `"${text}" is not a duration such as 250ms, 10s, 5m` });
    return z.NEVER;
  }
  return ms;
});

/** YAML reads a duration without its unit as a number. A missing one is told elsewhere. */
const notText = (input: unknown): string | undefined =>
  input === undefined ? undefined : `${JSON.stringify(input)} is not a duration such as ${typeof input === 'number' ? input : 10}s`;

/** An absolute path. */
export const pathSetting = z.string().regex(/^\//, 'must be an absolute path');

/** `host:port`, IPv6 in brackets. */
export const addressSetting = z.string().regex(/^(?:\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'must be host:port');

/** Certificate, key and CA of one side of mutual TLS, PEM files. */
export const tlsSetting = z.strictObject({
  ca: pathSetting.describe('certificate of the CA, PEM'),
  cert: pathSetting.describe('own certificate, PEM'),
  key: pathSetting.describe('private key of that certificate, PEM'),
});
export type TlsSetting = z.infer<typeof tlsSetting>;

import { readFileSync } from 'node:fs';

/** Version of this program, from its package. Sources and compiled code lie equally deep below it. */
export const VERSION: string = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version;

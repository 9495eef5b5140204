import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliPage } from './generator/cli.ts';
import { configurationPage } from './generator/configuration.ts';
import { errorsPage } from './generator/errors.ts';
import { exitCodesPage } from './generator/exit-codes.ts';

/** Where the pages lie. */
export const REFERENCE = join(import.meta.dirname, 'reference');

/** The generated reference pages by file name, made from what the program itself runs on. */
export const referencePages = (): Readonly<Record<string, string>> => ({
  'cli.md': cliPage(),
  'configuration.md': configurationPage(),
  'errors.md': errorsPage(),
  'exit-codes.md': exitCodesPage(),
});

if (import.meta.main) {
  mkdirSync(REFERENCE, { recursive: true });
  for (const [name, text] of Object.entries(referencePages())) writeFileSync(join(REFERENCE, name), text);
}

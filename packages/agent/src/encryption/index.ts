/** Files of a part, encrypted for the holders of keys, in the format of age (https://age-encryption.org/v1). See README.md. */
export { type FileKey, fileKeyFor, newFileKey, warmUp } from './file-key.ts';
export { readKeyring } from './identity-file.ts';
export type { Keyring } from './keyring.ts';
export { Opener, opening } from './opener.ts';
export { openingFrom } from './opening-from.ts';
export { Sealer } from './sealer.ts';

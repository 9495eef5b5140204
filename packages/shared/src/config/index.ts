/** Configuration: one loader whose errors name file, line and key, and the pieces both files are made of. */
export { type Bounds, boundsText, HOLD_BOUNDS, isWithin } from './bounds.ts';
export { closestWord } from './closest-word.ts';
export { loadConfig } from './load.ts';
export { addressSetting, durationSetting, nameSetting, pathSetting, type TlsSetting, tlsSetting } from './pieces.ts';
export { parseRate, rateSetting } from './rate.ts';
export { recipientSetting } from './recipient.ts';
export { readSecret, readSettingFile } from './secret.ts';
export { type CompressionSetting, compressionSetting, ioniceSetting, parseCompression } from './storage.ts';

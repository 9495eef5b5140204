import { stripVTControlCharacters } from 'node:util';

/** Somebody else's text: without line breaks, and without anything that a terminal would obey. */
export const onOneLine = (text: string): string => stripVTControlCharacters(text).replaceAll(/[\s\p{Cc}]+/gu, ' ');

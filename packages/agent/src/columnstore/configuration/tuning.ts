import { type Document, type Element, XMLSerializer } from '@xmldom/xmldom';
import { BYTE_ORDER_MARK, elementsOf, parseConfig } from './document.ts';

/** Values that belong to the data and its use, not to a system: the only ones that a restore carries into another configuration. */
const TUNING = [
  ['HashJoin', 'TotalUmMemory'],
  ['HashJoin', 'AllowDiskBasedJoin'],
  ['DBBC', 'NumBlocksPct'],
  ['DBBC', 'NumThreads'],
  ['CrossEngineSupport', 'User'],
  ['CrossEngineSupport', 'Password'],
  ['RowAggregation', 'AllowDiskBasedAggregation'],
  ['SystemConfig', 'MemoryCheckPercent'],
  ['JobList', 'RequestSize'],
  ['JobList', 'ProcessorThreadsPerScan'],
  ['PrimitiveServers', 'ConnectionsPerPrimProc'],
] as const;

/** One value that was carried over. */
export interface CarriedValue {
  /** Section/Name. */
  readonly name: string;
  /** As it was in the file that it was carried into; empty when there was none. */
  readonly before: string;
  readonly now: string;
}

/** Configuration files, for messages and content. */
interface ConfigText {
  readonly file: string;
  readonly text: string;
}

/**
 * Carries the tuning values of one Columnstore.xml into another, which otherwise stays as it is: addresses, dbroots and keys are those of the
 * system that it belongs to. Values that the source does not have are left alone, which an empty one is not: a user without a password had
 * none. So are those named in `except` (Section/Name): an encrypted password is worth nothing without its key. Throws COLUMNSTORE_CONFIG.
 */
export function carryTuning(
  from: ConfigText,
  into: ConfigText,
  except: readonly string[] = [],
): { readonly xml: string; readonly carried: readonly CarriedValue[] } {
  const source = parseConfig(from.file, from.text);
  const target = parseConfig(into.file, into.text);
  const carried: CarriedValue[] = [];
  for (const [section, name] of TUNING) {
    const now = source.text(section, name);
    const before = target.text(section, name) ?? '';
    if (now === undefined || now === before || except.includes(`${section}/${name}`)) continue;
    setValue(target.document.documentElement as Element, section, name, now);
    carried.push({ name: `${section}/${name}`, before, now });
  }
  return { xml: carried.length === 0 ? into.text : written(target.document, into.text), carried };
}

/** As it was written before, but for what XML holds to be the same: `<a></a>` becomes `<a/>`, say. */
function written(document: Document, before: string): string {
  const xml = new XMLSerializer().serializeToString(document);
  const mark = before.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : '';
  return `${mark}${xml}${before.endsWith('\n') && !xml.endsWith('\n') ? '\n' : ''}`;
}

function setValue(root: Element, section: string, name: string, text: string): void {
  const parent = childOf(root, section);
  childOf(parent, name).textContent = text;
}

/** The element of that name, made when it is not there. */
function childOf(parent: Element, name: string): Element {
  const found = elementsOf(parent).find(({ nodeName }) => nodeName === name);
  if (found !== undefined) return found;
  const document = parent.ownerDocument;
  if (document === null) throw new Error('an element belongs to a document');
  const made = document.createElement(name);
  parent.appendChild(made);
  return made;
}

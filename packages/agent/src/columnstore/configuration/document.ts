import { StillpointError } from '@stillpoint/shared/errors';
import { DOMParser, type Document, type Element, onErrorStopParsing } from '@xmldom/xmldom';

/** Editors may have put one first. */
export const BYTE_ORDER_MARK = '\uFEFF';

/** Columnstore.xml: sections below the root, and values in them. */
export interface ConfigDocument {
  /** Where it came from, for messages. */
  readonly file: string;
  readonly document: Document;
  /** Text of Section/Name, trimmed; undefined when there is no such element. */
  text(section: string, name: string): string | undefined;
  /** The same; undefined also when it is empty. */
  value(section: string, name: string): string | undefined;
  /** Text of a direct child of the root, trimmed; undefined when there is none, or it is empty. */
  rootValue(name: string): string | undefined;
  /** Names and texts of a section's elements, in their order; empty when there is no such section. */
  section(name: string): readonly { readonly name: string; readonly text: string }[];
}

/**
 * Reads the text of a Columnstore.xml. Comments, and stray text between elements, which releases before 1.4 were shipped with, are
 * passed over; what is not well-formed, or has another root, is refused. Throws COLUMNSTORE_CONFIG.
 */
export function parseConfig(file: string, xml: string): ConfigDocument {
  const root = rootOf(file, xml);
  const find = (parent: Element, name: string): Element | undefined => elementsOf(parent).find(({ nodeName }) => nodeName === name);
  const text = (parent: Element | undefined, name: string): string | undefined => {
    const found = parent === undefined ? undefined : find(parent, name);
    return found === undefined ? undefined : textOf(found);
  };
  return {
    file,
    document: root.ownerDocument as Document,
    text: (section, name) => text(find(root, section), name),
    value: (section, name) => text(find(root, section), name) || undefined,
    rootValue: (name) => text(root, name) || undefined,
    section: (name) => {
      const section = find(root, name);
      return section === undefined ? [] : elementsOf(section).map((element) => ({ name: element.nodeName, text: textOf(element) }));
    },
  };
}

function rootOf(file: string, text: string): Element {
  let document: Document;
  try {
    document = new DOMParser({ onError: onErrorStopParsing }).parseFromString(text.replace(BYTE_ORDER_MARK, ''), 'text/xml');
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new StillpointError('COLUMNSTORE_CONFIG', `${file} is not well-formed XML: ${why}`, { cause });
  }
  const root = document.documentElement;
  if (root?.nodeName === 'Columnstore' || root?.nodeName === 'Calpont') return root;
  throw new StillpointError('COLUMNSTORE_CONFIG', `${file} is no configuration of ColumnStore: its root is ${root?.nodeName ?? 'missing'}`);
}

/** Elements directly below one. */
export const elementsOf = (parent: Element): Element[] =>
  Array.from(parent.childNodes).filter((node): node is Element => node.nodeType === node.ELEMENT_NODE);

const textOf = (element: Element): string => (element.textContent ?? '').trim();

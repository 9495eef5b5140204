import {
  addressSetting,
  compressionSetting,
  durationSetting,
  ioniceSetting,
  nameSetting,
  pathSetting,
  rateSetting,
  recipientSetting,
} from '@stillpoint/shared/config';

/** What is read of a zod schema: its definition, and what was said about it. */
export interface Schema {
  readonly description?: string | undefined;
  readonly _zod: { readonly def: object };
}

interface Definition {
  readonly type: string;
  readonly innerType?: Schema;
  readonly defaultValue?: unknown;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly element?: Schema;
  readonly options?: readonly Schema[];
  readonly entries?: Readonly<Record<string, string>>;
  readonly values?: readonly unknown[];
  readonly checks?: readonly { readonly _zod: { readonly def: { readonly check: string; readonly value?: unknown } } }[];
}

/** One key of a configuration file. */
export interface Setting {
  /** From the top of the file, for example `backup.checksums.include`; `[]` stands for each item of a list. */
  readonly key: string;
  readonly type: string;
  /** As it would be written; empty for none. */
  readonly default: string;
  readonly required: boolean;
  readonly description: string;
}

/** Pieces that both files are made of, by the words for them. A schema that was described later keeps its definition. */
const PIECES: readonly (readonly [Schema, string])[] = [
  [durationSetting, 'duration'],
  [pathSetting, 'absolute path'],
  [addressSetting, 'host:port'],
  [nameSetting, 'name'],
  [rateSetting, 'rate'],
  [recipientSetting, 'recipient'],
  [compressionSetting, '1 to 19, none'],
  [ioniceSetting, 'idle, best-effort:0 to 7'],
];

const definitionOf = (schema: Schema): Definition => schema._zod.def as Definition;
const pieceOf = (schema: Schema): string | undefined => PIECES.find(([piece]) => piece._zod.def === schema._zod.def)?.[1];

/** Every key below a schema, in the order of the file. */
export function settingsOf(schema: Schema, prefix = ''): readonly Setting[] {
  const { shape } = definitionOf(schema);
  return Object.entries(shape ?? {}).flatMap(([name, value]) => settingOf(`${prefix}${name}`, value));
}

function settingOf(key: string, schema: Schema): readonly Setting[] {
  const { core, description, defaultValue, required } = unwrap(schema);
  const definition = definitionOf(core);
  const own = (type: string): Setting => ({ key, type, default: written(defaultValue, core), required, description });
  if (pieceOf(core) !== undefined) return [own(typeName(core))];
  if (definition.type === 'object') return [...(description === '' ? [] : [own('section')]), ...settingsOf(core, `${key}.`)];
  if (definition.type === 'union') return [own('section'), ...unionSettings(key, definition.options ?? [])];
  const element = definition.element === undefined ? undefined : unwrap(definition.element).core;
  if (element !== undefined && definitionOf(element).type === 'object') return [own('list'), ...settingsOf(element, `${key}[].`)];
  return [own(typeName(core))];
}

/** Keys of each form of a section that has several; what tells them apart comes with them. */
function unionSettings(key: string, options: readonly Schema[]): readonly Setting[] {
  return options.flatMap((option) => {
    const [form] = Object.entries(definitionOf(option).shape ?? {});
    const value = form === undefined ? '' : String(definitionOf(form[1]).values?.[0] ?? '');
    return settingsOf(option, `${key}.`).map((setting, at) =>
      at === 0 ? setting : { ...setting, description: `${form?.[0]} ${value}: ${setting.description}` },
    );
  });
}

/** Takes defaults and options off a schema; the outermost words about it count. */
function unwrap(schema: Schema): { core: Schema; description: string; defaultValue: unknown; required: boolean } {
  const { type, innerType, defaultValue } = definitionOf(schema);
  if (innerType === undefined) return { core: schema, description: schema.description ?? '', defaultValue: undefined, required: true };
  const inner = unwrap(innerType);
  const value = type === 'default' ? defaultValue : inner.defaultValue;
  return { core: inner.core, description: schema.description ?? inner.description, defaultValue: value, required: false };
}

function typeName(schema: Schema): string {
  const piece = pieceOf(schema);
  if (piece !== undefined) return piece;
  const { type, element, entries, values, checks } = definitionOf(schema);
  switch (type) {
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'number':
      return `whole number${boundsOf(checks ?? [])}`;
    case 'enum':
      return Object.values(entries ?? {}).join(', ');
    case 'literal':
      return (values ?? []).join(', ');
    case 'array':
      return element === undefined ? 'list' : `list of ${typeName(element)}`;
    default:
      throw new Error(`docs/generator/schema.ts has no word for a schema of type ${type}`);
  }
}

function boundsOf(checks: NonNullable<Definition['checks']>): string {
  const bound = (check: string): unknown => checks.map(({ _zod }) => _zod.def).find((def) => def.check === check)?.value;
  const [least, most] = [bound('greater_than'), bound('less_than')];
  if (least === undefined) return '';
  return most === undefined ? `, at least ${least}` : `, ${least} to ${most}`;
}

/** A default as it would stand in the file. */
function written(value: unknown, schema: Schema): string {
  if (value === undefined) return '';
  if (schema._zod.def === durationSetting._zod.def) return writtenDuration(Number(value));
  if (Array.isArray(value) || typeof value === 'object')
    return JSON.stringify(value).replaceAll('"', '').replaceAll(':', ': ').replaceAll(',', ', ');
  return String(value);
}

/** Milliseconds in the largest unit that leaves a whole number. */
function writtenDuration(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  const [unit, size] = units.find(([, length]) => ms >= length && ms % length === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}

import type { z } from 'zod';

/** What is looked at of a schema, whatever its type. */
interface Schema {
  readonly _zod: { readonly def: { readonly innerType?: Schema }; readonly propValues?: Readonly<Record<string, ReadonlySet<unknown>>> };
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly element?: Schema;
  readonly options?: readonly Schema[];
}

/** Keys that the schema knows at a path, as far as it can be followed; of a discriminated union, those of the kind that `input` is. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): string[] {
  const objects = schemasAt(schema, path).flatMap(variants);
  const known = objects.filter((object) => isOfKind(object, input));
  return [...new Set(known.flatMap(({ shape }) => Object.keys(shape ?? {})))];
}

/** Kinds that a discriminated union knows. `path` ends with the discriminator. */
export function kindsAt(schema: z.ZodType, path: readonly PropertyKey[], discriminator: string): string[] {
  const unions = schemasAt(schema, path.slice(0, -1)).map(unwrapped);
  return unions.flatMap(({ _zod }) => [...(_zod.propValues?.[discriminator] ?? [])].map(String));
}

function schemasAt(schema: z.ZodType, path: readonly PropertyKey[]): Schema[] {
  let at: Schema[] = [schema as unknown as Schema];
  for (const key of path) {
    at = at.flatMap(variants).flatMap(({ shape, element }) => shape?.[String(key)] ?? element ?? []);
  }
  return at;
}

/** Without its default or being optional. */
function unwrapped(schema: Schema): Schema {
  const inner = schema._zod.def.innerType;
  return inner === undefined ? schema : unwrapped(inner);
}

/** The schemas that a union is made of; any other stands for itself. */
function variants(schema: Schema): Schema[] {
  const plain = unwrapped(schema);
  return plain.options?.flatMap(variants) ?? [plain];
}

/** False when a key that has fixed values, such as a discriminator, has another one. */
const isOfKind = ({ _zod }: Schema, input: unknown): boolean =>
  Object.entries(_zod.propValues ?? {}).every(([key, values]) => values.has((input as Record<string, unknown> | undefined)?.[key]));

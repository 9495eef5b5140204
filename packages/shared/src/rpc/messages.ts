import { create, type DescMessage, type DescMethod, fromBinary, type Message, type MessageInitShape, toBinary } from '@bufbuild/protobuf';

/** A method on the wire. What is sent has been through `encode` before. */
export interface WireMethod {
  readonly path: string;
  readonly serialize: (encoded: Buffer) => Buffer;
  readonly deserialize: (bytes: Buffer) => Message;
}

/** A method as its caller needs it: reads responses. */
export const calledMethod = (method: DescMethod): WireMethod => wireMethod(method, method.output);

/** A method as its provider needs it: reads requests. */
export const servedMethod = (method: DescMethod): WireMethod => wireMethod(method, method.input);

const wireMethod = ({ parent, name }: DescMethod, read: DescMessage): WireMethod => ({
  path: `/${parent.typeName}/${name}`,
  serialize: (encoded) => encoded,
  deserialize: (bytes) => fromBinary(read, bytes),
});

/**
 * The bytes of a message. Throws for what the protocol has no room for, such as a fraction in an integer. Done before the
 * library gets to see the message: it would say no more than that something could not be encoded.
 */
export function encode<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Buffer {
  const bytes = toBinary(schema, create(schema, message));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

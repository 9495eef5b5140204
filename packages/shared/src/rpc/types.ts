import type { DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { TlsSetting } from '../config/index.ts';

/** What a certificate entitles its bearer to. Written into the certificate as a URI: `stillpoint://<cluster>/<role>/<name>`. */
export const CERTIFICATE_ROLES = ['controller', 'agent'] as const;
export type CertificateRole = (typeof CERTIFICATE_ROLES)[number];

/** Who is on the other side, by its certificate. */
export interface Peer {
  readonly cluster: string;
  readonly role: CertificateRole;
  /** Node name for agents; user-chosen for controllers. */
  readonly name: string;
}

export interface CallOptions {
  /** Aborts the call; its reason is what the caller gets. */
  readonly signal?: AbortSignal;
  /** Deadline. Default: 30 s for unary calls, none for streams. Throws DEADLINE. */
  readonly timeoutMs?: number;
}

type Call<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: MessageInitShape<M['input']>, options?: CallOptions) => Promise<MessageShape<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: MessageInitShape<M['input']>, options?: CallOptions) => AsyncIterable<MessageShape<M['output']>>
    : M['methodKind'] extends 'bidi_streaming'
      ? (requests: AsyncIterable<MessageInitShape<M['input']>>, options?: CallOptions) => AsyncIterable<MessageShape<M['output']>>
      : never;

/** A service as its caller sees it. Every method throws StillpointError only, bound to the node it talked to. */
export type Client<S extends DescService> = { readonly [M in keyof S['method']]: Call<S['method'][M]> };

/** What a handler knows about the call it serves. */
export interface CallContext {
  /** Aborted when the caller is gone, its deadline has passed, or the server stops. */
  readonly signal: AbortSignal;
  readonly peer: Peer;
}

type Handler<M extends DescMethod> = M['methodKind'] extends 'unary'
  ? (request: MessageShape<M['input']>, call: CallContext) => Promise<MessageInitShape<M['output']>>
  : M['methodKind'] extends 'server_streaming'
    ? (request: MessageShape<M['input']>, call: CallContext) => AsyncIterable<MessageInitShape<M['output']>>
    : M['methodKind'] extends 'bidi_streaming'
      ? (requests: AsyncIterable<MessageShape<M['input']>>, call: CallContext) => AsyncIterable<MessageInitShape<M['output']>>
      : never;

/**
 * A service as its provider writes it. What a handler throws reaches the caller as the same StillpointError.
 *
 * The end of a bidirectional stream's requests is not a message: a caller that breaks off mostly looks, to the handler,
 * like one that has nothing more to say (HTTP/2 sends END_STREAM just before RST_STREAM). What must be known has to be said.
 */
export type Implementation<S extends DescService> = { readonly [M in keyof S['method']]: Handler<S['method'][M]> };

/** The other side of a connection. */
export interface Target {
  /** Node name, for errors; compared with the name in the agent's certificate. */
  readonly node: string;
  /** host:port. */
  readonly address: string;
}

export interface ClientOptions {
  readonly tls: TlsSetting;
  readonly cluster: string;
}

export interface ServerOptions<S extends DescService> {
  readonly tls: TlsSetting;
  readonly cluster: string;
  /** Name of this node, written into errors that leave it. */
  readonly node: string;
  /** host:port; port 0 picks one. */
  readonly listen: string;
  readonly service: S;
  readonly implementation: Implementation<S>;
  /** Roles that may call a method (name as in Implementation). */
  readonly allowedRoles: (method: keyof S['method'] & string) => readonly CertificateRole[];
  /** Told of every refused connection or call, for the log: who (address or name) and why. */
  readonly onRefused: (who: string, why: string) => void;
}

/** A client and the connection it holds open. */
export interface Connection<S extends DescService> {
  readonly client: Client<S>;
  /** Ends the connection and every call on it, with CANCELLED. */
  close(): void;
}

export interface RunningServer {
  /** Port it listens on. */
  readonly port: number;
  /** Ends every call and the server. */
  close(): Promise<void>;
}

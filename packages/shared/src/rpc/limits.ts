import type { ChannelOptions } from '@grpc/grpc-js';

/** Version of the protocol, sent with every call; a server refuses any other with VERSION_SKEW. */
export const PROTOCOL_VERSION = '1';

/** Longest wait for a connection to stand, ms. Kept below the lease of a hold, so that a lost agent is known before it lets go. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** Default deadline of a unary call, ms. Streams have none: they end when their subject does. */
export const UNARY_TIMEOUT_MS = 30_000;

/** How long a stopping server waits for handlers to come to their end, ms. */
export const CLOSE_GRACE_MS = 5_000;

/** Longest time from a connection to the end of its TLS handshake, ms: strangers get no more. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A manifest of a server with very many tables is the largest message; shards travel in pieces. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const COMMON: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  // A ping after 2 s of silence or traffic alike, and 3 s for its answer: a cut network or a frozen peer is noticed
  // within 5 s on both sides, half of the default lease. Pings are not subject to flow control, so a slow reader is not mistaken for a lost one.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // Bytes in flight per stream and connection. The HTTP/2 default of 64 KiB per round trip would throttle seeding.
  'grpc-node.flow_control_window': 1024 * 1024,
  'grpc.enable_channelz': 0,
};

export const SERVER_CHANNEL: ChannelOptions = COMMON;

export const CLIENT_CHANNEL: ChannelOptions = {
  ...COMMON,
  // A connection of its own for every client, so that closing one closes nobody else's.
  'grpc.use_local_subchannel_pool': 1,
  // Agents are reached directly, whatever proxy the environment names for the web.
  'grpc.enable_http_proxy': 0,
  // Retrying is the caller's decision: it knows what is idempotent when.
  'grpc.enable_retries': 0,
  // An agent that was restarted, or a name that was entered late, is found within a second.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  // Only quiets the TLS library, which does not want an IP address as server name: identity is checked by the name in the certificate's URI.
  'grpc.ssl_target_name_override': 'stillpoint',
};

/** The protocol: generated messages of `proto/stillpoint/v1`, and nothing else. */
export * from './gen/stillpoint/v1/agent_pb.ts';
export * from './gen/stillpoint/v1/error_pb.ts';
export * from './gen/stillpoint/v1/hold_pb.ts';
export * from './gen/stillpoint/v1/node_pb.ts';
export * from './gen/stillpoint/v1/task_pb.ts';

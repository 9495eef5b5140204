/** Under which threads find the memory of the node's limit. */
export const LIMIT = 'stillpoint.throttle';

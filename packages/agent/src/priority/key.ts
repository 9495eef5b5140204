/** Under which threads find whether they are to step back, and the channel on which they say who they are. */
export const PRIORITY = 'stillpoint.priority';

/** Threads of the agent, for work that would keep its main one busy. What runs on them imports ./serve.ts and ./failure.ts alone. */
export { Thread } from './thread.ts';

/** Seeding: this node's part, handed to another agent against a ticket. */
export { openSeedClient } from './client.ts';
export { fetchShard } from './serve.ts';
export { createTickets, type Tickets } from './tickets.ts';

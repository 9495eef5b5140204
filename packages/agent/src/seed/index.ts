/** Seeding: this node's part, handed to another agent against a ticket. */
export { fetchShard, type SeedServer } from './serve.ts';
export { createTickets, type Grant, type Tickets } from './tickets.ts';

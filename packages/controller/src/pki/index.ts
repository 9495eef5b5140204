/** The private CA of a cluster: who may talk to whom is written into certificates, and nowhere else. */
export { type AuthorityFiles, type InitAuthorityRequest, initAuthority } from './authority.ts';
export { type Expiry, inspectExpiry } from './expiry.ts';
export { type IssuedCertificate, type IssueRequest, issueCertificate } from './issue.ts';
